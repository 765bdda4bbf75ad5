"""Candidates checked by programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from widthwise.aggregators.judging import candidates, replies
from widthwise.core.answer import Answer, TieBreak, elect
from widthwise.core.prompting.verdict import printed, program
from widthwise.core.registry import register
from widthwise.core.sandbox.language import MODULES
from widthwise.core.sandbox.sandbox import Execution, Limits, execute_all, require_walls
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.strategy.verification import note_silence
from widthwise.core.trace.trace import Trace


@register("aggregator")
@dataclass(frozen=True)
class ProgramCheck(ModelPart):
    """Have the model write ``k`` programs that check a candidate, run them in a sandbox, and weight the votes by it.

    A candidate is a class of equivalent answers; it weighs ``votes * exp(strength * (passes - fails))``. A program that
    prints no truth value, crashes, or is refused by the sandbox counts as neither; its refusal is recorded with the
    reply. Each may take ``seconds`` of processor time. A single candidate is not checked.
    """

    k: int = 3
    strength: float = 1.0
    seconds: float = 10.0
    tie: TieBreak = "first"

    questions: ClassVar[tuple[str, ...]] = ("check",)

    def __post_init__(self) -> None:
        if self.k < 1 or not (0 < self.strength < math.inf and 0 < self.seconds < math.inf):
            raise ValueError("k must be at least 1, strength and seconds must be above 0 and finite")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if programs cannot be confined: none is run with a wall missing."""
        require_walls()

    async def __call__(self, session: Session, traces: Sequence[Trace]) -> Answer:
        classes = await candidates(session, traces)
        if len(classes) > 1:
            modules = ", ".join(MODULES)
            asked = [session.ask("check", answer=c.answer, modules=modules, after=traces) for c in classes]
            answered = await replies(session, asked, self.k)
            verdicts = await self._verdicts(session, [reply for each in answered for reply in each])
            balance = [sum(verdicts[reply] for reply in each) for each in answered]
            # Only ratios of weights matter: subtracting the largest exponent prevents overflow.
            logs = [math.log(c.weight) + self.strength * b for c, b in zip(classes, balance, strict=True)]
            classes = [replace(c, weight=math.exp(x - max(logs))) for c, x in zip(classes, logs, strict=True)]
        return elect(classes, self.tie, session.seed("tie"))

    async def _verdicts(self, session: Session, written: Sequence[Trace]) -> dict[Trace, int]:
        """What each reply's program says: 1 for right, -1 for wrong, 0 for nothing."""
        programs = [program(session.solution(reply)) if reply.finish == "stop" else None for reply in written]
        limits = Limits(cpu_seconds=self.seconds, wall_seconds=60 + 3 * self.seconds)
        executed = iter(await execute_all([p for p in programs if p is not None], limits))
        runs = [Execution("", "it holds no program") if p is None else next(executed) for p in programs]
        verdicts = {}
        for reply, run in zip(written, runs, strict=True):
            verdict = None if run.refusal else printed(run.output)
            session.annotate(reply, verdict=verdict, refusal=run.refusal)
            verdicts[reply] = 0 if verdict is None else 1 if verdict else -1
        note_silence(session, sum(v != 0 for v in verdicts.values()), len(verdicts), written)
        return verdicts
