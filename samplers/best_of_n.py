"""Best-of-N: independent samples of one prompt, for a vote or a choice by score."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace


@register("sampler")
@dataclass(frozen=True)
class BestOfN(SamplerPart):
    """``n`` independent traces, each with its own derived seed, sharing the prompt's cache.

    With a vote after it this is self-consistency (Wang et al., arXiv 2203.11171), with a choice by score verifier
    re-ranking (Cobbe et al., arXiv 2110.14168). Pruners and budgets may stop the rest at any token.

    The traces grow side by side, at most ``width`` of them at once (None: all). If a token budget may be too small for
    ``n`` traces, a trace begins only once the budget is certain to buy it whole (``core/session/launches.py``).
    """

    n: int = 16
    width: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise ValueError(f"n must be at least 1, not {self.n}")
        if self.width is not None and self.width < 1:
            raise ValueError(f"width must be at least 1, not {self.width}")

    async def __call__(self, session: Session) -> list[Trace]:
        return await session.sample(
            session.root,
            self.n,
            width=self.width,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
        )
