"""A second opinion on every trace: does somebody who sees only its beginning come to the same answer?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np

from widthwise.aggregators.judging import candidates
from widthwise.core.answer import Answer, AnswerClass, TieBreak, elect
from widthwise.core.errors import BudgetReached
from widthwise.core.registry import register
from widthwise.core.scores.trace_score import check_score, recorded_score, trace_scores
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.trace.trace import Trace

ConsistencyMode = Literal["loose", "mid", "strict", "majority"]


@register("aggregator")
@dataclass(frozen=True)
class MutualConsistency(ModelPart):
    """Each trace is cut, and ``k`` times completed; it counts if enough completions come to its answer.

    The mutual check of rStar (Qi et al., arXiv 2408.06195), whose discriminator is a second model: ``model`` names it,
    and without a name the same model checks. A cut is at the end of a step, so that a share of ``least`` to ``most`` of
    the trace's steps stay (at a word, if no step ends there). ``mode``: "mid" needs half of the completions, "loose"
    one, "strict" all, and "majority" that no other answer is more frequent among them. Traces that all agree are not
    checked, and one that could not be checked for lack of budget counts.

    A trace stands for as many as its recorded ``frequency`` says (how often ``rstar`` found it; 1 where none is
    recorded). An answer weighs the worth of its traces that count, divided by the frequency of all traces that count,
    plus the share of its own frequency that counts. The worth of a trace is the number ``by``, for all that it stands
    for: ``by="score"`` is what ``rstar`` gave it. Without ``by`` it is the frequency (the release's ``rc_criteria``
    "freq"). If no trace counts, the worth of all traces decides.

    The weight and the defaults of ``k``, ``mode`` and ``temperature`` are those of the released code. Differences from
    it: the score of ``rstar`` has the rewards, whereas there all that are not negative are read as 1 (``min(0, reward)
    + 1``), so that its worth is the frequency (here: without ``by``); "mid" rounds half of an odd number up, there down
    (one completion would need no agreement); it cuts at ``k`` fixed shares between 20 % and 50 % of the words, whereas
    here ends of steps are drawn from the paper's 20 % to 80 %; it checks solutions of the same words once, and leaves
    out answers of over 100 characters; and it has the model answer in the form of examples.
    """

    k: int = 4
    mode: ConsistencyMode = "mid"
    least: float = 0.2
    most: float = 0.8
    by: str | None = None
    temperature: float | None = 1.0
    tie: TieBreak = "first"

    continues: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.k < 1 or self.mode not in get_args(ConsistencyMode):
            raise ValueError(f"k must be at least 1, and mode one of {', '.join(get_args(ConsistencyMode))}")
        if not 0 <= self.least <= self.most < 1:
            raise ValueError("least and most are shares from 0 to below 1, least not above most")

    def check(self, conditions: Conditions) -> None:
        if self.by is not None:
            check_score(self.by, conditions, self.brief())

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        classes = await candidates(session, traces)
        if len(classes) < 2:
            return elect(classes)
        shown = [trace for each in classes for trace in each.traces]
        completions = await self._completed(session, shown)
        counted = await self._counted(session, classes, completions)
        if not counted:
            session.note(session.root, f"no completion confirmed any trace: the {self.by or 'vote'} of all decides")
        times = {trace: frequency(trace) for trace in shown}
        worth = await self._worth(session, times)
        classes = [replace(each, weight=weight(each, counted, worth, times)) for each in classes]
        return elect(classes, self.tie, session.seed("tie"))

    async def _completed(self, session: Session, traces: Sequence[Trace]) -> dict[Trace, list[Trace]]:
        """What was made of the beginnings of each trace; equal beginnings share their tokens."""
        owners: dict[Trace, Trace] = {}
        asked: list[Trace] = []
        for trace in traces:
            for end, times in sorted(Counter(self._ends(session, trace)).items()):
                begun = session.begun(trace, end)
                piece = begun if trace.model == session.root.model else begun.text
                root = session.append(session.root, [piece], after=[trace], facts={"checks": "mutual"})
                owners[root] = trace
                asked += [root] * times
        try:
            drawn = await session.sample(asked, judging=True, temperature=self.temperature)
        except BudgetReached:
            drawn = []
        found: dict[Trace, list[Trace]] = {trace: [] for trace in traces}
        for reply in drawn:
            if reply.stem is not None and reply.finish != "budget":
                found[owners[reply.stem]].append(reply)
        return found

    def _ends(self, session: Session, trace: Trace) -> list[int]:
        """Where the trace is cut, ``k`` times: characters since its prompt."""
        text = session.begun(trace, len(trace.completion)).text
        ends = _between(text, session.step_separator, self.least, self.most) or _between(
            text, " ", self.least, self.most
        )
        chance = np.random.default_rng(session.seed("cut", *trace.id))
        return [int(end) for end in chance.choice(ends or [0], self.k, replace=len(ends) < self.k)]

    async def _counted(
        self, session: Session, classes: Sequence[AnswerClass], completions: Mapping[Trace, Sequence[Trace]]
    ) -> set[Trace]:
        """The traces whose answer enough of their completions state."""
        replies = [reply for each in completions.values() for reply in each]
        grouped = await session.classes([*completions, *replies])
        answers = {trace: number for number, each in enumerate(grouped) for trace in each.traces}
        for trace, drawn in completions.items():
            for reply in drawn:
                session.annotate(reply, agrees=answers.get(reply) == answers[trace])
        silent = sum(reply not in answers for reply in replies)
        if silent:
            session.note(session.root, f"{silent} of {len(replies)} completions stated no answer")
        return {
            trace
            for trace, drawn in completions.items()
            if not drawn or confirmed([answers.get(reply) for reply in drawn], answers[trace], self.mode)
        }

    async def _worth(self, session: Session, times: Mapping[Trace, float]) -> dict[Trace, float]:
        if self.by is None:
            return {trace: session.weight(trace) * frequency for trace, frequency in times.items()}
        scores = await trace_scores(session, list(times), self.by)
        return {trace: score or 0.0 for trace, score in zip(times, scores, strict=True)}


def confirmed(answers: Sequence[int | None], answer: int, mode: ConsistencyMode) -> bool:
    """Whether completions with these ``answers`` (None: none stated) confirm a trace that states ``answer``."""
    counts = Counter(each for each in answers if each is not None)
    if mode == "majority":
        return 0 < counts[answer] == max(counts.values(), default=0)
    return counts[answer] >= {"loose": 1, "mid": math.ceil(len(answers) / 2), "strict": len(answers)}[mode]


def frequency(trace: Trace) -> float:
    """For how many solutions the trace stands: a recorded number above 0, else 1."""
    found = recorded_score(trace, "frequency")
    return found if found is not None and 0 < found < math.inf else 1.0


def weight(each: AnswerClass, counted: set[Trace], worth: Mapping[Trace, float], times: Mapping[Trace, float]) -> float:
    """The weight of one answer, from the worth and the frequency (``times``) of all traces and those that are counted.

    0 if none of its own is counted; its share of the worth if no trace is.
    """
    pool = counted or set(times)
    kept = [trace for trace in each.traces if trace in pool]
    survival = sum(times[trace] for trace in kept) / sum(times[trace] for trace in each.traces)
    return sum(worth[trace] for trace in kept) / sum(times[trace] for trace in pool) + survival * bool(counted)


def _between(text: str, separator: str, least: float, most: float) -> list[int]:
    """The ends of those separators in ``text`` that have a share of ``least`` to ``most`` of its pieces before them."""
    pieces = text.split(separator)
    ends = np.cumsum([len(piece) + len(separator) for piece in pieces]).tolist()
    return [end for i, end in enumerate(ends[:-1], 1) if least <= i / len(pieces) <= most]
