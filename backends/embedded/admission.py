"""Which sequences may start, so that those that have started can stay in memory until they end."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container

from widthwise.backends.embedded.llama import BUCKET, bucket
from widthwise.backends.embedded.token_sequence import TokenSequence

# What is expected before anything has ended: sampled tokens per sequence, and how many such sequences that counts for.
_USUAL = 128
_SEEN = 8
# An ended sequence counts half as much after this many others: the next ones resemble the last ones.
_HALVED = 256


class Admission:
    """The sequences that are alive, in the order in which they are served, and how far down that order memory reaches.

    A sequence may start if what it and all older ones are expected to hold at their ends fits in ``capacity`` tokens of
    keys and values. One that started too early would be evicted as the older ones grow, and computed again. A sequence
    is expected to sample as many tokens as others did: the mean over those that ended, weighted by their tokens,
    because long ones hold memory for longer. This decides when tokens are computed, never which.

    A sequence that nobody asks to advance may wait for younger ones, as the branches of one draw do when not all of
    them fit. So no memory is kept for such a one if its priority is the first, or if nothing else runs.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._alive: list[TokenSequence] = []
        self._sampled, self._squared = float(_SEEN * _USUAL), float(_SEEN * _USUAL**2)

    def enter(self, sequence: TokenSequence) -> None:
        """Count a sequence as alive; entering twice is fine."""
        if not self._holds(sequence):
            insort(self._alive, sequence)

    def leave(self, sequence: TokenSequence) -> None:
        """Learn from a sequence that has ended or was aborted; leaving twice is fine."""
        if not self._holds(sequence):
            return
        del self._alive[bisect_left(self._alive, sequence)]
        sampled, kept = len(sequence) - len(sequence.request.prompt), 0.5 ** (1 / _HALVED)
        if sampled and sequence.probe is None:  # one that sampled nothing tells of no length
            self._sampled = kept * self._sampled + sampled
            self._squared = kept * self._squared + sampled**2

    def last(self, asking: Container[TokenSequence], *, running: bool) -> TokenSequence | None:
        """The youngest of those ``asking`` that may start; the oldest of them always may.

        ``running`` says whether any sequence is being computed.
        """
        left, last = self._capacity, None
        for sequence in self._alive:
            asks = sequence in asking
            if not asks and (not running or sequence.place[0] == self._alive[0].place[0]):
                continue
            left -= self._expected(sequence)
            if left < 0 and last is not None:
                break
            last = sequence if asks else last
        return last

    def _expected(self, sequence: TokenSequence) -> int:
        """Tokens for which a sequence will need memory, which comes in buckets; at least those for which it has it."""
        expected = len(sequence.request.prompt) + round(self._squared / self._sampled) + BUCKET // 2
        return max(min(expected, bucket(sequence.limit)), bucket(len(sequence)))

    def _holds(self, sequence: TokenSequence) -> bool:
        place = bisect_left(self._alive, sequence)
        return place < len(self._alive) and self._alive[place] is sequence
