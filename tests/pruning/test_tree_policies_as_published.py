"""Tree policies on random searches, against choices computed from scratch by the papers' formulas."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from widthwise import PUCT, UCT, AdaptiveBranching, BestFirst, Tree
from widthwise.core.strategy.tree import TreeNode

Node = TreeNode[int]


def searched(tree: Tree[int], seed: int, check: Callable[[Tree[int]], None], steps: int = 60) -> None:
    """Ask and tell at random, several at a time and in any order; some finish, some fail. ``check`` before each ask."""
    chance = random.Random(seed)
    for step in range(steps):
        if tree.root.room:
            check(tree)
            tree.ask()
        waiting = tree.waiting
        while waiting and (chance.random() < 0.6 or not tree.root.room):
            node = waiting.pop(chance.randrange(len(waiting)))
            if chance.random() < 0.1:
                tree.tell(node, failed="lost")
            else:
                tree.tell(node, chance.random(), content=step, finished=chance.random() < 0.15)


def subtree(node: Node) -> list[Node]:
    return [node, *(below for child in node.children for below in subtree(child))]


def told(node: Node) -> list[float]:
    """The scores of a node and all below it."""
    return [each.score for each in subtree(node) if each.score is not None]


def tried(node: Node) -> int:
    """Its visits, with those that are still waited for."""
    return len(told(node)) + sum(each.standing == "asked" for each in subtree(node))


def may_grow(node: Node, children: float) -> bool:
    return any(each.standing == "open" and len(each.children) < children for each in subtree(node))


def descended(root: Node, children: int, bound: Callable[[Node, Node], float]) -> Node:
    node = root
    while len(node.children) >= children:
        node = max((c for c in node.children if may_grow(c, children)), key=lambda child: bound(node, child))
    return node


def uct(c: float) -> Callable[[Node, Node], float]:
    return lambda parent, child: sum(told(child)) / tried(child) + c * math.sqrt(math.log(tried(parent)) / tried(child))


def puct(c: float, temperature: float) -> Callable[[Node, Node], float]:
    def bound(parent: Node, child: Node) -> float:
        weights = {c: math.exp(c.score / temperature) for c in parent.children if c.score is not None}
        prior = weights.get(child, 0.0) / sum(weights.values())
        return sum(told(child)) / max(tried(child), 1) + c * prior * math.sqrt(tried(parent)) / (1 + tried(child))

    return bound


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("rule", ["uct", "puct"])
def test_upper_bounds_choose_as_their_formulas_say(rule: str, seed: int) -> None:
    children, c = random.Random(seed).choice([(2, 0.7), (3, math.sqrt(2)), (4, 2.0), (1, 1.0)])
    policy: Any = UCT(children, c) if rule == "uct" else PUCT(children, c, temperature=0.3)
    bound = uct(c) if rule == "uct" else puct(c, 0.3)

    def check(tree: Tree[int]) -> None:
        assert policy.choose(tree.root, 0, 0) is descended(tree.root, children, bound)

    searched(Tree(policy), seed, check)


@pytest.mark.parametrize("seed", range(40))
def test_best_first_chooses_the_highest_score_that_may_have_more(seed: int) -> None:
    children = random.Random(seed).choice([1, 2, 4])

    def check(tree: Tree[int]) -> None:
        able = [n for n in tree.nodes if n.standing == "open" and len(n.children) < children]
        best = max(able, key=lambda node: -1.0 if node.score is None else node.score)
        assert tree.policy.choose(tree.root, 0, 0) is best

    searched(Tree(BestFirst(children)), seed, check)


def thompson(root: Node, draw: Callable[[list[float]], float]) -> Node:
    """AB-MCTS-A by its description: compare a draw for a new child with one for going on, at each node."""
    node = root
    while scored := [child for child in node.children if child.score is not None]:
        own = [child.score for child in scored if child.score is not None]
        deeper = [score for child in scored for score in told(child)]
        for score in own:
            deeper.remove(score)
        able = [child for child in scored if any(each.standing == "open" for each in subtree(child))]
        if draw(own) >= draw(deeper) or not able:
            return node
        node = max(able, key=lambda child: draw(told(child)))
    return node


def student(chance: np.random.Generator) -> Callable[[list[float]], float]:
    def draw(scores: list[float]) -> float:
        n, mean = len(scores), float(np.mean(scores)) if scores else 0.0
        kappa, nu = 1 + n, 1 + n
        scale2 = (0.1 + sum((s - mean) ** 2 for s in scores) + n * mean**2 / kappa) / nu
        return float(stats.t.rvs(nu, n * mean / kappa, math.sqrt(scale2 / kappa), random_state=chance))

    return draw


def jeffreys(chance: np.random.Generator) -> Callable[[list[float]], float]:
    return lambda scores: float(chance.beta(0.5 + sum(scores), 0.5 + len(scores) - sum(scores)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("belief", "beliefs"), [("gauss", student), ("beta", jeffreys)])
def test_adaptive_branching_goes_where_thompson_sampling_goes(belief: Any, beliefs: Any, seed: int) -> None:
    policy = AdaptiveBranching(belief)
    tree: Tree[int] = Tree(policy)
    searched(tree, seed, lambda _: None, steps=12)
    draw = beliefs(np.random.default_rng(seed))
    ours = Counter(tree.nodes.index(policy.choose(tree.root, seed, number)) for number in range(1000))
    theirs = Counter(tree.nodes.index(thompson(tree.root, draw)) for _ in range(1000))
    places = [place for place in ours | theirs if ours[place] + theirs[place] >= 10]
    table = [[counts[place] for place in places] for counts in (ours, theirs)]
    assert len(places) > 1
    assert stats.chi2_contingency(table).pvalue > 1e-4
