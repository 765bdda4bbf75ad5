"""AB-MCTS-M, and several models as arms: posteriors against independent computations, choices by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

import widthwise as ww
from tests.pruning.test_tree_policies import tree_of

GROUPS = [[0.2, 0.4, 0.35], [0.8], [0.5, 0.6, 0.9, 0.7]]


def sums(groups: Any) -> list[tuple[float, float, float]]:
    return [(len(g), sum(g), sum(x * x for x in g)) for g in groups]


def weighed_from_the_prior(groups: list[list[float]], draws: int) -> tuple[Any, Any]:
    """Predicted scores of each group and of a new one, drawn from the prior and weighed by their likelihood."""
    chance = np.random.default_rng(1)
    mu = chance.normal(0.5, 0.2, draws)
    between, within = np.abs(chance.normal(0, 0.2, draws)), np.abs(chance.normal(0, 0.3, draws))
    means = mu[:, None] + chance.normal(size=(draws, len(groups) + 1)) * between[:, None]
    log = sum(
        stats.norm.logpdf(np.array(g)[None, :], means[:, j, None], within[:, None]).sum(axis=1)
        for j, g in enumerate(groups)
    )
    weight = np.exp(log - log.max())
    return means + chance.normal(size=means.shape) * within[:, None], weight / weight.sum()


def test_predictions_are_those_of_the_mixed_model() -> None:
    policy, chance = ww.MixedBranching(), np.random.default_rng(0)
    drawn = np.array([policy.predicted(sums(GROUPS), chance) for _ in range(400)])
    expected, weight = weighed_from_the_prior(GROUPS, 200_000)
    for j in range(len(GROUPS) + 1):
        order = np.argsort(expected[:, j])
        cumulated = np.cumsum(weight[order])
        at = np.sort(drawn[:, j])
        theirs = np.interp(at, expected[order, j], cumulated)
        ours = (np.arange(len(at)) + 0.5) / len(at)
        assert np.abs(ours - theirs).max() < 0.1, j  # 1.63 / sqrt(400) = 0.08 at p = 0.01, and the weights' own error


def test_equal_scores_prove_no_certainty_and_nothing_overflows() -> None:
    policy, chance = ww.MixedBranching(), np.random.default_rng(0)
    for groups in ([[1.0] * 50], [[0.0] * 9, [1.0] * 9], [[0.5]]):
        assert np.isfinite(policy.predicted(sums(groups), chance)).all()


def test_a_new_child_is_made_if_its_prediction_is_the_highest() -> None:
    tree = tree_of({"a": 0.3, "b": 0.8}, ww.MixedBranching())
    went = [tree.policy.choose(tree.root, 0, number) for number in range(400)]
    expected, weight = weighed_from_the_prior([[0.3], [0.8]], 200_000)
    chance = np.random.default_rng(4)
    columns = [chance.choice(expected[:, j], 100_000, p=weight) for j in range(3)]  # independent draws, as released
    best = np.bincount(np.argmax(columns, axis=0), minlength=3) / 100_000
    places = [*tree.root.children, tree.root]
    shares = [sum(node is place for node in went) / 400 for place in places]
    assert shares == pytest.approx(best, abs=0.09)


def test_a_child_with_one_score_below_it_is_passed_over() -> None:
    stuck = {"a": 0.9, "b": 0.2} | {f"a{c}": 0.9 for c in "abcd"}
    tree = tree_of(stuck, ww.MixedBranching())
    a, b = tree.root.children
    went = [tree.policy.choose(tree.root, 0, number) for number in range(60)]
    assert not any(a in node.path for node in went)
    assert any(b in node.path for node in went)
    free = tree_of(stuck, ww.MixedBranching(least=6))
    assert any(free.root.children[0] in free.policy.choose(free.root, 0, number).path for number in range(60))


def random_scores(seed: int) -> dict[str, float]:
    """Ten nodes by their paths; about half of them have the score of the node above, so that some scores repeat."""
    chance = np.random.default_rng(seed)
    scores: dict[str, float] = {}
    for number in range(10):
        above = ["", *scores][int(chance.integers(min(number, 4) + 1))]
        name = above + "abcdefghij"[sum(len(n) == len(above) + 1 and n.startswith(above) for n in scores)]
        scores[name] = scores[above] if above and chance.random() < 0.5 else float(chance.random())
    return scores


def independent_predictions(groups: list[list[float]], draws: int) -> Any:
    """A score predicted for each group and for a new one, ``[groups + 1, draws]``, each drawn by itself, as released.

    The common mean is drawn from its prior and the deviations log-uniformly above their floor, and all three are
    weighed by prior and likelihood. (Drawn from their priors, hardly any would fit scores that lie close together.)
    """
    chance = np.random.default_rng(5)
    mu = chance.normal(0.5, 0.2, 400_000)
    t, s = (np.exp(chance.uniform(np.log(1e-3), np.log(1.5), len(mu))) for _ in range(2))
    log = stats.halfnorm.logpdf(t, scale=0.2) + stats.halfnorm.logpdf(s, scale=0.3) + np.log(t * s)
    centers, spreads = [], []
    for group in map(np.array, groups):
        n, mean = len(group), group.mean()
        log += stats.norm.logpdf(mean, mu, np.sqrt(t**2 + s**2 / n))
        log += -(n - 1) * np.log(s) - ((group - mean) ** 2).sum() / (2 * s**2)
        pull = t**2 / (t**2 + s**2 / n)
        centers.append(mu + pull * (mean - mu))
        spreads.append(np.sqrt(pull * s**2 / n + s**2))
    weight = np.exp(log - log.max())
    assert weight.sum() ** 2 / (weight**2).sum() > 2000  # so many draws is the weighted sample worth
    columns = zip([*centers, mu], [*spreads, np.sqrt(t**2 + s**2)], strict=True)
    place = [chance.choice(len(mu), draws, p=weight / weight.sum()) for _ in range(len(groups) + 1)]
    return np.array([chance.normal(c[p], d[p]) for (c, d), p in zip(columns, place, strict=True)])


def shares_of(scores: dict[str, float], least: int, place: str = "") -> dict[str, float]:
    """How often each node is chosen, from ``place`` down, by the rule of treequest and independent predictions."""
    below = [name for name in scores if name[:-1] == place]
    if not below:
        return {place: 1.0}
    groups = [[score for name, score in scores.items() if name.startswith(child)] for child in below]
    stuck = [len(g) >= least and max(Counter(round(100 * s) for s in g).values()) >= 0.75 * len(g) for g in groups]
    columns = independent_predictions(groups, 50_000)
    free = np.where(np.array(stuck)[:, None], -np.inf, columns[:-1])
    stays = (columns[-1] > columns[:-1].max(axis=0)) | all(stuck)
    found = {place: float(stays.mean())}
    for child, goes in zip(below, np.arange(len(below))[:, None] == np.argmax(free, axis=0), strict=True):
        if (share := float((goes & ~stays).mean())) > 0.01:
            found |= {name: share * part for name, part in shares_of(scores, least, child).items()}
    return found


@pytest.mark.parametrize(("seed", "least"), [(0, 3), (1, 3), (2, 3), (3, 3), (0, 100)])
def test_nodes_are_chosen_as_often_as_in_an_independent_computation(seed: int, least: int) -> None:
    scores = random_scores(seed)
    tree = tree_of(scores, ww.MixedBranching(least=least))
    went = Counter(tree.policy.choose(tree.root, seed, number).content for number in range(400))
    expected = shares_of(scores, least)
    assert {name: went[name] / 400 for name in scores | {"": 0}} == pytest.approx(
        {name: expected.get(name, 0.0) for name in scores | {"": 0}}, abs=0.08
    )


def test_equal_seeds_make_equal_trees() -> None:
    def grown() -> list[int]:
        tree: ww.Tree[str] = ww.Tree(ww.MixedBranching(), seed=3)
        for number in range(12):
            [node] = tree.ask()
            tree.tell(node, (number * 7 % 10) / 10)
        return [tree.nodes.index(node.parent) for node in tree.nodes[1:] if node.parent]

    assert grown() == grown()
    assert len(set(grown())) > 2


SEEN = [[0.3, 0.5, 0.4], [0.6], []]


def test_an_arm_is_drawn_with_the_probability_that_it_is_the_best() -> None:
    """Under the normal-inverse-chi-square prior each mean has Student's t distribution (textbook formulas)."""
    chance, best = np.random.default_rng(2), np.zeros(3)
    means = []
    for scores in SEEN:
        n, mean = len(scores), float(np.mean(scores)) if scores else 0.0
        kappa = nu = 1 + n
        scale2 = (0.1 + sum((s - mean) ** 2 for s in scores) + n * mean**2 / kappa) / nu
        means.append(stats.t(nu, n * mean / kappa, np.sqrt(scale2 / kappa)).rvs(200_000, random_state=chance))
    best = np.bincount(np.argmax(means, axis=0), minlength=3) / 200_000
    drawn = [ww.AdaptiveBranching().arm(SEEN, 0, number) for number in range(4000)]
    assert np.bincount(drawn, minlength=3) / 4000 == pytest.approx(best, abs=0.03)


def test_an_arm_of_the_mixed_model_is_the_one_with_the_highest_prediction() -> None:
    expected, weight = weighed_from_the_prior(SEEN[:2], 200_000)
    chance = np.random.default_rng(3)
    columns = [chance.choice(expected[:, j], 100_000, p=weight) for j in range(3)]  # independent draws, as released
    best = np.bincount(np.argmax(columns, axis=0), minlength=3) / 100_000
    drawn = [ww.MixedBranching().arm(SEEN, 0, number) for number in range(300)]
    assert np.bincount(drawn, minlength=3) / 300 == pytest.approx(best, abs=0.1)


@pytest.mark.parametrize("policy", [ww.AdaptiveBranching(), ww.AdaptiveBranching("beta"), ww.MixedBranching()])
def test_a_single_arm_needs_no_draw_and_unknown_ones_are_all_tried(policy: Any) -> None:
    assert policy.arm([[0.5]], 0, 0) == 0
    assert {policy.arm([[], [], []], 0, number) for number in range(60)} == {0, 1, 2}


@pytest.mark.parametrize("arguments", [{"mu": 0}, {"sigma_y": -1.0}, {"least": 0}, {"alike": 0}, {"alike": 1.5}])
def test_wrong_arguments(arguments: Any) -> None:
    with pytest.raises(ww.UsageError):
        ww.MixedBranching(**arguments)
