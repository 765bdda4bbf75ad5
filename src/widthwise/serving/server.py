"""The process that serves an application: its socket, its signals, its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from widthwise.core.errors import UsageError
from widthwise.interrupts import can_set_handlers, handlers, set_handlers

GRACE = 30
"""How many seconds requests may take by default to end when the server is stopped."""
_BACKLOG = 2048


def listening(host: str, port: int) -> socket.socket:
    """A listening socket; raises ``UsageError`` for an address that is not available."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise UsageError(
            f"cannot listen at {host} port {port}: {error.strerror or error}; choose another --port"
        ) from error
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """The base address that clients are given."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/v1"


async def serve_at(
    app: Any, listener: socket.socket, grace: int = GRACE, ready: Callable[[], None] = lambda: None
) -> None:
    """Serve ``app`` until SIGINT or SIGTERM; from the moment at which ``ready`` is called, they end it in good order.

    Running requests may then end within ``grace`` seconds; a second signal ends them at once. Cancelling acts like a
    signal.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=grace,
    )
    server = _Server(config)
    with _stopped_by_signals(server):
        ready()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise


class _Server(uvicorn.Server):
    """Leaves signals to ``serve_at``: uvicorn itself would raise them again after an orderly end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """The first signal lets the server end, the second forces it to; a third acts as before this block."""
    if not can_set_handlers():
        yield
        return
    before = handlers()

    def stop(*_: Any) -> None:
        # The server looks at both several times a second; a handler that only sets them needs no loop that is free.
        if server.should_exit:
            server.force_exit = True
            set_handlers(before)
        server.should_exit = True

    set_handlers(dict.fromkeys(before, stop))
    try:
        yield
    finally:
        set_handlers(before)
