"""What came of one problem."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.answer import Answer
from widthwise.core.brief import Brief, brief, counted
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Note, Trace


@dataclass(frozen=True, slots=True)
class Result(Brief):
    """What a strategy made of one problem.

    ``traces`` are the leaves of the tree, pruned and cut ones included, ``judgements`` the replies of judges,
    ``fragments`` the traces that grew for another one only, such as threads. ``errors`` are the sentences of requests
    that failed for good, those of judges and to the reward model among them: a strategy goes on without what they were
    to say. ``notes`` are what else was out of the ordinary.
    """

    answer: str | None
    traces: tuple[Trace, ...]
    ledger: Ledger
    election: Answer
    errors: tuple[str, ...] = ()
    judgements: tuple[Trace, ...] = ()
    fragments: tuple[Trace, ...] = ()
    notes: tuple[Note, ...] = ()

    @classmethod
    def of(cls, session: Session, election: Answer) -> Result:
        """What stands in a session that has come to its end."""
        return cls(
            election.text,
            tuple(session.leaves),
            session.ledger,
            election,
            errors=session.errors,
            judgements=tuple(session.judgements),
            fragments=tuple(session.fragments),
            notes=tuple(session.notes),
        )

    def __repr__(self) -> str:
        said = [brief(self.answer), counted(len(self.traces), "trace"), f"{self.ledger.total:,} tokens sampled"]
        said += [counted(len(self.errors), "error")] * bool(self.errors)
        return f"Result({', '.join(said)})"
