"""Looking ahead: a step is worth what a reward model says of the solution a few steps further."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.core.session.session import Session
from widthwise.core.strategy.step_tree import Node
from widthwise.core.trace.trace import Trace


async def looked_ahead(session: Session, nodes: Sequence[Node], steps: int) -> list[Trace]:
    """Each node's trace carried on by up to ``steps`` further steps at temperature 0, to be scored and thrown away.

    What has ended stays as it is, and a roll-out that ends is carried on no further. The tokens are charged; they are
    threads of the step that they are to tell about, and no samples.
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
