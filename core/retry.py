"""How failed requests are sent again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from widthwise.core.brief import Brief
from widthwise.core.errors import BackendError

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retry(Brief):
    """How often and how patiently a failed request is sent again; delays in seconds, doubling.

    ``attempts`` limits failures in a row without a new token, ``in_all`` the number of sends altogether, and
    ``patience`` the seconds since the last token.
    """

    attempts: int = 8
    in_all: int = 100
    patience: float = 7200.0
    first_delay: float = 0.25
    longest_delay: float = 20.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after the given number of failures in a row."""
        return min(self.first_delay * 2.0 ** (failures - 1), self.longest_delay)

    def over(self, failures: int, sent: int, seconds: float) -> bool:
        """Whether to give up after ``failures`` in a row, ``sent`` sends in all, and ``seconds`` without a token."""
        return failures >= self.attempts or sent >= self.in_all or seconds > self.patience

    async def persist(self, ask: Callable[[], Awaitable[T]], what: str) -> T:
        """What ``ask`` gives, retried while that may help; ``what`` names it in the log. Raises ``BackendError``."""
        clock, failures = asyncio.get_running_loop(), 0
        began = clock.time()
        while True:
            try:
                return await ask()
            except BackendError as error:
                failures += error.attempts
                if not error.retryable or self.over(failures, failures, clock.time() - began):
                    raise
                _log.warning("asking again for %s: %s", what, error)
            await asyncio.sleep(self.delay(failures))
