"""Contests: candidates that a judge compares in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from widthwise.aggregators.judging import candidates, replies, shown
from widthwise.core.answer import Answer, AnswerClass, TieBreak, elect
from widthwise.core.session.session import Session
from widthwise.core.strategy.verification import note_silence
from widthwise.core.trace.trace import Trace

Contestants = Literal["traces", "answers"]
"""What takes part: every trace that states an answer, or every answer once, shown by the first trace that states it.

With traces, a frequent answer takes part many times: its frequency counts, and a wrong verdict costs it only one of
them. Answers are fewer, and need fewer comparisons, but a single wrong verdict can eliminate the most frequent one.
"""


@dataclass(frozen=True, slots=True)
class Match:
    """Comparisons of two candidates: how many each has won, and the replies they were read from.

    ``share`` is the mean probability with which the replies prefer the first; a half if none names a winner.
    """

    wins: tuple[int, int] = (0, 0)
    replies: tuple[Trace, ...] = ()
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Contest:
    """Candidates, and for each the number of its answer among ``classes``.

    With ``skip_equal``, two candidates with the same answer are not compared: their match has no replies and no winner.
    """

    session: Session
    classes: list[AnswerClass]
    candidates: list[AnswerClass]
    answers: list[int]
    skip_equal: bool

    @classmethod
    async def of(cls, session: Session, traces: Sequence[Trace], entry: Contestants, *, skip_equal: bool) -> Contest:
        """Traces enter in their order, answers in order of their votes, most first."""
        classes = await candidates(session, traces)
        if entry == "answers":
            return cls(session, classes, classes, list(range(len(classes))), skip_equal)
        answer = {t.id: number for number, c in enumerate(classes) for t in c.traces}
        entered = [t for t in traces if t.id in answer]
        singles = [AnswerClass(session.answer(t) or "", (t,), 1.0) for t in entered]
        return cls(session, classes, singles, [answer[t.id] for t in entered], skip_equal)

    async def matches(self, pairs: Sequence[tuple[int, int]], k: int, after: Sequence[Trace]) -> list[Match]:
        """The matches of ``pairs`` of candidates, in their order: ``k`` comparisons each, all asked for at once.

        Half of them show the pair in either order, so that a judge's preference for a position cancels out; if ``k`` is
        odd, one more shows the first of the pair first.
        """
        asked = [
            (self._asked(*order, after), times)
            for i, j in pairs
            if not self._skipped(i, j)
            for order, times in (((i, j), k - k // 2), ((j, i), k // 2))
            if times
        ]
        answered = await replies(self.session, [q for q, _ in asked], [times for _, times in asked])
        orders = min(k, 2)
        found = iter([self._match(answered[n : n + orders]) for n in range(0, len(answered), orders)])
        return [Match() if self._skipped(i, j) else next(found) for i, j in pairs]

    def settle(self, weights: Sequence[float], matches: Sequence[Match], tie: TieBreak) -> Answer:
        """The candidate with the largest weight; the plain vote if none of ``matches`` named a winner."""
        session, asked = self.session, [reply for match in matches for reply in match.replies]
        said = sum(sum(match.wins) for match in matches)
        note_silence(session, said, len(asked), asked)
        if len(self.classes) > 1 and not said:
            session.note(session.root, "no comparison named a winner: the plain vote decided")
            return elect(self.classes, "first" if tie == "random" else tie)
        weighed = [replace(c, weight=weight) for c, weight in zip(self.candidates, weights, strict=True)]
        return elect(weighed, tie, session.seed("tie"))

    def _skipped(self, i: int, j: int) -> bool:
        return self.skip_equal and self.answers[i] == self.answers[j]

    def _asked(self, first: int, second: int, after: Sequence[Trace]) -> Trace:
        one, two = (shown(self.session, self.candidates[place]) for place in (first, second))
        return self.session.ask("compare", first=one, second=two, after=after)

    def _match(self, orders: Sequence[Sequence[Trace]]) -> Match:
        """The result of replies: first those that saw the pair in its order, then those that saw it reversed."""
        chosen: list[int] = []
        shares: list[float] = []
        for turned, order in enumerate(orders):
            places = [self.session.choice(reply, 2) for reply in order]
            for reply, place in zip(order, places, strict=True):
                self.session.annotate(reply, choice=place)
            said = [(place, self.session.preference(r)) for r, place in zip(order, places, strict=True) if place]
            chosen += [3 - place if turned else place for place, _ in said]
            shares += [1 - first if turned else first for _, first in said]
        share = sum(shares) / len(shares) if shares else 0.5
        replied = tuple(reply for order in orders for reply in order)
        return Match((chosen.count(1), chosen.count(2)), replied, share)


def check_contest(entry: str, comparisons: int, name: str) -> None:
    """Raises ``ValueError`` for an unknown entry, and for fewer than one comparison (the argument ``name``)."""
    if entry not in get_args(Contestants):
        raise ValueError(f"entry must be one of {', '.join(get_args(Contestants))}, not {entry!r}")
    if comparisons < 1:
        raise ValueError(f"{name} must be at least 1, not {comparisons}")
