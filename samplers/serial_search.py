"""A search that the model itself writes out, as one long trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from widthwise.core.errors import BudgetReached, UsageError
from widthwise.core.registry import register
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace


@register("sampler")
@dataclass(frozen=True)
class SerialSearch(SamplerPart):
    """``n`` traces that write their search down step by step, including backtracking, before they answer.

    Stream of Search (Gandhi et al., arXiv 2404.03683); the serial counterpart of ``threads``. ``order``: "depth" or
    "breadth". ``window`` limits the whole sequence, including its prompt. For models trained to do so: raises
    ``UsageError`` for a prompt format without the question "search".
    """

    order: Literal["depth", "breadth"] = "depth"
    n: int = 1
    max_tokens: int | None = None
    window: int | None = None
    temperature: float | None = None
    top_p: float | None = None

    continues: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ("depth", "breadth"):
            raise ValueError(f"order must be 'depth' or 'breadth', not {self.order!r}")
        for name in ("n", "max_tokens", "window"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` for a model that was not trained to search."""
        _check("search" in conditions.setting.format.prompts)

    async def __call__(self, session: Session) -> list[Trace]:
        _check(session.asks("search"))
        root = session.ask("search", order=self.order)
        limits = [limit for limit in (self.max_tokens, session.max_tokens) if limit is not None]
        if self.window is not None:
            limits.append(self.window - len(root.token_ids))
        room = min(limits, default=None)
        if room is not None and room < 1:
            raise BudgetReached("the prompt leaves no room in the window")
        return await session.sample(root, self.n, max_tokens=room, temperature=self.temperature, top_p=self.top_p)


def _check(learned: bool) -> None:
    if not learned:
        raise UsageError(
            "serial_search needs a model that was trained to write a search down, but this one's prompt format "
            "has no question 'search': use the bundled reasoner"
        )
