"""A user's own function, called for us: plain, async, or yielding its result piece by piece."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from contextvars import copy_context
from functools import cache, cached_property, partial
from typing import Any, cast

from widthwise.backends.loop_thread import LoopThread
from widthwise.core.run_sync import is_waited

AT_ONCE = 64
"""The most calls of a plain function that run at once, each in a thread."""
_OVER = object()


class Called:
    """Calls ``function``: a plain one in a thread, an async one in the caller's event loop.

    If that loop ends with the call (``ww.solve`` and the like), an async function runs in one lasting loop, because
    clients keep connections that are bound to a loop.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    async def one(self, *given: Any, **named: Any) -> Any:
        """What a call returns."""
        async with aclosing(self.items(*given, **named)) as items:
            return await anext(items, None)

    async def items(self, *given: Any, **named: Any) -> AsyncGenerator[Any, None]:
        """What a call returns, or what it yields, one item after another; closing this ends the call."""
        items = self._items(*given, **named)
        if is_waited() and self._is_async:
            items = cast(AsyncGenerator[Any, None], _lasting(os.getpid()).stream(items))
        async with aclosing(items):
            async for item in items:
                yield item

    async def _items(self, *given: Any, **named: Any) -> AsyncGenerator[Any, None]:
        if self._is_async:
            made = self.function(*given, **named)
        else:
            made = await self._in_thread(partial(self.function, *given, **named))
        if inspect.isawaitable(made):
            made = await made
        if isinstance(made, AsyncIterator):
            async for item in made:
                yield item
        elif isinstance(made, Iterator):
            while (item := await self._in_thread(partial(next, made, _OVER))) is not _OVER:
                yield item
        else:
            yield made

    @cached_property
    def _is_async(self) -> bool:
        called = getattr(type(self.function), "__call__", None)  # noqa: B004 - of an object that can be called
        known = (self.function, called)
        return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in known)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, call)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(AT_ONCE, "widthwise-function")


@cache
def _lasting(process: int) -> LoopThread:
    """The lasting loop, one for all functions of a process."""
    return LoopThread("widthwise-functions")


def parameters_of(function: Callable[..., Any]) -> dict[str, bool] | None:
    """The parameters of a function by name, and whether a call must give them; None if Python cannot tell."""
    with suppress(TypeError, ValueError):
        found = inspect.signature(function).parameters.values()
        return {p.name: p.default is p.empty for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return None


def named(function: Callable[..., Any]) -> str:
    """The name of a function in messages and run files: its import path, if it has one."""
    while isinstance(function, partial):
        function = function.func
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}:{name}" if name else f"{type(function).__module__}:{type(function).__qualname__}"
