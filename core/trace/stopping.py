"""Where a stream of sampled tokens ends: one rule for every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.backend import SamplingParams, Tokenizer

# A token spells at least one byte, so a stop string of b bytes ends within the last b tokens. The few extra tokens keep
# a character whose bytes began before the window from spoiling the match.
_MARGIN = 4


@dataclass(frozen=True, slots=True)
class Stop:
    """The stream ends after the first ``keep`` of the fed tokens; ``reason`` as in ``Delta.stop_reason``."""

    keep: int
    reason: str | int | None


class StopMatcher:
    """Watches one request's sampled tokens for its end.

    The tokens that complete a stop string are kept, and so is a stop token: a trace holds what was sampled. Text past
    the stop string inside its last token is kept for the same reason.
    """

    def __init__(self, tokenizer: Tokenizer, params: SamplingParams) -> None:
        self._tokenizer = tokenizer
        self._strings = params.stop
        self._stop_ids = frozenset(params.stop_token_ids)
        self._window = max((len(s.encode()) for s in params.stop), default=0) + _MARGIN
        self._recent: list[int] = []

    def feed(self, ids: Sequence[int]) -> Stop | None:
        """Take newly sampled ids; the stop among them, or None while the stream goes on."""
        if not self._strings and self._stop_ids.isdisjoint(ids) and self._tokenizer.eos_ids.isdisjoint(ids):
            return None
        for i, token in enumerate(ids):
            if token in self._stop_ids:
                return Stop(i + 1, token)
            if token in self._tokenizer.eos_ids:
                return Stop(i + 1, None)
            string = self._completed(token)
            if string is not None:
                return Stop(i + 1, string)
        return None

    def _completed(self, token: int) -> str | None:
        if not self._strings:
            return None
        self._recent.append(token)
        del self._recent[: -self._window]
        text = self._tokenizer.decode(self._recent)
        return next((s for s in self._strings if s in text), None)
