"""Beam search over steps, guided by a process reward model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.core.session.session import Session
from widthwise.core.strategy.frontier import Selector
from widthwise.core.strategy.step_tree import Node
from widthwise.core.trace.trace import Trace
from widthwise.pruning.distinct_steps import DistinctSteps
from widthwise.pruning.top_k import TopK
from widthwise.samplers.lookahead import looked_ahead
from widthwise.samplers.tree_search import TreeSampler


@register("sampler")
@dataclass(frozen=True)
class BeamSearch(TreeSampler):
    """Keeps the best open traces of a round and draws ``beam_width`` next steps from each.

    As defined by Snell et al. (arXiv 2408.03314): ``n`` is the number of candidates, ``beam_width`` their M, the
    children per kept trace, so that ``n / beam_width`` traces are kept. (In its_hub, the same name means the number of
    kept traces.) The result is ``n`` solutions for a vote.

    With ``lookahead`` k, a step is scored by its roll-out: k further steps at temperature 0, which are then thrown away
    (the paper's lookahead search). They are charged, so that a solution costs k + 1 times as much.

    With ``distinct``, only one of several open traces with the same text is kept, so that the beam does not fill up
    with copies of one step. Snell et al. do not mention this; search-and-learn's recipes do it. Differences from
    search-and-learn: finished traces use up their width, whereas it keeps every round ``n`` wide (``refill``), and
    returns all solutions of its last round even if they are more than ``n``; if there are too few solutions, they are
    not filled up with copies; and an empty step is a dead end, whereas there it is a solution.
    """

    beam_width: int = 4
    distinct: bool = True
    lookahead: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam_width < 1:
            raise ValueError(f"beam_width must be at least 1, not {self.beam_width}")
        if self.lookahead < 0:
            raise ValueError(f"lookahead is a number of steps, not {self.lookahead}")

    async def seen(self, session: Session, nodes: Sequence[Node]) -> list[Trace]:
        """The traces, each with its roll-out where the search looks ahead."""
        return (
            await looked_ahead(session, nodes, self.lookahead) if self.lookahead else await super().seen(session, nodes)
        )

    @property
    def selector(self) -> Selector:
        best = TopK(children=self.beam_width)
        return DistinctSteps() | best if self.distinct else best
