"""Samples for the problems whose answers are expected to gain most from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.core.registry import register
from widthwise.evals.allocation.allocator import Allocator, by_gain
from widthwise.evals.allocation.confidence import confidence
from widthwise.evals.allocation.prospect import Prospect


@register("allocator")
@dataclass(frozen=True)
class ExpectedGain(Allocator):
    """Gives the next samples where ``(1 - c) m / (n + m + 1)`` grows most per token.

    That is the chance that the answer is wrong so far, times the chance that one of ``m`` more samples brings the right
    one. ``c`` is the confidence in the present answer (``confidence``). If it is wrong, none of the ``n`` samples was
    right, so by Laplace's rule of succession (a uniform prior on the rate of right samples) one of the next ``m`` is
    with probability ``m / (n + m + 1)``. The m-th of them adds ``(1 - c) (n + 1) / ((n + m) (n + m + 1))``, which falls
    with m, so that taking the largest first is optimal. It is the online allocation of Damani et al. (arXiv
    2410.04707), whose chance of success comes from a trained probe of the question; here it is estimated from the
    samples themselves, again after every round.
    """

    def allocate(self, prospects: Sequence[Prospect], tokens: float, most: int) -> list[int]:
        doubt = [1 - confidence(prospect) for prospect in prospects]
        n = [len(prospect) for prospect in prospects]
        return by_gain(prospects, tokens, most, lambda i, m: doubt[i] * (n[i] + 1) / ((n[i] + m) * (n[i] + m + 1)))
