"""A model that stays open: one engine for many calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any, Literal

from widthwise.core.errors import BackendError, UsageError
from widthwise.core.run_sync import run_sync
from widthwise.core.secrets import shown_address
from widthwise.opening import canonical

ModelRole = Literal["model", "reward_model", "embedding_model"]
"""What a model is opened for, by the name of the argument that takes it: to sample, to score, or to embed."""


class Model:
    """A model for many calls, from ``ww.open``; calls take it wherever they take its name.

    ``with`` and ``async with`` open it at once and close it at the end. Without them the first call opens it, and
    ``close`` (``aclose``) closes it. Calls from several threads and event loops may share it.
    """

    def __init__(self, name: str, role: ModelRole, args: Mapping[str, Any], make: Callable[[], Awaitable[Any]]) -> None:
        """``make`` opens the engine; it is called once."""
        self.name = canonical(name)
        self.role = role
        self.args = dict(args)
        self._make = make
        self._lock = threading.Lock()
        self._opening: Future[Any] | None = None
        self._closed = False

    async def opened(self) -> Any:
        """The engine, opened by the first call; raises ``UsageError`` after closing, and whatever opening raises."""
        with self._lock:
            if self._closed:
                raise UsageError(f"the model {shown_address(self.name)} has been closed: open it again with ww.open")
            opening, first = self._opening or Future(), self._opening is None
            self._opening = opening
        return await (self._open(opening) if first else _result(opening))

    async def _open(self, opening: Future[Any]) -> Any:
        try:
            engine = await self._make()
        except BaseException as error:
            with self._lock:
                self._opening = None  # the next call tries again
            stopped = BackendError(f"the opening of {shown_address(self.name)} was stopped")
            opening.set_exception(error if isinstance(error, Exception) else stopped)
            raise
        opening.set_result(engine)
        return engine

    async def aclose(self) -> None:
        """Close the engine, if it was opened; the model cannot be used any more."""
        with self._lock:
            opening, self._closed = None if self._closed else self._opening, True
        if opening is None:
            return
        try:
            engine = await _result(opening)
        except Exception:  # there is nothing to close; the opener was told
            return
        if hasattr(engine, "close"):
            await engine.close()

    def close(self) -> None:
        """``aclose`` for programs that are not ``async``."""
        run_sync(self.aclose())

    def __enter__(self) -> Model:
        run_sync(self.opened())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Model:
        await self.opened()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        is_open = self._opening is not None and self._opening.done()
        state = "closed" if self._closed else "open" if is_open else "not open yet"
        return f"<ww.Model {shown_address(self.name)}, {state}>"


async def _result(opening: Future[Any]) -> Any:
    # Shielded: one waiter that is stopped does not stop the opening for the others.
    return await asyncio.shield(asyncio.wrap_future(opening))
