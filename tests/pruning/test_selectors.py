"""Frontier selectors: which nodes are kept, with which width, and why the others are not."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.scripted import Scripted, session
from tests.pruning.frontiers import selected, tree_of
from widthwise import DistinctSteps, KvCost, PerSubtree, SoftmaxBalanced, TopK, TreeSearch, UsageError
from widthwise.core.errors import BackendError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.frontier import Frontier
from widthwise.pruning.kv_cost import clusters
from widthwise.pruning.kv_program import KvProgram
from widthwise.pruning.softmax_balanced import balanced


async def test_the_best_k_share_the_width_and_ties_go_to_the_first() -> None:
    nodes = tree_of("a", "b", "c", "d", scores=[0.5, 0.9, 0.5, None])
    selection = await selected(TopK(k=2), nodes, 5)
    assert selection.widths == {nodes[0]: 3, nodes[1]: 2}
    assert "score 0.500 is not among the best 2" in selection.reasons[nodes[2]]
    assert selection.reasons[nodes[3]].startswith("unscored")
    assert (await selected(TopK(children=4), nodes, 5)).widths == {nodes[0]: 3, nodes[1]: 2}
    assert (await selected(TopK(k=9), nodes, 4)).widths == dict.fromkeys(nodes, 1)


async def test_unscored_nodes_are_kept_where_there_is_room_and_never_before_scored_ones() -> None:
    nodes = tree_of("a", "b", "c", scores=[None, 0.0, None])
    assert list((await selected(TopK(k=1), nodes, 2)).widths) == [nodes[1]]
    assert list((await selected(TopK(k=2), nodes, 2)).widths) == [nodes[0], nodes[1]]
    assert (await selected(SoftmaxBalanced(), nodes, 4)).widths == {nodes[1]: 4}
    unscored = tree_of("a", "b", scores=[None, None])
    assert (await selected(SoftmaxBalanced(), unscored, 4)).widths == dict.fromkeys(unscored, 2)


async def test_every_subtree_keeps_its_best() -> None:
    nodes = tree_of("Aa", "Ab", "Bc", "Bd", scores=[0.9, 0.8, 0.1, 0.2])
    selection = await selected(PerSubtree(k=1), nodes, 4)
    assert selection.widths == {nodes[0]: 2, nodes[3]: 2}
    assert "of its subtree" in selection.reasons[nodes[1]]
    assert list((await selected(PerSubtree(k=1, depth=0), nodes, 4)).widths) == [nodes[0]]
    assert list((await selected(PerSubtree(k=1, depth=2), nodes, 4)).widths) == nodes


async def test_equal_texts_are_kept_once() -> None:
    nodes = tree_of("Aa", "Ab", "Ba")
    twin = tree_of("Aa")[0]
    selection = await selected(DistinctSteps(), [*nodes, twin], 7)
    assert list(selection.widths) == nodes
    assert list(selection.widths.values()) == [3, 2, 2]
    assert selection.reasons == {twin: "the same as 0.0.0"}


async def test_a_chain_hands_on_what_is_kept_and_collects_the_reasons() -> None:
    nodes = tree_of("Aa", "Ab", "Bc", "Bd", scores=[0.9, 0.8, 0.1, 0.2])
    selection = await selected(PerSubtree(k=1) | TopK(k=1) | SoftmaxBalanced(), nodes, 4)
    assert selection.widths == {nodes[0]: 4}
    assert "of its subtree" in selection.reasons[nodes[1]]
    assert "best 1 (" in selection.reasons[nodes[3]]


def test_selectors_compose_as_text_too() -> None:
    text = "tree_search(n=8, select=distinct_steps() | kv_cost(coverage=0.0) | softmax_balanced())"
    strategy = parse_strategy(text)
    assert strategy.sampler == TreeSearch(8, select=DistinctSteps() | KvCost(coverage=0.0) | SoftmaxBalanced())
    assert parse_strategy(str(strategy)) == strategy
    with pytest.raises(UsageError, match="not a pruner"):
        parse_strategy("tree_search() | top_k(k=2)")
    with pytest.raises(UsageError, match="frontier selector"):
        parse_strategy("tree_search(select=majority_vote())")
    with pytest.raises(UsageError):
        parse_strategy("tree_search(n=1 | 2)")


@pytest.mark.parametrize(
    ("scores", "width", "shares"),
    [
        ((0.9, 0.8, 0.5, 0.1), 16, [10, 5, 1, 0]),
        ((0.9, 0.2, 0.2), 4, [4, 0, 0]),
        ((0.5, 0.5, 0.5, 0.5), 16, [4, 4, 4, 4]),
        ((0.1, 0.9, 0.5, 0.8), 16, [0, 10, 1, 5]),
        ((0.7,), 3, [3]),
        ((), 3, []),
    ],
)
def test_rebase_allocates_as_the_worked_examples(scores: tuple[float, ...], width: int, shares: list[int]) -> None:
    assert balanced(scores, width, 0.2) == shares


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=80),
    st.integers(0, 300),
    st.sampled_from([1e-3, 0.2, 1.0, 1e3]),
)
def test_shares_sum_to_the_width_and_never_favour_a_lower_score(
    scores: list[float], width: int, temperature: float
) -> None:
    shares = balanced(scores, width, temperature)
    assert sum(shares) == width
    assert min(shares) >= 0
    best = max(range(len(scores)), key=lambda i: (scores[i], -i))
    assert shares[best] == max(shares)


TOY = {
    "shares": (0.4, 0.3, 0.2, 0.1),
    "leaf_parents": (0, 0, 0, 1),
    "inner_parents": (2, 2, -1),
    "clusters": (0, 0, 0, 1),
}


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize(
    ("cost", "coverage", "kept"),
    [
        (1, 0, [0, 1, 2]),
        (1, 0.36, [0, 1, 2]),
        (1, 0.38, [0, 1, 2, 3]),
        (1, 1.5, [0, 1, 2, 3]),
        (2, 0, [0, 1]),
        (2, 1.0, [0, 1, 3]),
        (2, 1.5, [0, 1, 3]),
    ],
)
def test_ets_keeps_what_the_worked_example_says(cost: float, coverage: float, kept: list[int], greedy: bool) -> None:
    program = KvProgram(**TOY, cost=cost, coverage=coverage)  # type: ignore[arg-type]
    assert (program.greedy() if greedy else program.solve()) == kept


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_integer_program_is_solved_exactly_and_greed_comes_close(data: Any) -> None:
    n, m = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 4))
    raw = data.draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    numbers = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    dense = {number: i for i, number in enumerate(dict.fromkeys(numbers))}
    leaf_parents = data.draw(st.lists(st.integers(0, m - 1), min_size=n, max_size=n))
    needed = {p for leaf in leaf_parents for p in range(leaf + 1)}
    program = KvProgram(
        shares=tuple(share / (sum(raw) or 1) for share in raw),
        leaf_parents=tuple(leaf_parents),
        inner_parents=tuple(i - 1 for i in range(len(needed))),  # a chain: each node is the child of the one before
        clusters=tuple(dense[number] for number in numbers),
        cost=data.draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])),
        coverage=data.draw(st.sampled_from([0.0, 0.4, 1.5])),
    )
    subsets = [s for k in range(1, n + 1) for s in itertools.combinations(range(n), k)]
    best = max(map(program.value, subsets))
    solved, greedy = program.solve(), program.greedy()
    assert solved
    assert program.value(solved) == pytest.approx(best, abs=1e-6)
    assert greedy
    assert program.value(greedy) <= best + 1e-9
    for leaf in greedy:  # dropping one gains nothing
        rest = [other for other in greedy if other != leaf]
        assert not rest or program.value(rest) <= program.value(greedy) + 1e-9


async def test_kv_cost_counts_the_tree_and_the_meanings_of_steps() -> None:
    nodes = tree_of("Aa", "Ab", "Ac", "Bd", scores=[0.9, 0.8, 0.75, 0.7])

    class Meanings:
        """a, b and c mean the same; d does not."""

        async def embed(self, texts: Any) -> Any:
            return np.array([[1.0, 0.0] if text in "abc" else [0.0, 1.0] for text in texts], np.float32), len(texts)

    s = session(Scripted([""]), embedder=Meanings())
    frontier = Frontier(tuple(nodes), 10)
    without = await KvCost(cost=2, coverage=0).select(s, frontier)
    assert list(without.widths) == nodes[:2]
    assert s.ledger.embedding == 0
    covered = await KvCost(cost=2, coverage=1.5).select(s, frontier)
    assert list(covered.widths) == [nodes[0], nodes[1], nodes[3]]
    assert s.ledger.embedding == 4
    assert "not worth the cache" in covered.reasons[nodes[2]]


async def test_a_failing_embedding_model_costs_the_coverage_and_a_missing_one_is_named() -> None:
    nodes = tree_of("Aa", "Ab", "Bd", scores=[0.9, 0.8, 0.7])

    class Broken:
        async def embed(self, texts: Any) -> Any:
            raise BackendError("no answer")

    with pytest.raises(UsageError, match="embedding model"):
        await KvCost().select(session(Scripted([""])), Frontier(tuple(nodes), 8))
    s = session(Scripted([""]), embedder=Broken())
    failed = await KvCost(cost=2).select(s, Frontier(tuple(nodes), 8))
    assert failed.widths == (await KvCost(cost=2, coverage=0).select(s, Frontier(tuple(nodes), 8))).widths


def test_vectors_cluster_by_average_cosine_distance() -> None:
    angles = np.radians([0, 5, 10, 60, 62])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    near = clusters(vectors, 0.05)
    assert near[0] == near[1] == near[2] != near[3] == near[4]
    assert sorted(set(near)) == [0, 1]
    assert len(set(clusters(vectors, 1e-6))) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: TopK(),
        lambda: TopK(k=1, children=1),
        lambda: TopK(k=0),
        lambda: PerSubtree(k=0),
        lambda: SoftmaxBalanced(temperature=0),
        lambda: SoftmaxBalanced(keep=0),
        lambda: KvCost(cost=-1),
    ],
)
def test_impossible_arguments_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"must be|give either"):
        wrong()
