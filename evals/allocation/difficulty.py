"""How hard a problem seems, told from its first samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from widthwise.core.errors import UsageError
from widthwise.core.registry import nearest
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.measure.estimators import NO_VOTE

ORACLE = "pass_rate"
"""The measure that reads reference answers, which only a study has."""


def entropy(prospect: Prospect) -> float:
    """The entropy of the answers over that of samples which all differ; a sample without an answer is one of its own.

    0 where all agree, and for a single sample with an answer.
    """
    n = len(prospect)
    silent = int((prospect.votes == NO_VOTE).sum())
    shares = [count / n for vote, count in Counter(prospect.votes.tolist()).items() if vote != NO_VOTE]
    found = -sum(p * math.log(p) for p in shares) + silent / max(n, 1) * math.log(max(n, 1))
    return found / math.log(n) if n > 1 else float(silent)


def disagreement(prospect: Prospect) -> float:
    """The share of the samples that do not state the most common answer."""
    answers = Counter(vote for vote in prospect.votes.tolist() if vote != NO_VOTE)
    return 1 - max(answers.values(), default=0) / max(len(prospect), 1)


def score(prospect: Prospect) -> float:
    """One minus the verifier's mean score, a sample without one counting 0 (Snell et al., arXiv 2408.03314)."""
    return 1 - float(np.nan_to_num(prospect.scores).mean()) if len(prospect) else 1.0


def pass_rate(prospect: Prospect) -> float:
    """The share of wrong samples in the stored pool: oracle bins, for study only (Snell et al., arXiv 2408.03314)."""
    return 1 - prospect.pass_rate


DIFFICULTIES: Mapping[str, Callable[[Prospect], float]] = {
    "entropy": entropy,
    "disagreement": disagreement,
    "score": score,
    ORACLE: pass_rate,
}
"""Measures of difficulty by name, from 0 (easy) to 1. All but the oracle's are told from samples alone."""


def difficulty_named(name: str) -> Callable[[Prospect], float]:
    """The measure of this name; raises ``UsageError`` for another."""
    if name not in DIFFICULTIES:
        raise UsageError(f"there is no difficulty {name!r}{nearest(name, DIFFICULTIES)} ({', '.join(DIFFICULTIES)})")
    return DIFFICULTIES[name]
