"""Scaling laws: check values from the papers, and parameters recovered from exact curves."""

import numpy as np
import pytest

from widthwise.evals.measure.estimators import pass_at_k
from widthwise.evals.measure.scaling import (
    BetaLaw,
    CeilingLaw,
    Law,
    LogLaw,
    PowerLaw,
    SaturatingLaw,
    fit,
    fit_curve,
    grid,
    held_out,
)

K = np.array([1, 2, 4, 8, 16, 32, 64, 128])


def test_check_values_of_the_beta_law() -> None:
    found = BetaLaw(0.3, 1.2).at([1, 10, 100, 1000])
    np.testing.assert_allclose(found, [0.2000, 0.5280, 0.7582, 0.8785], atol=5e-5)


@pytest.mark.parametrize(("law", "expected"), [(SaturatingLaw(0.8, 0.3), 9), (SaturatingLaw(1, 0.05), 32)])
def test_saturation_points_of_the_paper(law: SaturatingLaw, expected: int) -> None:
    assert law.saturation(0.01) == expected
    assert law.gain(expected) <= 0.01 < law.gain(expected - 1)


def test_a_law_that_never_gains_saturates_at_once() -> None:
    assert SaturatingLaw(0.5, 0.01).saturation(0.01) == 0


@pytest.mark.parametrize("law", [BetaLaw(0.3, 1.2), BetaLaw(0.5, 2.0, never=0.2)], ids=str)
def test_the_gain_of_a_beta_law_is_its_difference(law: BetaLaw) -> None:
    np.testing.assert_allclose(law.gain(K), law.at(K + 1) - law.at(K), rtol=1e-8)
    n = law.saturation(0.01)
    assert law.gain(n) <= 0.01 < law.gain(n - 1)


@pytest.mark.parametrize(
    "law",
    [
        PowerLaw(-1.2, -0.4),
        SaturatingLaw(0.7, 0.2),
        LogLaw(0.3, 0.08),
        BetaLaw(0.3, 1.2),
        BetaLaw(0.8, 2.0, never=0.2),
        CeilingLaw(0.9, 0.5, 0.6),
    ],
    ids=str,
)
def test_a_fit_finds_the_law_again(law: Law) -> None:
    found = fit(type(law), K, law.at(K))
    np.testing.assert_allclose(found.at(K), law.at(K), atol=1e-4)
    predicted, observed = held_out(type(law), K, law.at(K))
    assert predicted == pytest.approx(observed, abs=5e-3)


def test_a_fit_needs_as_many_points_as_parameters() -> None:
    with pytest.raises(ValueError, match="too few"):
        fit(CeilingLaw, [1, 2], [0.1, 0.2])


def test_points_without_spread_do_not_rule_the_others_out() -> None:
    law = PowerLaw(-1.0, -0.5)
    found = fit(PowerLaw, K, law.at(K), errors=np.r_[0.0, np.full(len(K) - 1, 0.01)])
    assert found.b == pytest.approx(law.b, abs=1e-3)


def test_the_beta_fit_finds_its_parameters_and_the_unsolvable_share() -> None:
    rng = np.random.default_rng(0)
    rates = np.where(rng.random(4000) < 0.25, 0.0, rng.beta(2.0, 3.0, 4000))
    found = fit_curve(BetaLaw, pass_at_k(rng.random((4000, 64)) < rates[:, None]), replicates=20)
    assert isinstance(found.law, BetaLaw)
    assert found.law.never == pytest.approx(0.25, abs=0.02)
    assert found.low["never"] < 0.25 < found.high["never"]
    assert found.law.at(1e6) == pytest.approx(0.75, abs=0.02)


def test_a_fitted_curve_has_intervals_over_problems() -> None:
    rng = np.random.default_rng(3)
    right = rng.random((120, 64)) < rng.beta(0.5, 1.0, 120)[:, None]
    found = fit_curve(PowerLaw, pass_at_k(right), replicates=60)
    assert isinstance(found.law, PowerLaw)
    assert found.low["b"] < found.law.b < found.high["b"] < 0
    assert found.predicted == pytest.approx(found.observed, abs=0.03)


def test_the_grid_ends_at_half_of_the_pool() -> None:
    points = grid(256)
    assert points[0] == 1
    assert points[-1] == 128
    assert (np.diff(points) > 0).all()
