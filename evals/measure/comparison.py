"""Finished runs side by side, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from widthwise.core.brief import counted
from widthwise.core.strategy.composition import shortened
from widthwise.core.tabular import Plotted
from widthwise.evals.measure.gain import PARTS
from widthwise.evals.measure.standings import Standing


@dataclass(frozen=True, slots=True, eq=False)
class Comparison(Plotted, Sequence[Standing]):
    """The runs in their order, each against the first one: a sequence of ``Standing``."""

    standings: tuple[Standing, ...]

    @overload
    def __getitem__(self, index: int) -> Standing: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Standing]: ...
    def __getitem__(self, index: int | slice) -> Standing | Sequence[Standing]:
        return self.standings[index]

    def __len__(self) -> int:
        return len(self.standings)

    def __repr__(self) -> str:
        said = ", ".join(f"{Path(s.run).stem[:40]} {100 * s.accuracy:.1f} %" for s in self.standings[:3])
        more = ", ..." if len(self) > 3 else ""
        problems = counted(self.standings[0].problems, "problem")
        return f"Comparison({counted(len(self), 'run')} on {problems}: {said}{more})"

    def table(self) -> dict[str, list[Any]]:
        """One row per run: its accuracy, its difference from the first run and its parts, its mean cost per problem."""
        costs = dict.fromkeys(name for each in self.standings for name in each.costs)
        return {
            "run": [each.run for each in self.standings],
            "suite": [each.suite for each in self.standings],
            "model": [each.model for each in self.standings],
            "strategy": [shortened(each.strategy) for each in self.standings],
            "problems": [each.problems for each in self.standings],
            "accuracy": [each.accuracy for each in self.standings],
            "low": [each.interval[0] for each in self.standings],
            "high": [each.interval[1] for each in self.standings],
            **{
                name: [None if each.difference is None else getattr(each.difference, of) for each in self.standings]
                for name, of in _DIFFERENCE.items()
            },
            "one_sample": [each.one_sample for each in self.standings],
            "coverage": [each.coverage for each in self.standings],
            "efficiency": [None if each.efficiency is None else each.efficiency.mean for each in self.standings],
            **{
                f"{part}_gain": [None if s.split is None else getattr(s.split, part).mean for s in self.standings]
                for part in PARTS
            },
            **self._reliability(),
            "cut": [each.cut for each in self.standings],
            **{name: [each.costs.get(name) for each in self.standings] for name in costs},
        }

    def _reliability(self) -> dict[str, list[float | None]]:
        """How reliable samples are, and the differences from the first run, by measure and k."""
        found = [{f"{r.measure}@{r.k}": r for r in each.reliability} for each in self.standings]
        columns: dict[str, list[float | None]] = {}
        for name in dict.fromkeys(name for of_run in found for name in of_run):
            columns[name] = [of_run[name].mean if name in of_run else None for of_run in found]
            gaps = [of_run[name].difference if name in of_run else None for of_run in found]
            columns[f"{name}_difference"] = [None if gap is None else gap.mean for gap in gaps]
        return columns

    def plot(self, *, ax: Any = None) -> Any:
        """Accuracy against sampled tokens, one point per run with its 95 % interval: a matplotlib figure."""
        from widthwise.evals.views.plots import draw_points

        places = [(s.costs.get("sampled", 0.0) + s.costs.get("judging", 0.0), s.accuracy, *s.interval) for s in self]
        return draw_points([shortened(s.strategy) for s in self], places, title=self.standings[0].suite, ax=ax)


_DIFFERENCE = {"difference": "mean", "difference_low": "low", "difference_high": "high", "p": "p"}
