"""How failed requests are sent again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a failed request is sent again; delays in seconds, doubling."""

    attempts: int = 8
    first_delay: float = 0.25
    longest_delay: float = 20.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after the given number of failures in a row."""
        return min(self.first_delay * 2.0 ** (failures - 1), self.longest_delay)
