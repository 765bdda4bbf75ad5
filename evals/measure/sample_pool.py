"""One problem's independent samples, and what each of them cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.core.brief import Brief
from widthwise.core.model_shape import ModelShape
from widthwise.evals.measure.axes import Axis
from widthwise.evals.store.recorded_shape import shape_in
from widthwise.evals.store.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class SamplePool(Brief):
    """One problem's samples, one element each.

    ``votes`` are answer classes (-1: no answer), ``values`` 1 for right, 0 for wrong or no answer, and numbers between
    for right in part, ``tokens`` the sampled tokens (NaN: unknown), ``finished`` whether the trace came to its own end.
    ``scores`` by name, NaN if a sample has none. ``money`` is what one of the samples cost on average (NaN: unknown),
    ``first_money`` what the first one cost besides, whose prompt no cache had, and ``token_money`` what each of their
    tokens cost. FLOPs follow from the model's ``shape`` (None: unknown) and the ``start`` of samples, which is as many
    tokens after the beginning as their prompt has.
    """

    problem: str
    votes: IntArray
    values: DoubleArray
    tokens: DoubleArray
    finished: Any
    scores: Mapping[str, DoubleArray] = field(default_factory=dict)
    money: float = np.nan
    first_money: float = 0.0
    token_money: float = np.nan
    shape: ModelShape | None = None
    start: int = 0

    def __len__(self) -> int:
        return len(self.votes)

    def first(self, n: int) -> SamplePool:
        """The pool of the first ``n`` samples, in order of launch."""
        return SamplePool(
            self.problem,
            self.votes[:n],
            self.values[:n],
            self.tokens[:n],
            self.finished[:n],
            {name: scores[:n] for name, scores in self.scores.items()},
            self.money,
            self.first_money,
            self.token_money,
            self.shape,
            self.start,
        )

    def costs(self, axis: Axis) -> tuple[DoubleArray, float]:
        """What each sample cost in tokens or FLOPs, and what all of them cost together besides; NaN if unknown."""
        if axis != "flops":
            return self.tokens, 0.0
        if self.shape is None or np.isnan(self.tokens).any():
            return np.full(len(self), np.nan), 0.0
        # All samples continue one prompt that was computed once.
        each = [self.shape.sampled(self.start, int(tokens)) for tokens in self.tokens]
        return np.array(each, np.float64), float(self.shape.read(0, self.start))

    def afforded(self, cost: float, axis: Axis) -> float:
        """How many tokens of a sample so many tokens or FLOPs buy; NaN if unknown."""
        if axis != "flops":
            return cost
        return np.nan if self.shape is None else float(self.shape.afforded(self.start, cost))

    def expected_flops(self, k: DoubleArray) -> DoubleArray:
        """What k samples cost, for each of ``k``, on average over subsets; NaN if unknown."""
        costs, base = self.costs("flops")
        return base + k * float(costs.mean())

    def expected_money(self, k: DoubleArray | float, tokens: DoubleArray | float) -> Any:
        """What k samples cost that have so many ``tokens`` together, for each of ``k``, on average; NaN if unknown."""
        return self.first_money + self.further_money(k, tokens)

    def further_money(self, k: DoubleArray | float, tokens: DoubleArray | float) -> Any:
        """The same beside samples that were drawn before."""
        return k * self.money + (tokens - k * float(self.tokens.mean())) * self.token_money


def shape_of_samples(store: Store) -> ModelShape | None:
    """The shape from which the FLOPs of single samples can be told.

    None if something may have been inserted into them, whose place only the traces tell.
    """
    said = store.manifest.get("configuration", {}).get("strategy") or ""
    return None if re.search(r"\b(thinking|waits)=\d", said) else shape_in(store.manifest)
