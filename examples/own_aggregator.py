"""An aggregator of your own: the answer of the shortest trace that has one."""

import widthwise as ww


async def shortest(session: ww.Session, traces: list[ww.Trace]) -> ww.Answer:
    classes = await session.classes(traces)
    best = min(classes, key=lambda c: min(trace.tokens for trace in c.traces), default=None)
    return ww.elect([] if best is None else [best])


result = ww.solve("Compute 9 * 9 + 1.", ww.BestOfN(8) | shortest, model="reasoner")
print("answer", result.answer)
