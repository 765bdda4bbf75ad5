"""Beam search over steps, guided by a process reward model."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Selector
from widthwise.pruning.top_k import TopK
from widthwise.samplers.tree_search import TreeSampler


@register("sampler")
@dataclass(frozen=True)
class BeamSearch(TreeSampler):
    """Keeps the best open traces of a round and draws ``beam_width`` next steps from each.

    As Snell et al. (arXiv 2408.03314) define it: ``n`` is the number of candidates, ``beam_width`` their M, the
    children per kept trace, so that ``n / beam_width`` traces are kept. (its_hub calls the number of kept traces so.)
    ``refill`` keeps every round ``n`` wide as search-and-learn does. ``n`` solutions come out for a vote.
    """

    beam_width: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_width < 1:
            raise ValueError(f"beam_width must be at least 1, not {self.beam_width}")

    @property
    def selector(self) -> Selector:
        return TopK(children=self.beam_width)
