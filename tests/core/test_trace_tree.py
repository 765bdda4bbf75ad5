"""The trace tree, the votes and a worker's view, each separately."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from widthwise.core.pruner import GO_ON
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.call import Call
from widthwise.core.session.limits import Limits
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.session.view import CHUNK, View
from widthwise.core.session.votes import Votes
from widthwise.core.session.watch import Watch
from widthwise.core.trace.trace import Segment, Trace


def everywhere(trace: Trace) -> bool:
    return True


def grown(parent: Trace | None, *number: int, origin: Any = "sampled", tokens: int = 1) -> Trace:
    trace_id = (*parent.id, *number) if parent else number
    sequential = (parent.sequential if parent else 0) + (tokens if origin == "sampled" else 0)
    return Trace(trace_id, Segment(origin, np.arange(tokens), "x" * tokens), parent, sequential)


@pytest.fixture
def tree() -> TraceTree:
    return TraceTree(Accounts(Limits()))


def test_children_are_numbered_by_their_parent_and_prompts_by_the_tree(tree: TraceTree) -> None:
    assert [tree.next_id(()), tree.next_id(()), tree.next_id((0,)), tree.next_id((0,))] == [(0,), (1,), (0, 0), (0, 1)]


def test_the_longest_chain_is_told_to_the_accounts() -> None:
    accounts = Accounts(Limits())
    tree = TraceTree(accounts)
    root = tree.keep(grown(None, 0, origin="prompt", tokens=9))
    long = tree.keep(grown(root, 0, tokens=5))
    tree.keep(grown(root, 1, tokens=2))
    assert accounts.ledger.sequential == long.sequential == 5


def test_a_trace_is_a_leaf_a_fragment_or_a_judges_reply(tree: TraceTree) -> None:
    root = tree.keep(grown(None, 0, origin="prompt"))
    first = tree.keep(grown(root, 0))
    last = tree.keep(grown(first, 0))
    thread = tree.keep(grown(root, 1, origin="inserted"), fragment=True)
    spoken = tree.keep(grown(thread, 0))
    reply = tree.keep(grown(root, 2), judged=True)
    assert tree.leaves(everywhere) == [last]
    assert tree.fragments(everywhere) == [spoken]
    assert tree.judgements(everywhere) == [reply]
    tree.set_aside(first)
    assert tree.leaves(everywhere) == []
    assert tree.fragments(everywhere) == [last, spoken]


def test_an_adopted_search_goes_on_behind_its_own_numbers(tree: TraceTree) -> None:
    root = grown(None, 0, origin="prompt")
    second = grown(root, 1)
    tree.adopt([second])
    assert tree.traces == {(0,): root, (0, 1): second}
    assert [tree.next_id((0,)), tree.next_id(())] == [(0, 2), (1,)]


def test_votes_of_several_pruners_are_multiplied_and_the_last_word_of_one_counts() -> None:
    votes = Votes()
    votes.weigh(0, {(0, 0): 0.5, (0, 1): 0.0})
    votes.weigh(1, {(0, 0): 0.5})
    assert [votes.weight((0, 0)), votes.weight((0, 1)), votes.weight((0, 2))] == [0.25, 0.0, 1.0]
    votes.weigh(0, {(0, 1): 1.0})
    assert votes.weight((0, 1)) == 1.0


class Every:
    """A pruner that only states how often to ask it, and what it needs."""

    def __init__(self, every: int | None, logprobs: int | None = None, warmup: int | None = None) -> None:
        self.every, self.logprobs, self.warmup = every, logprobs, warmup

    async def __call__(self, session: object, live: Any, finished: Any, total: int) -> Any:
        return GO_ON


@pytest.mark.parametrize(
    ("every", "before", "longest", "due"), [(4, 0, 3, False), (4, 3, 4, True), (4, 4, 7, False), (None, 0, 99, False)]
)
def test_a_checkpoint_lies_between_two_lengths_or_does_not(
    every: int | None, before: int, longest: int, due: bool
) -> None:
    assert Watch(Every(every), None).due(before, longest) is due


def test_a_view_has_its_part_of_the_tree_and_calls_under_its_pruners() -> None:
    root = grown(None, 0, origin="prompt")
    mine, beside = grown(root, 3), grown(root, 4)
    view = View(mine, (1,), (Every(5, logprobs=2, warmup=3), Every(None, logprobs=7))).heeding(Every(None, logprobs=9))
    assert [view.has(t) for t in (mine, grown(mine, 0), grown(None, 1, 0), beside, root)] == [True] * 3 + [False] * 2
    assert all(View(root).has(t) for t in (root, mine, beside))
    call = view.call("session", Call([mine], 2))
    assert (call.logprobs, call.warmup, call.chunk) == (9, 3, 5)
    assert [watch.session for watch in call.watches] == ["session"] * 2


def test_nobody_looks_after_judges_but_their_tokens_come_as_often() -> None:
    root = grown(None, 0, origin="prompt")
    call = View(root, (), (Every(5, logprobs=2, warmup=3),), logprobs=2).call(None, Call([root], judging=True))
    assert (call.watches, call.logprobs, call.warmup, call.chunk) == ((), 0, 0, 5)
    assert View(root).call(None, Call([root])).chunk == CHUNK
