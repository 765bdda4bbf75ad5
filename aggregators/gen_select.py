"""GenSelect: a model is shown a window of candidates at once and names the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np

from widthwise.aggregators.judging import candidates, replies
from widthwise.aggregators.window import Window, Windows, check_draws
from widthwise.core.answer import Answer, AnswerClass, TieBreak, elect
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.strategy.verification import note_silence
from widthwise.core.trace.trace import Trace

WindowRule = Literal["vote", "tournament"]


@register("aggregator")
@dataclass(frozen=True)
class GenSelect(ModelPart):
    """The model compares a whole window of candidates and names the best (Moshkov et al., arXiv 2504.16891).

    The AIMO-2 report; Toshniwal et al., arXiv 2507.17797, compares the method with others. Candidates are the traces
    that state an answer, each shown by what follows its thinking (``shown_tokens``: by the end of that). With
    ``decide="vote"`` each of ``draws`` questions shows a random ``window`` of them in a random order, and the answer
    that is named most often wins, among equals the one with more votes. The report's release shows up to 16 and
    evaluates with 64 draws; its later examples draw 8 times. With ``decide="tournament"`` all candidates are cut into
    windows, each asked about ``draws`` times in orders of their own, and the one named most often (a lot among equals)
    goes on until one is left: ``draws`` questions per window, ``ceil(N / window)`` windows in the first round.

    Differences from the release: the question is worded by the model's prompt format ("choose"), which counts from 1;
    windows of a tournament are of nearly equal size; a window that states a single answer is not asked about. A reply
    that names none, or several, has no vote, where the release draws a lot; it is noted, and if no reply names one, the
    plain vote decides.
    """

    window: int = 16
    draws: int = 8
    decide: WindowRule = "vote"
    shown_tokens: int | None = None
    tie: TieBreak = "first"

    questions: ClassVar[tuple[str, ...]] = ("choose",)

    def __post_init__(self) -> None:
        check_draws(self.draws)
        Windows(self.window, self.shown_tokens)
        if self.decide not in get_args(WindowRule):
            raise ValueError(f"decide must be one of {', '.join(get_args(WindowRule))}, not {self.decide!r}")

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        classes = await candidates(session, traces)
        if len(classes) < 2:
            return elect(classes)
        selection = _Selection(session, classes, traces, Windows(self.window, self.shown_tokens))
        if self.decide == "vote":
            drawn = selection.windows.drawn(len(selection.entered), self.draws, selection.rng("windows"))
            named = Counter(each for choices in await selection.named(drawn, 1) for each in choices)
        else:
            named = await selection.tournament(self.draws)
        selection.note()
        if selection.silent:
            return elect(classes, self.tie, session.seed("tie"))
        return elect([selection.weighed(c, named) for c in classes], self.tie, session.seed("tie"))


class _Selection:
    """One problem's candidates, and what was said about them."""

    def __init__(
        self, session: Session, classes: Sequence[AnswerClass], traces: Sequence[Trace], windows: Windows
    ) -> None:
        self.session, self.windows, self.traces = session, windows, traces
        self.answers = {t.id: number for number, c in enumerate(classes) for t in c.traces}
        self.entered = [t for t in traces if t.id in self.answers]
        self.replied: list[Trace] = []
        self.asked = self.said = self.lots = 0

    @property
    def silent(self) -> bool:
        """Whether questions were asked, and no reply named a candidate."""
        return self.asked > 0 and not self.said

    def rng(self, *place: int | str) -> np.random.Generator:
        return np.random.default_rng(self.session.seed(*place))

    async def named(self, windows: Sequence[Window], draws: int) -> list[list[int]]:
        """The candidates that replies name in each window; where all state one answer, the first, without asking."""
        orders = [order for window in windows if self._differ(window) for order in self._orders(window, draws)]
        after = [*self.traces, *self.replied]
        asked = [self.windows.ask(self.session, "choose", [self.entered[i] for i in order], after) for order in orders]
        self.asked += len(asked)
        answered = await replies(self.session, asked)
        choices = iter([self._choices(order, each) for order, each in zip(orders, answered, strict=True)])
        return [
            [i for _ in range(draws) for i in next(choices)] if self._differ(window) else [window[0]] * draws
            for window in windows
        ]

    async def tournament(self, draws: int) -> Counter[int]:
        """How many rounds each candidate has passed."""
        alive, passed, number = list(range(len(self.entered))), Counter[int](), 0
        while len(alive) > 1:
            number += 1
            windows = self.windows.cut(self.rng("bracket", number).permutation(alive).tolist())
            named = await self.named(windows, draws)
            self.lots += sum(not names for names in named)
            rng = self.rng("lots", number)
            alive = [_most_named(names or window, rng) for window, names in zip(windows, named, strict=True)]
            passed.update(alive)
        return passed

    def note(self) -> None:
        """Note how many replies named nobody, and what that led to."""
        note_silence(self.session, self.said, len(self.replied), self.replied)
        if self.silent:
            self.session.note(self.session.root, "no reply named a candidate: the plain vote decided")
        elif self.lots:
            self.session.note(
                self.session.root, f"lots decided {self.lots} windows in which no reply named a candidate"
            )

    def weighed(self, answer: AnswerClass, named: Counter[int]) -> AnswerClass:
        """``answer`` with what its traces were named for, the one named most first."""
        times = {self.entered[i].id: n for i, n in named.items()}
        own = sorted(answer.traces, key=lambda t: -times.get(t.id, 0))
        weight = float(sum(times.get(t.id, 0) for t in own))
        return replace(answer, traces=tuple(own), weight=weight)

    def _differ(self, window: Window) -> bool:
        return len({self.answers[self.entered[i].id] for i in window}) > 1

    def _orders(self, window: Window, draws: int) -> list[Window]:
        rng = self.rng("orders", *window)
        return [window, *(rng.permutation(window).tolist() for _ in range(draws - 1))]

    def _choices(self, order: Window, answered: Sequence[Trace]) -> list[int]:
        """The candidates that the replies to one question name."""
        choices = [self.session.choice(reply, len(order)) for reply in answered]
        for reply, choice in zip(answered, choices, strict=True):
            self.session.annotate(reply, choice=choice)
        found = [order[choice - 1] for choice in choices if choice is not None]
        self.replied += answered
        self.said += len(found)
        return found


def _most_named(names: Sequence[int], rng: np.random.Generator) -> int:
    """The most frequent of ``names``, by lot among equals."""
    counts = Counter(names)
    return int(rng.choice([name for name in counts if counts[name] == max(counts.values())]))
