"""Asking the model whether solutions are right."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace

LOGPROBS = 20
"""In how many of the most likely tokens to look for the words that mean right and wrong."""

Verdicts = list[tuple[float | None, Trace]]
"""Replies with the P(right) that each states; None for an abstention."""


async def verified(
    session: Session, solutions: Sequence[str], after: Sequence[Sequence[Trace]], k: int
) -> list[Verdicts]:
    """``k`` verdicts on each of ``solutions``, which were known once the traces ``after`` had ended; one draw.

    The replies keep their verdicts in their metadata; a note says how many named none. Raises ``BudgetReached`` if
    nothing may be spent any more.
    """
    asked = [session.ask("verify", draft=text, after=waited) for text, waited in zip(solutions, after, strict=True)]
    drawn = await session.sample(asked, k, judging=True, logprobs=min(LOGPROBS, session.max_logprobs))
    found: dict[Trace | None, Verdicts] = {question: [] for question in asked}
    for reply in drawn:
        verdict = session.verdict(reply)
        found[reply.stem].append((verdict, session.annotate(reply, verdict=verdict)))
    verdicts = [verdict for each in found.values() for verdict, _ in each]
    note_silence(session, len(verdicts) - verdicts.count(None), len(verdicts), drawn)
    return [found[question] for question in asked]


def note_silence(session: Session, said: int, asked: int, replies: Sequence[Trace] = ()) -> None:
    """Note how many of the ``asked`` replies named no verdict, if any."""
    if said < asked:
        silent = f"{asked - said} of {asked} judges' replies named no verdict"
        session.note(session.root, silent + cut_off(session, replies))


def cut_off(session: Session, replies: Sequence[Trace]) -> str:
    """The part of a note about judges' replies that ended inside their thinking; empty if none did."""
    cut = sum(session.is_thinking(reply) for reply in replies if reply.finish in ("length", "budget"))
    return f"; {cut} were cut off in their thinking (--judge-tokens gives them more)" if cut else ""
