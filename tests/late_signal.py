"""A signal at the worst moment, for programs that tests start: they import this by name."""

from __future__ import annotations

import selectors
import signal
import sys
import threading
from typing import Any


def late(number: int) -> None:
    """Have a signal come when the main thread's loop next waits, after Python has looked for signals for the last time.

    It comes in another thread, so that it does not interrupt the wait itself. That thread is let in as soon as the main
    thread begins to wait and not before: until then, neither gives way to the other.
    """
    selector: Any = selectors.DefaultSelector
    plain, interval, armed = selector.select, sys.getswitchinterval(), threading.Event()

    def select(self: Any, timeout: float | None = None) -> Any:
        if threading.current_thread() is threading.main_thread() and (timeout is None or timeout > 0):
            armed.set()
        return plain(self, timeout)

    def send() -> None:
        armed.wait()
        selector.select = plain
        sys.setswitchinterval(interval)
        signal.raise_signal(number)

    threading.Thread(target=send, daemon=True).start()
    sys.setswitchinterval(1000)
    selector.select = select
