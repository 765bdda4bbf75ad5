"""What every built-in sampler has besides its own arguments."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import declares
from widthwise.core.session.thought_budget import ThoughtBudget
from widthwise.core.strategy.model_part import ModelPart


@declares("sampler")
@dataclass(frozen=True, kw_only=True)
class SamplerPart(ModelPart):
    """A sampler with a thinking budget for each of its traces; the session applies it to everything drawn.

    Budget forcing (s1, Muennighoff et al., arXiv 2501.19393): after ``thinking`` tokens a trace's thinking is closed
    and it is asked for its answer. The first ``waits`` times that it closes its thinking earlier, the closing mark is
    replaced and it is told to wait. ``thinking=0`` leaves the thinking out (NoThinking, Ma et al., arXiv 2504.09858).
    Workers of a sampler have its budget unless they have their own; judges have none. ``model`` is the run's model that
    samples, by name. Subclasses with a ``__post_init__`` call this one's.
    """

    thinking: int | None = None
    waits: int | None = None

    def __post_init__(self) -> None:
        self.thought  # noqa: B018  (checks its arguments)

    @property
    def thought(self) -> ThoughtBudget | None:
        """The thinking budget of each trace; None for none."""
        return ThoughtBudget.of(self.thinking, self.waits)
