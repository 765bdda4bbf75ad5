"""One problem's independent samples, and what each of them cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from widthwise.core.brief import Brief
from widthwise.core.model_shape import ModelShape
from widthwise.evals.measure.axes import Axis
from widthwise.evals.measure.subsets import Floats, Ints
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.recorded_shape import shape_in
from widthwise.evals.store.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class SamplePool(Brief):
    """One problem's samples, one element each.

    ``votes`` are answer classes (-1: no answer), ``values`` 1 for right, 0 for wrong or no answer, and numbers between
    for right in part, ``tokens`` the sampled tokens (NaN: unknown), ``finished`` whether the trace came to its own end.
    ``scores`` by name, NaN if a sample has none. ``money`` is what one of the samples cost on average (NaN: unknown),
    ``first_money`` what the first one cost besides, whose prompt no cache had, and ``token_money`` what each of their
    tokens cost. ``flops`` is what each sample cost, and ``prompt_flops`` the prompt of all; None if that is not known.
    """

    problem: str
    votes: Ints
    values: Floats
    tokens: Floats
    finished: Any
    scores: Mapping[str, Floats] = field(default_factory=dict)
    money: float = np.nan
    first_money: float = 0.0
    token_money: float = np.nan
    flops: Floats | None = None
    prompt_flops: float = 0.0

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
            None if self.flops is None else self.flops[:n],
            self.prompt_flops,
        )

    def costs(self, axis: Axis) -> tuple[Floats, float]:
        """What each sample cost in tokens or FLOPs, and what all of them cost together besides; NaN if unknown."""
        if axis != "flops":
            return self.tokens, 0.0
        return np.full(len(self), np.nan) if self.flops is None else self.flops, self.prompt_flops

    def expected_flops(self, k: Floats) -> Floats:
        """What k samples cost, for each of ``k``, on average over subsets; NaN if unknown."""
        costs, base = self.costs("flops")
        return base + k * float(costs.mean())

    def expected_money(self, k: Floats) -> Floats:
        """What k samples cost, for each of ``k``, on average; NaN if unknown."""
        return self.first_money + k * self.money


def shape_of_samples(store: Store) -> ModelShape | None:
    """The shape from which the FLOPs of single samples can be told.

    None if something may have been inserted into them, whose place only the traces tell.
    """
    said = store.manifest.get("configuration", {}).get("strategy") or ""
    return None if re.search(r"\b(thinking|waits)=\d", said) else shape_in(store.manifest)


def sample_flops(shape: ModelShape | None, outcome: Outcome, tokens: Sequence[int]) -> tuple[Floats, float] | None:
    """What each sample and their prompt cost, all samples being continuations of one prompt that was computed once."""
    if shape is None:
        return None
    start = outcome.ledger.prompt_ideal
    return np.array([shape.sampled(start, each) for each in tokens], np.float64), float(shape.read(0, start))
