"""The workspace of refining strategies: what earlier drafts tell those who solve the problem next."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace


def readable(session: Session, traces: Sequence[Trace | None]) -> list[Trace]:
    """The traces that say something: not stopped by a pruner, not failed, not empty."""
    whole = [t for t in traces if t is not None and t.finish not in ("pruned", "aborted", "error")]
    return [t for t in whole if session.solution(t).strip()]


def texts(session: Session, drafts: Sequence[Trace], tokens: int) -> list[str]:
    """What each draft contributes: its visible solution; the last ``tokens`` tokens of it, for there the answer is."""
    return [session.ending(session.solution(draft), tokens) for draft in drafts]


def refining(session: Session, drafts: Sequence[Trace], tokens: int, after: Sequence[Trace] = ()) -> Trace:
    """The question to solve the problem anew with these drafts in view, which share ``tokens`` tokens.

    ``after``: traces besides the drafts that were waited for. Without drafts it is the bare problem.
    """
    if not drafts:
        return session.root
    listed = session.listed("draft", texts(session, drafts, max(1, tokens // len(drafts))))
    return session.ask("refine", drafts=listed, after=[*drafts, *after])
