"""A quantity watched while tokens are sampled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Gauge:
    """The maximum of a quantity, and its mean over sampled tokens."""

    peak: int = 0
    _area: int = 0
    _tokens: int = 0

    @property
    def mean(self) -> float:
        return self._area / self._tokens if self._tokens else 0.0

    def note(self, amount: int, tokens: int) -> None:
        """It was at ``amount`` after so many more tokens."""
        self.peak = max(self.peak, amount)
        self._area += amount * tokens
        self._tokens += tokens
