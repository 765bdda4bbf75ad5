"""The workspace of refining strategies: what later attempts get to see of earlier drafts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace


def readable(session: Session, traces: Sequence[Trace | None], *, thinking: bool = False) -> list[Trace]:
    """The traces that say something: not stopped by a pruner, failed or empty; ``thinking`` counts as saying.

    A trace that was cut off in its thinking has said nothing.
    """
    whole = [t for t in traces if t is not None and t.finish not in ("pruned", "aborted", "error")]
    return [t for t in whole if (session.response(t) if thinking else session.solution(t)).strip()]


@dataclass(frozen=True, slots=True)
class Shown:
    """What to show of a draft: with its ``thinking`` or only what follows it, and how much of that.

    If ``tokens`` is None, all of it; otherwise the drafts shown together share so many tokens, and each is cut to its
    end, where the answer is.
    """

    tokens: int | None
    thinking: bool = False

    def texts(self, session: Session, drafts: Sequence[Trace], sharing: int = 1) -> list[str]:
        """What each draft contributes to a workspace that ``sharing`` drafts share."""
        said = [session.response(draft) if self.thinking else session.solution(draft) for draft in drafts]
        if self.tokens is None:
            return said
        return [session.ending(text, max(1, self.tokens // sharing)) for text in said]


def refining(session: Session, drafts: Sequence[Trace], shown: Shown, after: Sequence[Trace] = ()) -> Trace:
    """The question to solve the problem anew with these drafts in view.

    ``after``: other traces that were waited for. Without drafts it is the bare problem.
    """
    if not drafts:
        return session.root
    listed = session.listed("draft", shown.texts(session, drafts, len(drafts)))
    return session.ask("refine", drafts=listed, after=[*drafts, *after])
