"""A method against its baseline on the same problems: a row of the tables that benches print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np

from widthwise.core.arrays import DoubleArray
from widthwise.evals.measure.intervals import paired
from widthwise.evals.store.outcome import Outcome, credit


@dataclass(frozen=True, slots=True)
class Gap:
    """Two accuracies in per cent, the paired difference in points, and the method's tokens per problem."""

    HEADS: ClassVar = ("accuracy", "baseline's", "difference, points", "tokens")

    accuracy: float
    against: float
    difference: float
    low: float
    high: float
    tokens: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], baseline: DoubleArray) -> Self:
        """``baseline`` has the other's grades, from 0 to 1, in the order of the ``outcomes``."""
        right, other = 100 * grades(outcomes), 100 * baseline
        found = paired(right, other)
        return cls(float(right.mean()), float(other.mean()), found.mean, found.low, found.high, mean_tokens(outcomes))

    @property
    def cells(self) -> list[str]:
        difference = f"{self.difference:+.1f} ({self.low:+.1f} to {self.high:+.1f})"
        return [f"{self.accuracy:.1f}", f"{self.against:.1f}", difference, f"{self.tokens:,.0f}"]


@dataclass(frozen=True, slots=True)
class PairedRow:
    """What is compared, in further fields and ``cells`` of each table, and its ``gap``."""

    gap: Gap

    @property
    def cells(self) -> Sequence[str]:
        return self.gap.cells


def grades(outcomes: Sequence[Outcome]) -> DoubleArray:
    """How right each answer is, from 0 to 1."""
    return np.array([credit(each.correct) for each in outcomes], np.float64)


def mean_tokens(outcomes: Sequence[Outcome]) -> float:
    """Tokens per problem, sampled and judging."""
    return float(np.mean([each.ledger.total for each in outcomes]))


def code(strategy: str) -> str:
    """A strategy in a cell of a Markdown table, where a bar would end the cell."""
    return "`" + strategy.replace("|", "\\|") + "`"


def print_rows(heads: Sequence[str], rows: Iterable[PairedRow], *, as_json: bool) -> None:
    """Print a Markdown table row by row as it is made, or all rows as a JSON list."""
    if as_json:
        print(json.dumps([_flat(asdict(row)) for row in rows]))
        return
    print(_line(heads), _line(["---"] * len(heads)).replace(" ", ""), sep="\n", flush=True)
    for row in rows:
        print(_line(row.cells), flush=True)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**row.pop("gap"), **row}
