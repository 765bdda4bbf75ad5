"""Votes of the best-scored share of samples, against a simple enumeration of every subset."""

from itertools import combinations

import numpy as np
import pytest

from widthwise.evals.measure.estimators import NO_VOTE, weighted_vote_at_k
from widthwise.evals.measure.top_votes import top_vote_at_k

VOTES = np.array([0, 1, 0, 2, NO_VOTE, 1, 2, 0])
RIGHT = (VOTES == 0).astype(float)
SCORES = np.array([0.1, 0.9, 0.4, np.nan, 0.95, 0.35, 0.6, 0.7])


def plainly(members: tuple[int, ...], top: float) -> float:
    """What one subset elects; ties are split."""
    known = [i for i in members if VOTES[i] != NO_VOTE and not np.isnan(SCORES[i])]
    if not known:
        return 0.0
    least = np.quantile(SCORES[known], 1 - top)
    totals: dict[int, float] = {}
    for i in known:
        if SCORES[i] >= least:
            totals[VOTES[i]] = totals.get(VOTES[i], 0.0) + SCORES[i]
    best = [vote for vote, total in totals.items() if np.isclose(total, max(totals.values()))]
    return float(np.mean([vote == 0 for vote in best]))


@pytest.mark.parametrize("top", [0.1, 0.4, 0.5, 0.9, 1.0])
def test_it_is_the_mean_over_all_subsets(top: float) -> None:
    found = top_vote_at_k(VOTES, RIGHT, SCORES, SCORES, top)
    for k in range(1, len(VOTES) + 1):
        exact = np.mean([plainly(members, top) for members in combinations(range(len(VOTES)), k)])
        assert found.value[k - 1] == pytest.approx(exact, abs=5 * found.error[k - 1] + 1e-9), k
    assert found.error[-1] == 0


def test_a_share_of_all_is_the_weighted_vote() -> None:
    whole = weighted_vote_at_k(VOTES, RIGHT, SCORES)
    found = top_vote_at_k(VOTES, RIGHT, SCORES, SCORES, 1.0)
    np.testing.assert_allclose(found.value, whole.value, atol=5 * float(np.max(found.error + whole.error)))


def test_a_pool_without_scores_elects_nobody() -> None:
    nothing = np.full(3, np.nan)
    assert top_vote_at_k([0, 1, 0], [1, 0, 1], nothing, nothing, 0.5).value.tolist() == [0, 0, 0]
