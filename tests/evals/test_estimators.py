"""Estimators against an enumeration of every subset."""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
import pytest

from widthwise.core.arrays import DoubleArray, IntArray
from widthwise.evals.measure.estimators import (
    NO_VOTE,
    best_at_k,
    largest_at_k,
    pass_at_k,
    short_at_k,
    weighted_vote_at_k,
)
from widthwise.evals.measure.majority import maj_at_k, wins
from widthwise.evals.measure.reliability import all_at_k, mean_share_at_k, share_at_k
from widthwise.evals.measure.subsets import first_rank_mean, first_rank_weights, mth_rank_weights


def over_subsets(n: int, method: Callable[[IntArray], float]) -> DoubleArray:
    """The mean of ``method`` over all k-subsets of n samples, for k = 1..n."""
    return np.array([np.mean([method(np.array(s)) for s in combinations(range(n), k)]) for k in range(1, n + 1)])


def pools(seed: int, count: int = 12, largest: int = 9) -> list[tuple[IntArray, DoubleArray]]:
    """Small random pools: some votes are missing, and most values are those of the classes."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        n = int(rng.integers(1, largest + 1))
        votes = rng.integers(-1, 4, n)
        values = (votes == rng.integers(0, 4)).astype(float)
        made.append((votes, values if rng.random() < 0.7 else rng.random(n)))
    return made


def vote(votes: IntArray, values: DoubleArray, weights: DoubleArray, members: IntArray) -> float:
    """A weighted vote, ties split; a class is worth the mean of its samples in the whole pool."""
    totals = {int(c): weights[members][votes[members] == c].sum() for c in votes[members] if c != NO_VOTE}
    totals = {c: w for c, w in totals.items() if w > 0}
    best = [c for c, w in totals.items() if np.isclose(w, max(totals.values()), rtol=1e-9, atol=0)]
    return float(np.mean([values[(votes == c) & (weights > 0)].mean() for c in best])) if best else 0.0


@pytest.mark.parametrize("correct", [[1, 0, 0, 1, 0], [0, 0, 0], [1, 1], [1], [0, 1, 0, 0, 0, 0, 1, 1]])
def test_pass_at_k_is_the_mean_over_subsets(correct: list[int]) -> None:
    right = np.array(correct)
    np.testing.assert_allclose(pass_at_k(right), over_subsets(len(right), lambda s: float(right[s].any())), atol=1e-14)


def test_pass_at_k_is_stable_for_large_pools() -> None:
    n, c = 5000, 3
    values = pass_at_k(np.arange(n) < c)
    for k in (1, 10, 2500, 4999):
        assert values[k - 1] == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-12)
    assert values[-1] == 1.0


def test_pass_at_k_works_on_a_matrix_of_problems() -> None:
    right = np.random.default_rng(0).random((7, 10)) < 0.3
    np.testing.assert_array_equal(pass_at_k(right), [pass_at_k(row) for row in right])


@pytest.mark.parametrize("pool", pools(1), ids=str)
def test_maj_at_k_is_the_mean_over_subsets(pool: tuple[IntArray, DoubleArray]) -> None:
    votes, values = pool
    brute = over_subsets(len(votes), lambda s: vote(votes, values, np.ones(len(votes)), s))
    estimate = maj_at_k(votes, values)
    assert estimate.exact
    np.testing.assert_allclose(estimate.value, brute, atol=1e-13)


def test_majority_ties_are_split_fairly() -> None:
    np.testing.assert_allclose(wins(1, np.array([1, 1])), [1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(wins(2, np.array([1])), [2 / 3, 2 / 3, 1])


def test_the_winning_chances_of_all_classes_add_up_to_one() -> None:
    sizes = np.array([90, 70, 40, 30, 10, 10, 3, 1, 1, 1])
    total = sum(wins(int(sizes[i]), np.delete(sizes, i)) for i in range(len(sizes)))
    np.testing.assert_allclose(total, 1.0, rtol=1e-11)


def test_samples_without_an_answer_do_not_vote() -> None:
    assert maj_at_k([NO_VOTE] * 4, [0.0] * 4).value.tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(maj_at_k([0, NO_VOTE, NO_VOTE], [1, 0, 0]).value, [1 / 3, 2 / 3, 1])


def test_a_pool_too_large_for_the_exact_vote_is_sampled() -> None:
    rng = np.random.default_rng(3)
    votes = rng.integers(0, 3, 30)
    values = (votes == 0).astype(float)
    exact, sampled = maj_at_k(votes, values), maj_at_k(votes, values, exact_up_to=10, draws=4000)
    assert not sampled.exact
    assert np.all(np.abs(sampled.value - exact.value) <= 5 * sampled.error + 1e-12)


@pytest.mark.parametrize("pool", pools(2), ids=str)
def test_best_at_k_is_the_mean_over_subsets_with_tied_scores_averaged(pool: tuple[IntArray, DoubleArray]) -> None:
    scores, values = pool[0].astype(float), pool[1]
    scores[scores < 0] = np.nan

    def best(members: IntArray) -> float:
        known = members[~np.isnan(scores[members])]
        return float(values[known][scores[known] == scores[known].max()].mean()) if len(known) else 0.0

    # A block of equal scores is worth its mean in the pool; averaged over subsets, that is the same.
    np.testing.assert_allclose(best_at_k(values, scores), over_subsets(len(values), best), atol=1e-13)


def test_the_largest_of_k() -> None:
    lengths = np.array([5.0, 1.0, 9.0, 9.0, 2.0])
    brute = over_subsets(5, lambda s: float(lengths[s].max()))
    np.testing.assert_allclose(largest_at_k(lengths), brute, atol=1e-12)


@pytest.mark.parametrize("pool", pools(4, largest=8), ids=str)
@pytest.mark.parametrize("m", [1, 2, 3])
def test_short_at_k_is_the_mean_over_subsets(pool: tuple[IntArray, DoubleArray], m: int) -> None:
    votes, values = pool
    lengths = np.random.default_rng(len(votes)).permutation(len(votes)).astype(float)
    lengths[lengths == 2] = np.nan

    def short(members: IntArray) -> float:
        first = sorted((i for i in members if not np.isnan(lengths[i])), key=lambda i: lengths[i])[:m]
        counts = {v: sum(votes[i] == v for i in first) for v in votes[first] if v != NO_VOTE}
        winner = next((i for i in first if counts.get(votes[i]) == max(counts.values(), default=None)), None)
        return 0.0 if winner is None else float(values[winner])

    estimate = short_at_k(votes, values, lengths, m)
    assert estimate.exact
    np.testing.assert_allclose(estimate.value, over_subsets(len(votes), short), atol=1e-12)


def test_short_3_at_k_of_a_large_pool_says_how_far_off_it_may_be() -> None:
    rng = np.random.default_rng(5)
    votes, lengths = rng.integers(0, 4, 60), rng.random(60)
    values = (votes == 0).astype(float)
    sampled, more = (short_at_k(votes, values, lengths, draws=d, seed=d) for d in (300, 20_000))
    assert not sampled.exact
    assert np.all(np.abs(sampled.value - more.value) <= 5 * sampled.error + 1e-9)


@pytest.mark.parametrize("pool", pools(6, count=6), ids=str)
def test_a_weighted_vote_agrees_with_all_subsets_within_its_error(pool: tuple[IntArray, DoubleArray]) -> None:
    votes, values = pool
    weights = np.random.default_rng(1).choice([0.0, 0.5, 1.0, 2.0], len(votes))
    brute = over_subsets(len(votes), lambda s: vote(votes, values, weights, s))
    estimate = weighted_vote_at_k(votes, values, weights, draws=4000)
    assert np.all(np.abs(estimate.value - brute) <= 5 * estimate.error + 1e-9)
    assert estimate.value[-1] == pytest.approx(brute[-1])
    assert estimate.value[0] == pytest.approx(brute[0])


def test_equal_weights_make_a_weighted_vote_a_majority_vote() -> None:
    votes = np.array([0, 0, 1, 1, 2, NO_VOTE, 0, 1])
    values = (votes == 0).astype(float)
    weighted = weighted_vote_at_k(votes, values, np.full(8, 0.1), draws=20_000)
    assert np.all(np.abs(weighted.value - maj_at_k(votes, values).value) <= 5 * weighted.error + 1e-9)


def test_the_same_seed_gives_the_same_estimate() -> None:
    votes = np.arange(20) % 3
    one, same, other = (weighted_vote_at_k(votes, votes == 0, np.linspace(0.1, 1, 20), seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.value, same.value)
    assert (one.value != other.value).any()


def test_negative_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="negative weight"):
        weighted_vote_at_k([0, 1], [1, 0], [0.5, -0.1])


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_rank_weights_are_probabilities(n: int) -> None:
    np.testing.assert_allclose(first_rank_weights(n).sum(axis=0), 1)
    np.testing.assert_allclose(first_rank_weights(n), mth_rank_weights(n, 1), atol=1e-12)
    for m in range(1, min(n, 4) + 1):
        np.testing.assert_allclose(mth_rank_weights(n, m)[:, m - 1 :].sum(axis=0), 1, rtol=1e-11)


def test_large_pools_take_little_memory_and_give_the_same() -> None:
    values = np.random.default_rng(0).random((2, 1500))
    np.testing.assert_allclose(first_rank_mean(values), values @ first_rank_weights(1500), rtol=1e-10)


# -- reliability ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("votes", "values"), pools(11))
def test_all_of_k(votes: IntArray, values: DoubleArray) -> None:
    expected = over_subsets(len(values), lambda members: float(values[members].min()))
    assert all_at_k(values) == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.6, 0.75, 1.0])
@pytest.mark.parametrize("right", [0, 1, 3, 5, 8])
def test_a_share_of_k(right: int, share: float) -> None:
    values = np.r_[np.ones(right), np.zeros(8 - right)]
    expected = over_subsets(
        8, lambda members: float(100 * values[members].sum() >= round(100 * share * len(members), 6))
    )
    if share == 0.01:
        assert share_at_k(values, share) == pytest.approx(pass_at_k(values))
    assert share_at_k(values, share) == pytest.approx(
        np.where(share * np.arange(1, 9) < 1, pass_at_k(values), expected)
    )


def test_the_mean_over_shares_is_the_papers_sum() -> None:
    values = np.r_[np.ones(5), np.zeros(3)]
    for k in range(1, 9):
        shares = [i / k for i in range(-(-k // 2) + 1, k + 1)]
        expected = 2 / k * sum(share_at_k(values, share)[k - 1] for share in shares)
        assert mean_share_at_k(values)[k - 1] == pytest.approx(expected)


def test_g_pass_by_hand() -> None:
    """Two of four samples are right: of two drawn, both are right with 1/6, at least one with 5/6."""
    values = np.array([1.0, 1.0, 0.0, 0.0])
    assert share_at_k(values, 1.0)[1] == pytest.approx(1 / 6)
    assert share_at_k(values, 0.5)[1] == pytest.approx(5 / 6)
    assert all_at_k(values)[1] == pytest.approx(1 / 6)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1])
def test_shares_that_are_none(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        share_at_k(np.ones(3), share)


def test_samples_that_are_right_in_part_are_not_counted() -> None:
    for estimate in (lambda v: share_at_k(v, 0.5), mean_share_at_k):
        with pytest.raises(ValueError, match="right in part"):
            estimate(np.array([0.5, 1.0]))
