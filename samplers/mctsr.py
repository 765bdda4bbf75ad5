"""Monte Carlo tree self-refine: answers that the model criticises, rewrites and grades itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from widthwise.core.errors import BudgetReached
from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.verification import cut_off, note_silence
from widthwise.core.trace.trace import Trace
from widthwise.pruning.self_refine import WORST, Attempt, chosen, qualities
from widthwise.samplers.workspace import Shown, readable

NOTHING = "I don't know the answer to this question."
"""The answer that says nothing, from which the search may begin anew."""


@register("sampler", "mctsr")
@dataclass(frozen=True)
class MCTSr(SamplerPart):
    """An answer, and ``rollouts`` times a better version of the answer that seems most worth the effort.

    Zhang et al., "Accessing GPT-4 level Mathematical Olympiad Solutions via Monte Carlo Tree Self-refine" (arXiv
    2406.07394). A rollout chooses an answer (``widthwise.pruning.self_refine`` has the rule: ``c`` weights exploration,
    and ``children`` versions are enough unless none is better), has the model grade it once more, criticise it and
    rewrite it, and grade the new version. Grades are from -100 to 100; 95 and more count as 50. Besides the first
    answer, the search begins with one that says nothing. All answers are returned with their ``score``, the paper's Q
    moved to [0, 1]: ``best_by(score='score')`` is its choice. ``workspace_tokens`` is how much of an answer and of what
    was said about it is shown. A model that was trained to say only whether an answer is right grades it by that word.

    Constants are those of the released code (the paper reports 4 and 8 rollouts). Differences: that code stops as soon
    as the reference answer is found; raises the Q of parents only, not of all answers above; asks until a grade can be
    read, whereas here the missing one is noted and counts for nothing; and words its questions differently.
    """

    rollouts: int = 8
    _: KW_ONLY
    children: int = 3
    c: float = 1.4
    workspace_tokens: int | None = 4096

    facts: ClassVar[tuple[str, ...]] = ("score",)
    questions: ClassVar[tuple[str, ...]] = ("grade", "criticise", "rewrite")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rollouts < 0 or self.children < 1 or not 0 <= self.c < float("inf"):
            raise ValueError("rollouts must be at least 0, children at least 1, and c not below 0 and finite")
        if self.workspace_tokens is not None and self.workspace_tokens < 2:
            raise ValueError("workspace_tokens must be at least 2")

    async def __call__(self, session: Session) -> list[Trace]:
        attempts: list[Attempt] = []
        try:
            await self._begin(session, attempts)
            for _ in range(self.rollouts):
                await self._refine(session, attempts)
        except BudgetReached:
            if not any(attempt.content for attempt in attempts):
                raise
        _note_grades(session)
        quality = qualities(attempts)
        return [
            session.annotate(attempt.content, score=(quality[attempt] - WORST) / (-2 * WORST))
            for attempt in attempts
            if attempt.content is not None
        ]

    async def _begin(self, session: Session, attempts: list[Attempt]) -> None:
        """The first answer, and the one that says nothing."""
        attempts += [Attempt(trace) for trace in readable(session, await session.sample(session.root))]
        attempts.append(Attempt())
        await self._grade(session, attempts)

    async def _refine(self, session: Session, attempts: list[Attempt]) -> None:
        """One rollout."""
        attempt = chosen(attempts, self.children, self.c)
        said = await self._grade(session, [attempt], criticise=True)
        draft, feedback = self._shown(session, attempt), Shown(self.workspace_tokens).texts(session, said, 2)
        root = session.ask("rewrite", draft=draft, feedback="".join(feedback).strip(), after=[*_known(attempt), *said])
        for trace in readable(session, await session.sample(root)):
            attempts.append(attempt.refined(trace))
            await self._grade(session, attempts[-1:])

    async def _grade(self, session: Session, attempts: Sequence[Attempt], *, criticise: bool = False) -> list[Trace]:
        """Grade each of ``attempts``, in one draw with a critique of the first; what the critique says."""
        kinds = [("grade", attempt) for attempt in attempts] + [("criticise", attempts[0])] * criticise
        asked = [session.ask(kind, draft=self._shown(session, one), after=_known(one)) for kind, one in kinds]
        replies = {reply.stem: reply for reply in await session.sample(asked, judging=True)}
        for question, attempt in zip(asked, attempts, strict=False):
            reply = replies.pop(question, None)
            attempt.graded(None if reply is None else _grade_in(session, reply))
        said = readable(session, list(replies.values()))
        if criticise and not said:
            session.note(session.root, f"an answer was not criticised{cut_off(session, list(replies.values()))}")
        return said

    def _shown(self, session: Session, attempt: Attempt) -> str:
        if attempt.content is None:
            return NOTHING
        [text] = Shown(self.workspace_tokens).texts(session, _known(attempt), 2)
        return text


def _known(attempt: Attempt) -> list[Trace]:
    return [] if attempt.content is None else [attempt.content]


def _grade_in(session: Session, reply: Trace) -> float | None:
    """The grade that a reply states; it is kept with the reply."""
    grade = session.grade(reply, WORST, -WORST)
    session.annotate(reply, grade=grade)
    return grade


def _note_grades(session: Session) -> None:
    replies = [reply for reply in session.judgements if "grade" in reply.metadata]
    said = sum(reply.metadata["grade"] is not None for reply in replies)
    note_silence(session, said, len(replies), replies)
