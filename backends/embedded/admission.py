"""Which sequences may start, so that those that have started can stay in memory until they end."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Container
from dataclasses import dataclass, field

from widthwise.backends.embedded.llama import BUCKET, bucket
from widthwise.backends.embedded.token_sequence import TokenSequence

# What is expected before anything has ended: sampled tokens per sequence, and how many such sequences that counts for.
_USUAL = 128
_SEEN = 8
# An ended sequence counts half as much after this many others: the next ones resemble the last ones.
_HALVED = 256
# For how many looks a search has its memory after it was widest: longer than a round and its scoring usually take.
_KEPT = 64


@dataclass(slots=True)
class _Problem:
    """The requests of one priority: the sequences that are alive, in order, and what they lately needed."""

    alive: list[TokenSequence] = field(default_factory=list)
    # The most tokens for which it lately needed memory, and at which look.
    widest: int = 0
    look: int = 0
    # Whether it asked again after nothing of it was alive: then it may do so once more.
    is_search: bool = False

    def note(self, needed: int, look: int) -> None:
        """Remember how many tokens it needed at this look, if they are its most of late."""
        if needed >= self.widest or look - self.look > _KEPT:
            self.widest, self.look = needed, look

    def holds(self, sequence: TokenSequence) -> bool:
        place = bisect_left(self.alive, sequence)
        return place < len(self.alive) and self.alive[place] is sequence


class Admission:
    """The sequences that are alive, in the order in which they are served, and how far down that order memory reaches.

    A sequence may start if what it and all older ones are expected to hold at their ends fits in ``capacity`` tokens of
    keys and values. One that started too early would be evicted as the older ones grow, and computed again. A sequence
    is expected to sample as many tokens as others did: the mean over those that ended, weighted by their tokens,
    because long ones hold memory for longer. This decides when tokens are computed, never which.

    A search asks round by round, and continues prefixes that only the cache holds between two rounds. If younger
    problems began then, they would evict these. So what a search needed at its widest is kept for it a while longer.
    Nothing is kept for a problem that asks once, as a vote does: it would only empty the batch.

    A sequence that nobody asks to advance may wait for younger ones, as the branches of one draw do when not all of
    them fit. So no memory is kept for such a one if its priority is the first, or if nothing else runs.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._problems: dict[int, _Problem] = {}  # by priority
        self._looks = 0
        self._sampled, self._squared = float(_SEEN * _USUAL), float(_SEEN * _USUAL**2)

    def enter(self, sequence: TokenSequence) -> None:
        """Count a sequence as alive; entering twice is fine."""
        problem = self._problems.setdefault(sequence.place[0], _Problem())
        if not problem.alive:
            problem.note(0, self._looks)
            problem.is_search = problem.widest > 0
        if not problem.holds(sequence):
            insort(problem.alive, sequence)

    def leave(self, sequence: TokenSequence) -> None:
        """Learn from a sequence that has ended or was aborted; leaving twice is fine."""
        problem = self._problems.get(sequence.place[0])
        if problem is None or not problem.holds(sequence):
            return
        del problem.alive[bisect_left(problem.alive, sequence)]
        sampled, kept = len(sequence) - len(sequence.request.prompt), 0.5 ** (1 / _HALVED)
        if sampled and sequence.probe is None:  # one that sampled nothing tells of no length
            self._sampled = kept * self._sampled + sampled
            self._squared = kept * self._squared + sampled**2

    def last(self, asking: Container[TokenSequence], *, running: bool) -> TokenSequence | None:
        """The youngest of those ``asking`` that may start: at least the oldest of them if nothing runs.

        ``running`` says whether any sequence is being computed.
        """
        self._looks += 1
        left, last, problems = self._capacity, None, self._in_order()
        first = next((problem for problem in problems if problem.alive), None)
        for problem in problems:
            needed = 0
            problem.note(needed, self._looks)
            for sequence in problem.alive:
                asks = sequence in asking
                if not asks and (not running or problem is first):
                    continue
                needed += self._expected(sequence)
                problem.note(needed, self._looks)
                if needed > left and (last is not None or (running and left < self._capacity)):
                    return last
                last = sequence if asks else last
            left -= problem.widest if problem.is_search else needed
        return last

    def _in_order(self) -> list[_Problem]:
        """The problems for which memory is or may be needed, oldest first; the others are forgotten."""
        known = ((priority, self._problems[priority]) for priority in sorted(self._problems))
        self._problems = {priority: problem for priority, problem in known if problem.alive or problem.widest}
        return list(self._problems.values())

    def _expected(self, sequence: TokenSequence) -> int:
        """Tokens for which a sequence will need memory, which comes in buckets; at least those for which it has it."""
        expected = len(sequence.request.prompt) + round(self._squared / self._sampled) + BUCKET // 2
        return max(min(expected, bucket(sequence.limit)), bucket(len(sequence)))
