"""What the model itself thinks of unfinished solutions: a value for each, or votes among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace

VALUE = "value"
VOTE = "vote"
SILENT = "no reply of the model said anything about it"


async def valued(session: Session, traces: Sequence[Trace], k: int) -> list[float | None]:
    """The sum of ``k`` opinions about each beginning; None if no reply states one. Equal ones are asked about once."""
    texts = [session.response(trace).strip() for trace in traces]
    first: dict[str, Trace] = {}
    for text, trace in zip(texts, traces, strict=True):
        first.setdefault(text, trace)
    asked = {session.ask(VALUE, draft=text, after=[trace]): text for text, trace in first.items()}
    said: dict[str, list[float]] = {text: [] for text in texts}
    for reply in await session.sample(list(asked), k, judging=True) if asked else []:
        value = session.value(reply)
        session.annotate(reply, value=value)
        if value is not None and reply.stem is not None:
            said[asked[reply.stem]].append(value)
    return [sum(said[text]) if said[text] else None for text in texts]


async def voted(session: Session, traces: Sequence[Trace], k: int) -> list[float | None]:
    """How many of ``k`` replies choose each beginning; None for all if none names one. A single one is not asked about.

    Of equal beginnings, the first is shown.
    """
    texts = [session.response(trace).strip() for trace in traces]
    shown = list(dict.fromkeys(texts))
    if len(shown) < 2:
        return [float(k)] * len(texts)
    question = session.ask(VOTE, count=str(len(shown)), drafts=session.listed("draft", shown), after=traces)
    votes = Counter[str]()
    for reply in await session.sample(question, k, judging=True):
        chosen = session.choice(reply, len(shown))
        session.annotate(reply, value=chosen)
        if chosen is not None:
            votes[shown[chosen - 1]] += 1
    return [float(votes[text]) for text in texts] if votes else [None] * len(texts)
