"""Where tree policies go, checked against the formulas of their papers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from widthwise import PUCT, UCT, AdaptiveBranching, BestFirst, Tree
from widthwise.pruning.adaptive_branching import normal_means


def tree_of(scores: dict[str, float], policy: object) -> Tree[str]:
    """A tree whose nodes are named by their paths: "ba" is the first child of the second child."""
    tree: Tree[str] = Tree(policy, "")  # type: ignore[arg-type]
    for name in sorted(scores, key=len):
        parent = next(node for node in tree.nodes if node.content == name[:-1])
        [node] = _asked(tree, parent)
        tree.tell(node, scores[name], content=name)
    return tree


def _asked(tree: Tree[str], parent: object) -> list[object]:
    """A new child of ``parent``, whatever the policy would choose."""
    chosen, tree.policy = tree.policy, _Always(parent, tree.policy)
    try:
        return tree.ask()  # type: ignore[return-value]
    finally:
        tree.policy = chosen


class _Always:
    def __init__(self, node: object, like: object) -> None:
        self._node, self.branching = node, like.branching  # type: ignore[attr-defined]

    def choose(self, root: object, seed: int, number: int) -> object:
        return self._node


TWO = {"a": 0.6, "b": 0.5, "aa": 0.2, "ab": 0.3}


def test_uct_by_hand() -> None:
    tree = tree_of(TWO, UCT(children=2, c=1.0))
    a, b = tree.root.children
    bounds = UCT(children=2, c=1.0).bounds(tree.root)
    assert bounds == pytest.approx([1.1 / 3 + math.sqrt(math.log(4) / 3), 0.5 + math.sqrt(math.log(4))])
    [node] = tree.ask()
    assert node.parent is b
    # A pending node counts as a visit of value 0, here and above: now (0.5 + 0) / 2.
    assert UCT(children=2, c=1.0).bounds(tree.root)[1] == pytest.approx(0.25 + math.sqrt(math.log(5) / 2))
    del a


def test_puct_by_hand() -> None:
    policy = PUCT(children=2, c=2.0, temperature=0.5)
    tree = tree_of(TWO, policy)
    prior = np.exp(np.array([0.6, 0.5]) / 0.5)
    prior /= prior.sum()
    expected = np.array([1.1 / 3, 0.5]) + 2.0 * prior * math.sqrt(4) / (1 + np.array([3, 1]))
    assert policy.bounds(tree.root) == pytest.approx(list(expected))


def test_best_first_takes_the_best_that_has_room() -> None:
    tree = tree_of({"a": 0.6, "b": 0.5, "aa": 0.55, "ab": 0.3}, BestFirst(children=2))
    assert [node.parent.content for node in tree.ask(4)] == ["aa", "aa", "b", "b"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("n", "values"), [(0, []), (1, [0.7]), (4, [0.1, 0.2, 0.9, 0.4])])
def test_what_is_believed_of_a_mean_is_students_t(n: int, values: list[float]) -> None:
    """The marginal of the mean under the posterior: a t distribution with nu degrees, from the textbook's formulas."""
    from scipy import stats

    seen, total = np.array(values), sum(values)
    mean = total / n if n else 0.0
    kappa, nu = 1 + n, 1 + n
    center = total / kappa
    scale2 = (0.1 + ((seen - mean) ** 2).sum() + n * mean**2 / kappa) / nu
    chance = np.random.default_rng(0)
    drawn = [float(normal_means(chance, n, total, float((seen**2).sum()))) for _ in range(4000)]
    assert stats.kstest(drawn, stats.t(nu, center, math.sqrt(scale2 / kappa)).cdf).pvalue > 1e-4


def test_adaptive_branching_goes_deeper_where_that_pays_and_wider_where_it_does_not() -> None:
    def share_of_wider(scores: dict[str, float]) -> float:
        tree = tree_of(scores, AdaptiveBranching("beta"))
        return sum(tree.policy.choose(tree.root, 0, number) is tree.root for number in range(500)) / 500

    deeper_pays = {"a": 0.1, "b": 0.1} | {f"a{i}": 0.9 for i in "abcdefgh"}
    wider_pays = {"a": 0.9, "b": 0.9, "c": 0.9, "d": 0.9} | {f"a{i}": 0.05 for i in "abcdefgh"}
    assert share_of_wider(deeper_pays) < 0.2
    assert share_of_wider(wider_pays) > 0.8


def test_adaptive_branching_prefers_the_better_child() -> None:
    tree = tree_of(
        {"a": 0.9, "b": 0.1} | {f"a{i}": 0.9 for i in "abcdef"} | {f"b{i}": 0.1 for i in "abcdef"},
        AdaptiveBranching("beta"),
    )
    a, b = tree.root.children
    went = [tree.policy.choose(tree.root, 0, number) for number in range(300)]
    assert sum(a in node.path for node in went) > 5 * sum(b in node.path for node in went)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: UCT(children=0), "children"),
        (lambda: UCT(c=-1.0), "c not below 0"),
        (lambda: PUCT(temperature=0.0), "temperature"),
        (lambda: BestFirst(0), "children"),
        (lambda: AdaptiveBranching("t"), "belief"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments(make: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()  # type: ignore[operator]
