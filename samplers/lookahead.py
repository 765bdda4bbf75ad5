"""Lookahead: a step is worth the reward model's score of the solution a few steps later."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.core.session.session import Session
from widthwise.core.strategy.step_tree import Node
from widthwise.core.trace.trace import Trace


async def looked_ahead(session: Session, nodes: Sequence[Node], steps: int) -> list[Trace]:
    """Each node's trace, continued by up to ``steps`` further steps at temperature 0, to be scored and discarded.

    A trace that has ended stays as it is, and a roll-out that ends is not continued. The tokens are charged; roll-outs
    are threads of the step that they inform about, not samples.
    """
    ends = [
        session.append(node.trace, "", facts={"thread": "lookahead"}) if node.state == "open" else node.trace
        for node in nodes
    ]
    growing = [place for place, node in enumerate(nodes) if node.state == "open"]
    for _ in range(steps):
        if not growing:
            break
        grown = await session.sample([ends[i] for i in growing], stop=session.step_separator, temperature=0.0)
        for place, trace in zip(list(growing), grown, strict=True):
            ends[place] = trace
            if trace.finish != "stop" or trace.segment.reason != session.step_separator:
                growing.remove(place)
    return ends
