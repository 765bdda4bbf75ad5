"""A run: one evaluation with its configuration, opened from its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core import notebook
from widthwise.core.brief import brief, counted
from widthwise.core.strategy.composition import shortened
from widthwise.core.tabular import Plotted

if TYPE_CHECKING:
    from widthwise.core.problem import Problem
    from widthwise.core.session.ledger import Ledger
    from widthwise.core.session.prices import Prices
    from widthwise.core.trace.trace import Trace
    from widthwise.evals.measure.axes import Axis
    from widthwise.evals.measure.summary import Summary
    from widthwise.evals.store.outcome import Outcome


@dataclass(frozen=True, eq=False)
class Run(Plotted):
    """The measured result of an evaluation, as its file was when it was read.

    ``path`` is the file; a run can be used wherever a run file can (``ww.curve``, ``ww.compare``). ``summary`` has all
    figures of the run, ``outcomes`` the result of each problem, in the suite's order; ``configuration`` are the
    settings that decided it. ``prices`` are those from which its money is counted. Texts stay in the file until
    ``traces`` reads them.
    """

    path: Path
    summary: Summary
    outcomes: tuple[Outcome, ...]
    configuration: Mapping[str, Any]
    prices: Prices = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path, prices: Any = None) -> Run:
        """The run in a file; ``prices`` (as ``solve`` takes them) are laid over those that it has.

        Raises ``UsageError`` if the file is no run, ``StoreError`` if it is damaged.
        """
        from widthwise.core.session.prices import prices_of, recorded_prices
        from widthwise.evals.measure.summary import summarise
        from widthwise.evals.store.store import Store

        with Store.read(path) as store:
            known = recorded_prices(store.manifest) | prices_of(prices or {})
            said = summarise(store, known), tuple(store.outcomes()), store.manifest["configuration"]
            return cls(store.path, *said, known)

    @property
    def accuracy(self) -> float | None:
        """The share of problems answered right, counting failed ones as wrong; None if none is finished."""
        return self.summary.accuracy

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the accuracy (Wilson, over problems); None if none is finished."""
        return self.summary.accuracy_ci95

    @cached_property
    def ledger(self) -> Ledger:
        """What was spent on all problems together."""
        from widthwise.core.session.ledger import Ledger

        return Ledger.sum_of(outcome.ledger for outcome in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The problems on which something failed for good; their ``errors`` say what."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == "error")

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do; what failed is tried again when the run continues."""
        return all(outcome.state == "done" for outcome in self.outcomes)

    def outcome(self, problem: str | Problem) -> Outcome:
        """The result of one problem; raises ``UsageError`` if the run has no such problem."""
        from widthwise.core.errors import UsageError
        from widthwise.core.problem import Problem
        from widthwise.core.registry import nearest

        if not isinstance(problem, str | Problem):
            raise UsageError(f"the problem of a run is a ww.Problem or its id, not {problem!r:.60}")
        wanted = problem if isinstance(problem, str) else problem.id
        by_id = {outcome.problem.id: outcome for outcome in self.outcomes}
        if wanted not in by_id:
            raise UsageError(f"{self.path} has no problem {wanted!r}{nearest(wanted, by_id)}")
        return by_id[wanted]

    def traces(self, problem: str | Problem) -> list[Trace]:
        """All traces of a problem (the leaves of its tree) with their texts and tokens, in order of their ids.

        Raises ``UsageError`` if the run has no such problem.
        """
        from widthwise.evals.store.store import Store

        outcome = self.outcome(problem)
        answers = {leaf.id: leaf.answer for leaf in outcome.leaves}
        with Store.read(self.path) as store:
            return [trace.stating(answers.get(trace.id)) for trace in store.traces(outcome.problem.id)]

    def table(self) -> dict[str, list[Any]]:
        """One row per problem: what was answered, whether that is right, and what it cost (see ``Ledger``).

        Its money is None if that is not known; ``summary.no_money`` says why.
        """
        from widthwise.core.session.prices import money

        whole = [[leaf for leaf in o.leaves if leaf.finish != "joined"] for o in self.outcomes]
        said = ("state", "answer", "tied")
        grades = [o.correct for o in self.outcomes]
        parts = any(isinstance(grade, float) for grade in grades)  # then all are numbers: a column has one type
        return {
            "problem": [o.problem.id for o in self.outcomes],
            "text": [o.problem.text for o in self.outcomes],
            "reference": [o.problem.answer for o in self.outcomes],
            **{name: [getattr(o, name) for o in self.outcomes] for name in said},
            "correct": [float(grade) if parts and grade is not None else grade for grade in grades],
            "traces": [len(leaves) for leaves in whole],
            "right": [sum(leaf.correct is True for leaf in leaves) for leaves in whole],
            "error": [next(iter(o.errors), None) for o in self.outcomes],
            **{name: [o.ledger.asdict()[name] for o in self.outcomes] for name in self.ledger.asdict()},
            "money": [money(o.ledger, self.prices) for o in self.outcomes],
        }

    def plot(self, axis: Axis = "samples", *, ax: Any = None) -> Any:
        """Accuracy against budget according to its samples, with the strategy's own accuracy: a matplotlib figure."""
        from widthwise.evals.measure.curves import curve

        return curve(self.path).plot(axis, ax=ax)

    def _repr_html_(self) -> str:
        said, tokens = self.summary, self.summary.tokens
        figures = {
            "suite": said.suite,
            "model": said.model,
            "strategy": shortened(said.strategy),
            "problems": f"{said.problems:,} of {len(self.outcomes):,} done, {said.errors} failed",
            "accuracy": "–" if said.accuracy is None else f"{100 * said.accuracy:.2f} %",
            "samples": f"{said.samples:,}",
            "tokens": f"{tokens.sampled:,} sampled, {tokens.discarded:,} discarded",
            "money": f"not known: {said.no_money}" if said.money is None else f"{said.money:,.6g}",
        }
        rows = notebook.table({"": list(figures), "run": list(figures.values())})
        shown = ("problem", "state", "answer", "reference", "correct", "right", "traces", "sampled")
        columns = self.table()
        return rows + notebook.table({name: columns[name] for name in shown}) + self._picture()

    def __repr__(self) -> str:
        said = self.summary
        accuracy = [] if said.accuracy is None else [f"accuracy {100 * said.accuracy:.1f} %"]
        failed = [f"{said.errors:,} failed"] if said.errors else []
        problems = counted(said.problems, "problem")
        return f"Run({', '.join([brief(said.suite), problems, *failed, *accuracy, brief(str(self.path))])})"

    def __fspath__(self) -> str:
        return str(self.path)
