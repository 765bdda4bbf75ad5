"""A strategy of your own: sample 2, 4, 8 ... until two thirds agree."""

import widthwise as ww


async def doubling(session: ww.Session) -> ww.Answer:
    traces: list[ww.Trace] = []
    classes: list[ww.AnswerClass] = []
    while len(traces) < 32:
        traces += await session.sample(session.root, max(2, len(traces)))
        classes = list(await session.classes(traces))
        if classes and max(len(c.traces) for c in classes) >= 2 / 3 * len(traces):
            break
    return ww.elect(classes)


result = ww.solve("Compute 8 * 9 - 13.", doubling, model="reasoner")
print("answer", result.answer, "after", result.ledger.samples, "samples")
