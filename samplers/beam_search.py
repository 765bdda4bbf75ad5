"""Beam search over steps, guided by a process reward model."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.strategy.frontier import Selector
from widthwise.pruning.distinct_steps import DistinctSteps
from widthwise.pruning.top_k import TopK
from widthwise.samplers.tree_search import TreeSampler


@register("sampler")
@dataclass(frozen=True)
class BeamSearch(TreeSampler):
    """Keeps the best open traces of a round and draws ``beam_width`` next steps from each.

    As Snell et al. (arXiv 2408.03314) define it: ``n`` is the number of candidates, ``beam_width`` their M, the
    children per kept trace, so that ``n / beam_width`` traces are kept. (its_hub calls the number of kept traces so.)
    ``n`` solutions come out for a vote.

    With ``distinct`` one of several open traces with the same text is kept, so that the beam is not filled with copies
    of one step: Snell et al. do not say so, search-and-learn's recipes do. Differs from search-and-learn: traces that
    are done spend their width, where it keeps every round ``n`` wide (``refill``), and of its last round all solutions
    come out, though they be more than ``n``; too few are not filled up with copies; and an empty step is a dead end,
    where there it is a solution.
    """

    beam_width: int = 4
    distinct: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_width < 1:
            raise ValueError(f"beam_width must be at least 1, not {self.beam_width}")

    @property
    def selector(self) -> Selector:
        best = TopK(children=self.beam_width)
        return DistinctSteps() | best if self.distinct else best
