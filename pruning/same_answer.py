"""A judge that reads two unfinished traces and says whether they will agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from widthwise.core.registry import register
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.model_part import ModelPart
from widthwise.core.trace.trace import Trace


@register("judge")
@dataclass(frozen=True)
class SameAnswer(ModelPart):
    """Asks the model the question "same_answer" about both texts, and reads the probability of yes off one token.

    DeepPrune's judge (arXiv 2510.08483): a model trained for it, such as the bundled reasoner, or any prompted chat
    model. Both texts are shown up to the length of the shorter one; the bundled reasoner sees only their last steps.
    The words for yes and no are looked up among the ``logprobs`` most likely tokens. A model that thinks is asked with
    its thinking prefilled as finished: what it would say at once.
    """

    logprobs: int = 5

    questions: ClassVar[tuple[str, ...]] = ("same_answer",)

    def __post_init__(self) -> None:
        if self.logprobs < 1:
            raise ValueError(f"logprobs must be at least 1, not {self.logprobs}")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` if the model thinks and cannot be kept from it."""
        if conditions.setting.thinks:
            conditions.continuation(self.brief())

    async def __call__(self, session: Session, trace: Trace, others: Sequence[Trace]) -> list[float | None]:
        questions = []
        for other in others:
            first, second = session.side_by_side(other, trace)
            questions.append(session.ask("same_answer", after=(other, trace), first=first, second=second))
        one_token: dict[str, Any] = {"max_tokens": 1, "temperature": 0.0, "thinking": 0 if session.thinks else None}
        replies = await session.sample(questions, judging=True, logprobs=self.logprobs, **one_token)
        said = {reply.stem: session.verdict(reply) for reply in replies}
        return [said.get(question) for question in questions]
