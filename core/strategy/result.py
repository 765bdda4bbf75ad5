"""The result of one problem."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from widthwise.core import notebook
from widthwise.core.answer import Answer, AnswerClass
from widthwise.core.brief import brief, counted
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.session import Session
from widthwise.core.tabular import Plotted
from widthwise.core.trace.trace import Trace, TraceNote, name

_BARS = 20
"""How many answers are drawn, heaviest first."""


@dataclass(frozen=True, slots=True)
class Result(Plotted):
    """What a strategy made of one problem.

    ``traces`` are the leaves of the tree, including pruned and cut ones, ``judgements`` the replies of judges,
    ``fragments`` the traces that grew only for another one, such as threads. ``errors`` are the sentences of requests
    that failed for good, including those to judges and to the reward model: a strategy goes on without what they would
    have said. ``notes`` report everything else out of the ordinary. ``money`` is what the ledger costs (None: no prices
    were given, ``prices=``). Traces know their answers (``Trace.answer``).
    """

    answer: str | None
    traces: tuple[Trace, ...]
    ledger: Ledger
    election: Answer
    errors: tuple[str, ...] = ()
    judgements: tuple[Trace, ...] = ()
    fragments: tuple[Trace, ...] = ()
    notes: tuple[TraceNote, ...] = ()
    money: float | None = None

    @classmethod
    def of(cls, session: Session, election: Answer) -> Result:
        """The result of a session that has ended."""
        leaves = session.leaves
        standing = [t for each in election.classes for t in each.traces] + ([election.trace] if election.trace else [])
        read = {trace: trace.stating(session.stated(trace)) for trace in (*leaves, *standing)}
        classes = tuple(replace(each, traces=tuple(read[t] for t in each.traces)) for each in election.classes)
        return cls(
            election.text,
            tuple(read[trace] for trace in leaves),
            session.ledger,
            replace(election, trace=read[election.trace] if election.trace else None, classes=classes),
            errors=session.errors,
            judgements=tuple(session.judgements),
            fragments=tuple(session.fragments),
            notes=tuple(session.notes),
        )

    @property
    def best(self) -> Trace | None:
        """The trace that represents the winning answer; None if nothing won, or no trace stands for it."""
        return self.election.trace

    @property
    def classes(self) -> tuple[AnswerClass, ...]:
        """The candidates, each with its answer, its traces and its weight, heaviest first; none without a vote."""
        return self.election.classes

    def table(self) -> dict[str, list[Any]]:
        """One row per trace: how it ended, what it cost, its answer, the weight of the answer's class, and its text."""
        weights = {trace.id: each.weight for each in self.classes for trace in each.traces}
        return {
            "trace": [name(trace.id) for trace in self.traces],
            "finish": [trace.finish for trace in self.traces],
            "tokens": [trace.tokens for trace in self.traces],
            "sequential": [trace.sequential for trace in self.traces],
            "answer": [None if trace.stated is None else trace.answer for trace in self.traces],
            "weight": [weights.get(trace.id) for trace in self.traces],
            "text": [trace.completion for trace in self.traces],
        }

    def plot(self, *, ax: Any = None) -> Any:
        """The answers with the weights of their votes, the winner on top: a matplotlib figure."""
        from widthwise.core.drawing import COLOURS, axes_for, plain

        shown = self.classes[:_BARS]
        figure, plot = axes_for(ax, size=(6, 1 + 0.3 * max(len(shown), 1)))
        places = list(range(len(shown)))
        colours = [COLOURS[0 if each.answer == self.answer else 5] for each in shown]
        plot.barh(places, [each.weight for each in shown], color=colours)
        plot.set_yticks(places, [plain(each.answer, 40) for each in shown])
        plot.invert_yaxis()
        plot.set_xlabel("weight" if shown else "no trace states an answer")
        return figure

    def _repr_html_(self) -> str:
        spent = {what: [n] for what, n in self.ledger.asdict().items() if n}
        spent |= {} if self.money is None else {"money": [self.money]}
        return Plotted._repr_html_(self) + notebook.table(spent)

    def __repr__(self) -> str:
        said = [brief(self.answer), counted(len(self.traces), "trace"), f"{self.ledger.total:,} tokens sampled"]
        said += [counted(len(self.errors), "error")] * bool(self.errors)
        return f"Result({', '.join(said)})"
