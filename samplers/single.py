"""One sample: the baseline every other strategy is measured against."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace


@register("sampler")
@dataclass(frozen=True)
class Single(SamplerPart):
    """One trace per problem; needs no aggregator."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None

    async def __call__(self, session: Session) -> list[Trace]:
        return await session.sample(
            session.root, temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens
        )
