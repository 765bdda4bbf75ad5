"""Resampling particles."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.pruning.resampling import SCHEMES, effective_size, linked, softmax

WEIGHTS = np.array([0.5, 0.3, 0.15, 0.05])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_has_its_share_on_average(scheme: str) -> None:
    chance = np.random.default_rng(1)
    drawn = np.array([SCHEMES[scheme](WEIGHTS, 10, chance) for _ in range(4000)])
    assert (drawn.sum(axis=1) == 10).all()
    assert drawn.mean(axis=0) == pytest.approx(10 * WEIGHTS, abs=0.1)


@pytest.mark.parametrize(("scheme", "within"), [("systematic", 1), ("residual", 10), ("stratified", 2)])
def test_schemes_keep_close_to_the_shares(scheme: str, within: int) -> None:
    chance = np.random.default_rng(2)
    for _ in range(500):
        drawn = SCHEMES[scheme](WEIGHTS, 10, chance)
        assert (np.abs(drawn - 10 * WEIGHTS) <= within).all()
        if scheme == "residual":
            assert (drawn >= np.floor(10 * WEIGHTS)).all()


def test_a_whole_share_is_kept_whole() -> None:
    assert SCHEMES["residual"](np.array([0.25, 0.75]), 4, np.random.default_rng(0)).tolist() == [1, 3]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_single_weight_takes_all(scheme: str) -> None:
    assert SCHEMES[scheme](np.array([0.0, 1.0, 0.0]), 5, np.random.default_rng(0)).tolist() == [0, 5, 0]


def test_links_and_the_effective_size() -> None:
    scores = np.array([0.0, 0.5, 0.8, 1.0])
    assert linked(scores, "identity").tolist() == scores.tolist()
    assert linked(scores, "logit")[1:3] == pytest.approx([0.0, np.log(4)])
    assert linked(scores, "log")[2] == pytest.approx(np.log(0.8))
    assert np.isfinite(linked(scores, "logit")).all()
    assert effective_size(softmax(np.zeros(7))) == pytest.approx(7)
    assert effective_size(np.array([1.0, 0.0])) == pytest.approx(1)
    # The ratios of a softmax over logits are the ratios of the scores' odds.
    odds = softmax(linked(np.array([0.5, 0.8]), "logit"))
    assert odds[1] / odds[0] == pytest.approx(4)


def by_hand(scheme: str, weights: list[float], count: int, chance: np.random.Generator) -> list[int]:
    """The schemes as loops (Douc, Cappé and Moulines, 2005)."""
    kept = [0] * len(weights)
    if scheme == "residual":
        kept = [int(count * weight + 1e-9) for weight in weights]
        rest = [count * weight - whole for weight, whole in zip(weights, kept, strict=True)]
        weights, count = [weight / (sum(rest) or 1) for weight in rest], count - sum(kept)
    if scheme == "systematic":
        first = float(chance.random())
        points = [(i + first) / count for i in range(count)]
    elif scheme == "stratified":
        points = [(i + float(u)) / count for i, u in enumerate(chance.random(count))]
    else:
        points = [float(u) for u in chance.random(count)]
    for point in points:
        place, reached = 0, weights[0]
        while reached <= point and place < len(weights) - 1:
            place += 1
            reached += weights[place]
        kept[place] += 1
    return kept


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("seed", range(50))
def test_schemes_draw_what_their_definitions_draw(scheme: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    weights = chance.dirichlet(np.full(int(chance.integers(1, 12)), 0.5))
    count = int(chance.integers(1, 70))
    found = SCHEMES[scheme](weights, count, np.random.default_rng(seed + 1))
    assert found.tolist() == by_hand(scheme, weights.tolist(), count, np.random.default_rng(seed + 1))
