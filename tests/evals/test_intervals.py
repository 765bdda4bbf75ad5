"""Intervals against the worked figures of the papers that define them."""

import numpy as np
import pytest
from scipy import stats

from widthwise.evals.measure import intervals


def near(interval: intervals.Interval, low: float, high: float) -> None:
    assert (interval.low, interval.high) == (pytest.approx(low, abs=6e-4), pytest.approx(high, abs=6e-4))


def test_intervals_of_27_right_of_30() -> None:
    near(intervals.wilson(27, 30), 0.744, 0.965)


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 30), (30, 30)])
def test_intervals_stay_between_0_and_1(right: int, n: int) -> None:
    found = intervals.wilson(right, n)
    assert 0 <= found.low <= right / n <= found.high <= 1


def test_an_impossible_count_is_refused() -> None:
    with pytest.raises(ValueError, match="31 of 30"):
        intervals.wilson(31, 30)


def test_how_many_problems_a_difference_needs() -> None:
    assert intervals.minimum_detectable(969) == pytest.approx(0.03, abs=1e-4)
    assert intervals.minimum_detectable(30) == pytest.approx(0.17, abs=0.002)
    assert intervals.minimum_detectable(969, noise=[(0.16, 4), (0.16, 4)]) > intervals.minimum_detectable(969)


def test_the_bootstrap_agrees_with_theory_on_many_problems() -> None:
    scores = np.random.default_rng(0).random(400)
    band = intervals.bootstrap(scores, replicates=5000)
    half = 1.96 * intervals.standard_error(scores)
    assert band.mean == pytest.approx(scores.mean())
    assert band.low == pytest.approx(scores.mean() - half, abs=0.003)
    assert band.high == pytest.approx(scores.mean() + half, abs=0.003)


def test_the_bootstrap_works_on_curves_and_repeats_itself() -> None:
    curves = np.random.default_rng(1).random((50, 7))
    one, same = (intervals.bootstrap(curves, replicates=700, seed=3) for _ in range(2))
    assert one.low.shape == (7,)
    np.testing.assert_array_equal(one.low, same.low)
    single = intervals.bootstrap(curves[:, 4], replicates=700, seed=3)
    assert single.low == pytest.approx(one.low[4])


@pytest.mark.parametrize("right", [0, 3, 27, 30])
def test_the_bayesian_bootstrap_of_single_runs_is_the_flat_priors_posterior(right: int) -> None:
    scores = np.r_[np.ones(right), np.zeros(30 - right)]
    band = intervals.bayesian_bootstrap(scores, replicates=40_000)
    low, high = stats.beta.ppf([0.025, 0.975], right + 1, 30 - right + 1)
    assert band.low == pytest.approx(min(low, right / 30), abs=0.004)
    assert band.high == pytest.approx(max(high, right / 30), abs=0.004)


@pytest.mark.slow
def test_the_bayesian_bootstrap_is_the_plain_one_on_many_problems() -> None:
    curves = np.random.default_rng(7).random((3000, 2))
    plain, other = (f(curves, replicates=3000) for f in (intervals.bootstrap, intervals.bayesian_bootstrap))
    np.testing.assert_allclose(plain.low, other.low, atol=0.002)
    np.testing.assert_allclose(plain.high, other.high, atol=0.002)


def test_strata_keep_their_sizes() -> None:
    scores = np.r_[np.zeros(30), np.ones(70)]
    means = intervals.resampled_means(scores, replicates=50, strata=scores)
    np.testing.assert_allclose(means, 0.7)


def test_clusters_are_drawn_whole_and_widen_the_interval() -> None:
    scores = np.repeat([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], 10)
    clusters = np.repeat(np.arange(6), 10)
    plain, whole = (intervals.bootstrap(scores, replicates=2000, clusters=c) for c in (None, clusters))
    assert whole.high - whole.low > 2 * (plain.high - plain.low)
    assert intervals.standard_error(scores, clusters) > 2 * intervals.standard_error(scores)


def test_the_clustered_error_is_the_papers_formula() -> None:
    rng = np.random.default_rng(2)
    scores, clusters = rng.random(20), rng.integers(0, 6, 20)
    centred = scores - scores.mean()
    extra = sum(centred[i] * centred[j] for i in range(20) for j in range(20) if i != j and clusters[i] == clusters[j])
    expected = np.sqrt(scores.var(ddof=1) / 20 + extra / 400)
    assert intervals.standard_error(scores, clusters) == pytest.approx(expected)


def test_a_paired_difference_of_single_runs_is_mcnemars_test() -> None:
    a, b = np.array([1] * 20 + [0] * 10), np.array([1] * 8 + [0] * 12 + [1, 1] + [0] * 8)
    found = intervals.paired(a, b, replicates=2000)
    assert found.mean == pytest.approx(10 / 30)
    assert found.p == pytest.approx(stats.binomtest(12, 14).pvalue)
    assert found.low < found.mean < found.high


def test_pairing_narrows_what_can_be_detected() -> None:
    rng = np.random.default_rng(4)
    hard = rng.random(60)
    a, b = np.clip(hard + 0.05 * rng.random(60), 0, 1), hard
    found = intervals.paired(a, b, replicates=2000)
    assert found.low > 0
    assert found.p < 0.001
    assert found.detectable < intervals.minimum_detectable(60, between=hard.var() * 2)


def test_a_method_does_not_differ_from_itself() -> None:
    found = intervals.paired(np.ones(5), np.ones(5), replicates=100)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_holm_adjusts_step_by_step() -> None:
    np.testing.assert_allclose(intervals.holm([0.01, 0.04, 0.03, 0.5]), [0.04, 0.09, 0.09, 0.5])


def test_no_problem_is_an_error() -> None:
    with pytest.raises(ValueError, match="no problem"):
        intervals.bootstrap(np.empty((0, 3)))
