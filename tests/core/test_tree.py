"""Ask and tell: trees whose nodes the caller makes."""

from __future__ import annotations

import copy
import doctest
import math
import pickle
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise import MCTS, PUCT, UCT, AdaptiveBranching, BestFirst, Tree, TreeNode, TreePolicy, UsageError
from widthwise.core.strategy import tree as trees

POLICIES: list[TreePolicy] = [
    UCT(),
    UCT(children=3, c=0.2),
    PUCT(),
    BestFirst(2),
    AdaptiveBranching(),
    AdaptiveBranching("beta"),
]


def worth(text: str) -> float:
    return random.Random(text).random()


def grow(tree: Tree[str], rounds: int, width: int = 1) -> None:
    """Tell the tree the result of every node that it asks for, in random order."""
    for number in range(rounds):
        nodes = tree.ask(width)
        random.Random(number).shuffle(nodes)
        for node in nodes:
            assert node.parent is not None
            text = f"{node.parent.content}{node.parent.children.index(node)}"
            tree.tell(node, worth(text), content=text, finished=len(text) > 6)


def shape(tree: Tree[str]) -> list[tuple[str | None, float | None, int, int]]:
    return [(n.content, n.score, n.visits, n.pending) for n in tree.nodes]


def naive_uct(tree: Tree[str], children: int, c: float) -> TreeNode[str]:
    """The place of the next node by the definition: statistics are recomputed from all scores."""

    def scores(node: TreeNode[str]) -> list[float]:
        own = [] if node.score is None else [node.score]
        return own + [score for child in node.children for score in scores(child)]

    def able(node: TreeNode[str]) -> bool:
        if node.standing in ("finished", "failed", "asked"):
            return False
        return len(node.children) < children or any(map(able, node.children))

    node = tree.root
    while len(node.children) >= children:
        parent = len(scores(node))
        bounds = {
            child: sum(found) / len(found) + c * math.sqrt(math.log(parent) / len(found))
            for child in node.children
            if able(child) and (found := scores(child))
        }
        node = max(bounds, key=lambda child: bounds[child])
    return node


def test_uct_chooses_as_its_definition_says() -> None:
    tree: Tree[str] = Tree(UCT(children=3, c=0.7), "")
    for _ in range(200):
        expected = naive_uct(tree, 3, 0.7)
        [node] = tree.ask()
        assert node.parent is expected
        text = f"{expected.content}{len(expected.children)}"
        tree.tell(node, worth(text), content=text, finished=len(text) > 4)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_a_pickled_tree_goes_on_as_it_would_have(policy: TreePolicy) -> None:
    tree: Tree[str] = Tree(policy, "", seed=5)
    grow(tree, 20, 3)
    waiting = tree.ask(2)
    other: Tree[str] = pickle.loads(pickle.dumps(tree))
    for node, twin in zip(waiting, other.waiting, strict=True):
        for one, of in ((tree, node), (other, twin)):
            one.tell(of, 0.5, content="x")
    for one in (tree, other):
        grow(one, 20, 2)
    assert shape(tree) == shape(other)


def test_a_deep_tree_can_be_pickled() -> None:
    tree: Tree[int] = Tree(UCT(children=1), 0)
    for number in range(2000):
        [node] = tree.ask()
        tree.tell(node, 0.5, content=number)
    again = pickle.loads(pickle.dumps(tree))
    assert again.nodes[-1].depth == tree.nodes[-1].depth == 2000


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_statistics_are_those_of_the_scores_below(policy: TreePolicy) -> None:
    tree: Tree[str] = Tree(policy, "")
    grow(tree, 30, 4)
    for node in tree.nodes:
        scores = [n.score for n in tree.nodes if n.score is not None and node in n.path]
        assert node.visits == len(scores)
        assert node.total == pytest.approx(sum(scores))
        assert node.squares == pytest.approx(sum(score * score for score in scores))
        assert node.pending == 0


def test_what_is_asked_for_at_once_differs() -> None:
    tree: Tree[str] = Tree(UCT(children=8, c=0.1), "")
    for node, score in zip(tree.ask(8), [0.9, 0.8, *[0.1] * 6], strict=True):
        tree.tell(node, score, content="")
    places = [node.parent for node in tree.ask(4)]
    assert len({id(place) for place in places}) > 1  # virtual loss: pending nodes make the best place less attractive
    assert tree.root.pending == 4


@pytest.mark.parametrize("policy", [UCT(children=2), PUCT(children=2), BestFirst(2)], ids=str)
def test_a_tree_that_is_searched_through_asks_for_nothing(policy: TreePolicy) -> None:
    tree: Tree[str] = Tree(policy, "")
    for _ in range(100):
        for node in tree.ask(3):
            assert node.parent is not None
            tree.tell(node, 0.5, content="", finished=node.depth == 3)
    assert len(tree) == 1 + 2 + 4 + 8
    assert tree.ask() == []
    assert tree.root.room == 0


def test_while_all_others_are_waited_for_there_is_nothing_to_ask() -> None:
    tree: Tree[str] = Tree(UCT(children=2), "")
    first, second = tree.ask(5)
    assert tree.ask() == []
    tree.tell(first, failed="the server fell over")
    assert tree.ask() == []
    tree.tell(second, 0.9, content="a")
    assert [node.parent for node in tree.ask(5)] == [second, second]


def test_what_failed_is_not_asked_for_again_and_what_was_forgotten_is() -> None:
    tree: Tree[str] = Tree(UCT(children=1), "")
    [node] = tree.ask()
    tree.forget(node)
    assert (len(tree), tree.root.pending, tree.root.room) == (1, 0, 1)
    [node] = tree.ask()
    tree.tell(node, failed="no answer")
    assert (node.reason, tree.ask(), tree.best()) == ("no answer", [], [])


def test_the_best_nodes() -> None:
    tree: Tree[str] = Tree(UCT(children=3), "")
    for node, (score, finished) in zip(tree.ask(3), [(0.2, True), (0.9, False), (0.4, True)], strict=True):
        tree.tell(node, score, content=str(score), finished=finished)
    assert [node.content for node in tree.best(2)] == ["0.9", "0.4"]
    assert [node.content for node in tree.best(5, finished=True)] == ["0.4", "0.2"]


@pytest.mark.parametrize(
    "score",
    [
        *(None, 1.5, -0.1, math.nan, math.inf, True, "0.5", 10**400, 1j),
        *(
            np.float32("nan"),
            np.float32(1.5),
            np.bool_(True),
            np.array([0.5]),
            Decimal("nan"),
            Decimal("sNaN"),
            Decimal(2),
        ),
    ],
    ids=repr,
)
def test_a_score_is_a_number_from_0_to_1(score: object) -> None:
    tree: Tree[str] = Tree(UCT(), "")
    [node] = tree.ask()
    with pytest.raises(UsageError, match="0 to 1"):
        tree.tell(node, score)  # type: ignore[arg-type]
    tree.tell(node, 0.5)  # the refused score was not counted


@pytest.mark.parametrize(
    "score", [np.float32(0.25), np.float16(0.25), np.float64(0.25), Fraction(1, 4), Decimal("0.25"), np.int64(1), 0]
)
def test_a_score_may_be_any_real_number(score: Any) -> None:
    tree: Tree[str] = Tree(UCT(), "")
    [node] = tree.ask()
    tree.tell(node, score, content="")
    assert (type(node.score), node.score) == (float, float(score))


@pytest.mark.parametrize("copied", [lambda tree: pickle.loads(pickle.dumps(tree)), copy.copy, copy.deepcopy])
def test_a_node_of_another_tree_is_refused(copied: Callable[[Tree[str]], Tree[str]]) -> None:
    tree: Tree[str] = Tree(UCT(), "")
    [node] = tree.ask()
    resumed = copied(tree)
    strange: TreeNode[str] = TreeNode(tree.root, standing="asked")
    for one, other in ((resumed, node), (tree, resumed.waiting[0]), (tree, strange)):
        for wrong in (one.tell, one.forget):
            with pytest.raises(
                UsageError, match=r"another tree: after a tree is loaded .* `waiting` has its own nodes"
            ):
                wrong(*(other, 0.5)[: 1 + (wrong == one.tell)])
    assert (tree.waiting, tree.root.pending, tree.root.visits) == ([node], 1, 0)
    resumed.tell(resumed.waiting[0], 0.5, content="a")
    assert (resumed.waiting, resumed.root.visits, tree.waiting) == ([], 1, [node])


def test_a_node_is_told_once() -> None:
    tree: Tree[str] = Tree(UCT(), "")
    [node] = tree.ask()
    tree.tell(node, 0.5)
    for wrong in (lambda: tree.tell(node, 0.5), lambda: tree.tell(tree.root, 0.5), lambda: tree.forget(node)):
        with pytest.raises(UsageError, match="this node is open"):
            wrong()
    for count in (0, -1, True, 1.5, "two"):
        with pytest.raises(UsageError, match="at least one"):
            tree.ask(count)  # type: ignore[arg-type]


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_room_counts_the_children_that_may_still_be_asked_for(seed: int, width: int) -> None:
    tree, chance = Tree[str](UCT(children=2), ""), random.Random(seed)
    for _ in range(12):
        waiting = tree.ask(width) + tree.waiting
        for node in dict.fromkeys(waiting):
            match chance.randrange(4):
                case 0:
                    tree.tell(node, failed="it failed")
                case 1:
                    tree.forget(node)
                case 2:
                    tree.tell(node, chance.random(), content="", finished=chance.random() < 0.3)
        for node in tree.nodes:
            below = [n for n in tree.nodes if node in n.path]
            assert node.room == sum(2 - len(n.children) for n in below if n.standing == "open")
            assert node.pending == sum(n.standing == "asked" for n in below)


@given(st.integers(0, 2**32), st.integers(1, 3), st.booleans())
def test_best_is_the_highest_score_of_a_node_that_may_have_more(seed: int, width: int, resumed: bool) -> None:
    """With equal scores, losses and resumed trees; best-first goes to that node, the first of equal ones."""
    tree, chance = Tree[str](BestFirst(children=2), ""), random.Random(seed)
    for _ in range(12):
        able = [n for n in tree.nodes if n.standing == "open" and len(n.children) < 2]
        scores = [-1.0 if node.score is None else node.score for node in able]
        if able:
            assert tree.policy.choose(tree.root, 0, 0) is able[scores.index(max(scores))]
        for node in tree.nodes:
            expected = [(score, -n.number) for n, score in zip(able, scores, strict=True) if node in n.path]
            assert node.best == max(expected, default=(-math.inf, 0))
        for node in [*tree.ask(width), *tree.waiting][:4]:
            match chance.randrange(4) if node in tree.waiting else 4:
                case 0:
                    tree.tell(node, failed="it failed")
                case 1:
                    tree.forget(node)
                case 2:
                    tree.tell(node, chance.choice([0.2, 0.5, 0.5, 0.9]), content="", finished=chance.random() < 0.2)
        tree = pickle.loads(pickle.dumps(tree)) if resumed else tree


class Watched:
    """A node that counts how many others were looked at on the way to it."""

    seen = 0

    def __init__(self, node: TreeNode[int]) -> None:
        self.node = node
        Watched.seen += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    @property
    def children(self) -> list[Watched]:
        return [Watched(child) for child in self.node.children]


def test_best_first_looks_at_few_nodes_of_a_large_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    tree: Tree[int] = Tree(BestFirst(children=4), 0)
    for number in range(1_000):
        [node] = tree.ask()
        tree.tell(node, worth(str(number)), content=number)
    monkeypatch.setattr(Watched, "seen", 0)
    chosen = tree.policy.choose(Watched(tree.root), 0, 0).node
    assert Watched.seen <= 1 + 4 * (chosen.depth + 1) < 500
    assert tree.ask()[0].parent is chosen


def test_the_example_in_the_documentation_runs() -> None:
    found = doctest.testmod(trees)
    assert (found.failed, found.attempted) == (0, 4)


@pytest.mark.parametrize("policy", ["uct", MCTS(), UCT, None, 3])
def test_only_a_policy_makes_a_tree(policy: Any) -> None:
    with pytest.raises(UsageError, match=r"^a tree takes a policy, such as ww"):
        Tree(policy)


@pytest.mark.parametrize("seed", ["x", -1, 1.5, None, True])
def test_the_seed_of_a_tree_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(UsageError, match=r"^seed must be a whole number of at least 0, not "):
        Tree(UCT(), seed=seed)


@pytest.mark.parametrize("node", ["x", None, 0])
def test_only_a_node_is_told_and_forgotten(node: Any) -> None:
    tree: Tree[str] = Tree(UCT())
    for call in (lambda: tree.tell(node, 0.5, content="a"), lambda: tree.forget(node)):
        with pytest.raises(UsageError, match=r"^a tree is told about a node that its ask returned, not about "):
            call()
