"""Searches over steps: which nodes are expanded, how searches end, and what they keep."""

from __future__ import annotations

import math
import pickle
from dataclasses import astuple
from typing import Any

import pytest

from tests.samplers.steps import Rewards, by_table, searching
from widthwise import (
    DVTS,
    ETS,
    REBASE,
    BackendError,
    BeamSearch,
    Budget,
    StepTree,
    TreeSearch,
    UsageError,
    WeightedVote,
)
from widthwise.cli.tree_view import draw_tree
from widthwise.core.session.session import Session
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.trace.trace import name
from widthwise.evals.store.outcome import Leaf
from widthwise.evals.views.search_tree import SearchTree

BOTH = pytest.mark.parametrize("deterministic", [True, False])
VALUE = {"good": 0.9, "fair": 0.6, "poor": 0.2, "= 1": 0.8, "= 2": 0.3}


def worth(step: str) -> float:
    return next(value for word, value in VALUE.items() if word in step)


def states(session: Session) -> dict[str, Any]:
    return {name(t.id): t.finish for _, t in sorted(session.traces.items()) if t.segment.origin == "sampled"}


TWO_STEPS = by_table(
    {
        "": ["good\n\n", "poor\n\n", "fair\n\n", "poor\n\n"],
        "good": ["good = 1", "fair = 2"],
        "fair": ["good = 1", "poor = 2"],
    }
)


@BOTH
async def test_beam_search_goes_on_from_the_best_and_notes_who_was_pruned_and_why(deterministic: bool) -> None:
    s = searching(TWO_STEPS, Rewards(worth), deterministic=deterministic)
    traces = await BeamSearch(4, 2)(s)
    assert [(name(t.id), t.completion) for t in traces] == [
        ("0.0.0", "good\n\ngood = 1\0"),
        ("0.0.1", "good\n\nfair = 2\0"),
        ("0.2.0", "fair\n\ngood = 1\0"),
        ("0.2.1", "fair\n\npoor = 2\0"),
    ]
    assert {n: f for n, f in states(s).items() if f == "pruned"} == {"0.1": "pruned", "0.3": "pruned"}
    reason = str(s.traces[0, 1].segment.reason)
    assert reason == "round 1: score 0.200 is not among the best 2 (the last of them: score 0.600)"
    assert s.traces[0, 0].segment.metadata == {"score": 0.9, "round": 1}
    assert s.traces[0, 2, 0].segment.metadata == {"score": 0.9, "round": 2}
    assert s.ledger.discarded == 2 * len("poor\n\n")
    assert s.ledger.samples == 8
    assert s.answer(s.traces[0, 1]) is None


async def test_the_critical_path_runs_through_the_longest_step_of_a_round() -> None:
    s = searching(by_table({"": ["good\n\n", "poor, at length\n\n"], "good": ["good = 1"]}), Rewards(worth))
    traces = await BeamSearch(2, 2)(s)
    assert traces[0].sequential == s.ledger.sequential == len("poor, at length\n\n") + len("good = 1\0")


@BOTH
async def test_finished_traces_spend_their_width_unless_it_is_refilled(deterministic: bool) -> None:
    table = {
        "": ["good = 1", "good\n\n", "fair\n\n", "poor\n\n"],
        "good": ["= 1", "= 2", "fair\n\n"],
        "good|fair": ["= 1"],
    }
    s = searching(by_table(table), Rewards(worth), deterministic=deterministic)
    spent = await BeamSearch(4, 4)(s)
    assert [name(t.id) for t in spent] == ["0.0", "0.1.0", "0.1.1", "0.1.2.0"]
    assert s.ledger.samples == 4 + 3 + 1
    s = searching(by_table(table), Rewards(worth), deterministic=deterministic)
    refilled = await BeamSearch(4, 4, refill=True)(s)
    assert [name(t.id) for t in refilled] == ["0.0", "0.1.0", "0.1.1", "0.1.3"]
    assert s.ledger.samples == 4 + 4
    assert s.traces[0, 1, 2].segment.reason == "4 solutions are complete"


@BOTH
async def test_subtrees_of_dvts_do_not_mix_and_end_with_their_last_candidates(deterministic: bool) -> None:
    table = {
        "": ["good\n\n", "poor\n\n", "= 1", "fair\n\n"],
        "good": ["= 1", "good\n\n"],
        "good|good": ["= 1", "fair = 2"],
    }
    s = searching(by_table(table), Rewards(worth), deterministic=deterministic)
    traces = await DVTS(4, 2)(s)
    # The second tree ends with its first step, and its unfinished sibling is also returned; in the first tree, the open
    # 0.0.1 beats the finished 0.0.0.
    # 0.0.0 is beaten by the open 0.0.1.
    assert [name(t.id) for t in traces] == ["0.0.1.0", "0.0.1.1", "0.2", "0.3"]
    assert states(s)["0.0.0"] == "pruned"
    assert traces[-1].completion == "fair\n\n"


async def test_subtrees_of_dvts_do_not_wait_for_each_other() -> None:
    """With a barrier, the slow first step of one tree would delay the second steps of the other."""
    order: list[int] = []

    class Noting(Rewards):
        async def score(self, problem: Any, solutions: Any) -> Any:
            order.append(len(solutions))
            return await super().score(problem, solutions)

    s = searching(TWO_STEPS, Noting(worth), deterministic=False)
    await DVTS(4, 2)(s)
    assert len(order) == 4  # two trees with two rounds each, each scored separately
    s = searching(TWO_STEPS, Noting(worth))
    order.clear()
    await DVTS(4, 2)(s)
    assert len(order) == 2  # scored together if nothing may depend on timing


async def test_rebase_spends_exactly_its_width() -> None:
    s = searching(TWO_STEPS, Rewards(worth))
    assert [name(t.id) for t in await REBASE(4)(s)] == ["0.0.0", "0.0.1", "0.0.2", "0.0.3"]
    s = searching(TWO_STEPS, Rewards(worth))
    assert [name(t.id) for t in await REBASE(4, balance=0.5)(s)] == ["0.0.0", "0.0.1", "0.2.0", "0.2.1"]
    strategy = Strategy(REBASE(4), aggregator=WeightedVote("score", weight="identity"))
    result = await strategy.run(searching(TWO_STEPS, Rewards(worth)))
    assert result.answer == "1"


@pytest.mark.parametrize("greedy", [False, True])
async def test_ets_needs_no_embedding_model_without_coverage(greedy: bool) -> None:
    traces = await ETS(4, coverage=0, greedy=greedy)(searching(TWO_STEPS, Rewards(worth)))
    assert {t.parent.id for t in traces if t.parent} == {(0, 0)}
    with pytest.raises(UsageError, match="embedding model"):
        await ETS(4)(searching(TWO_STEPS, Rewards(worth)))


async def test_ets_notes_each_round_that_it_had_to_decide_without_meanings() -> None:
    class Broken:
        async def embed(self, texts: Any) -> Any:
            raise BackendError("the embedder is out")

    s = searching(TWO_STEPS, Rewards(worth))
    object.__setattr__(s._shared.setting, "embedder", Broken())
    object.__setattr__(s._shared.scorer, "_embedder", Broken())
    await ETS(4)(s)
    assert [note.text for note in s.notes] == ["a round was decided without the steps' meanings: the embedder is out"]


async def test_a_search_without_a_reward_model_says_so_or_goes_by_logprobs() -> None:
    with pytest.raises(UsageError, match="no reward model"):
        await BeamSearch(4)(searching(TWO_STEPS))
    s = searching(TWO_STEPS)
    assert len(await BeamSearch(4, by="mean_logprob")(s)) == 4
    assert s.traces[0, 0].metadata["score"] == -0.5


async def test_the_last_step_runs_to_the_end_and_cut_steps_are_no_solutions() -> None:
    rambling = by_table({"": ["good\n\n"], "good": ["good\n\nfair = 1"]})
    s = searching(rambling, Rewards(worth))
    [trace] = await BeamSearch(1, max_depth=2)(s)
    assert (trace.completion, trace.finish) == ("good\n\ngood\n\nfair = 1\0", "stop")
    s = searching(by_table({"": ["good = 1, and on and on"]}), Rewards(worth))
    [cut] = await BeamSearch(1, max_step_tokens=10)(s)
    assert (cut.completion, cut.finish, s.answer(cut)) == ("good = 1, ", "length", "1")
    s = searching(by_table({"": ["good\n\n"], "good": ["fair\n\n"]}), Rewards(worth))
    [long] = await BeamSearch(1, max_tokens=8)(s)
    assert long.tokens == 12


async def test_dead_ends_leave_their_width_to_the_others() -> None:
    table = {"": ["good\n\n", "fair\n\n"], "good": ["\n\n"], "fair": ["fair\n\n"], "fair|fair": ["= 1"]}
    s = searching(by_table(table), Rewards(worth))
    traces = await TreeSearch(2)(s)
    assert states(s) == {"0.0": "stop", "0.0.0": "pruned", "0.0.1": "pruned", "0.1": "pruned"}
    assert traces == []
    assert s.traces[0, 0, 0].segment.reason == "an empty step"
    # The good step led to nothing either: its tokens are wasted like those of its children.
    assert s.ledger.discarded == s.ledger.sampled
    s = searching(by_table(table), Rewards(worth))
    traces = await BeamSearch(2, 1)(s)
    assert [name(t.id) for t in traces] == ["0.1.0.0", "0.1.0.1"]


async def test_an_empty_first_step_is_only_a_leading_blank_line_and_unscored() -> None:
    s = searching(lambda said, _: "= 1" if said else "\n\n", Rewards(lambda _: 0.5))
    [trace] = await BeamSearch(1)(s)
    assert trace.completion == "\n\n= 1\0"
    assert trace.parent is not None
    assert "score" not in trace.parent.metadata
    assert [note.text for note in s.notes] == ["1 of 2 steps had no score: there was no step yet"]


async def test_an_unscored_first_step_stands_behind_those_that_were_scored() -> None:
    s = searching(by_table({"": ["\n\n", "poor\n\n", "\n\n", "\n\n"]}), Rewards(lambda _: 0.01))
    await BeamSearch(4, 4, distinct=False)(s)
    assert {name(t.id): t.finish for t in s.traces.values() if len(t.id) == 2} == {
        "0.0": "pruned", "0.1": "stop", "0.2": "pruned", "0.3": "pruned",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "words"),
    [(math.nan, "nan"), (1.5, "1.5"), (-0.1, "-0.1")],
)
async def test_senseless_scores_are_errors_of_the_trace_and_the_search_goes_on(bad: float, words: str) -> None:
    model = Rewards(lambda step: bad if "fair" in step else worth(step))
    s = searching(TWO_STEPS, model)
    traces = await BeamSearch(4, 2)(s)
    assert len(traces) == 4
    assert words in s.traces[0, 2].metadata["unscored"].lower()
    assert "score" not in s.traces[0, 2].metadata
    assert s.traces[0, 2].finish == "pruned"  # an unscored step does not rank above a scored one
    assert s.traces[0, 1].finish == "stop"


async def test_a_reward_model_that_fails_leaves_a_search_without_scores() -> None:
    def fail(step: str) -> float:
        raise RuntimeError("out of memory")

    s = searching(by_table({"": ["good\n\n"], "good": ["= 1"]}), Rewards(fail))
    assert len(await REBASE(4)(s)) == 4
    assert "out of memory" in s.traces[0, 0].metadata["unscored"]

    class Short(Rewards):
        async def score(self, problem: Any, solutions: Any) -> Any:
            return (await super().score(problem, solutions))[1:]

    s = searching(TWO_STEPS, Short(worth))
    assert len(await BeamSearch(4, 2)(s)) == 4
    assert "answered 2 of 3" in s.traces[0, 0].segment.metadata["unscored"]  # of equal steps, one is scored


async def test_steps_reduce_to_one_score_as_asked() -> None:
    table = by_table({"": ["good\n\n", "poor\n\n"], "good": ["poor\n\n"], "poor": ["good\n\n"]})
    expected = {"last": 0.2, "min": 0.2, "prod": 0.18, "mean": 0.55}
    for reduction, value in expected.items():
        s = searching(table, Rewards(worth), budget=Budget(samples=3))
        await BeamSearch(2, 2, reduction=reduction)(s)  # type: ignore[arg-type]
        assert s.traces[0, 0, 0].metadata["score"] == pytest.approx(value), reduction


@BOTH
async def test_a_budget_ends_the_search_where_it_stands(deterministic: bool) -> None:
    table = by_table({"": ["good = 1", "good\n\n"], "good": ["fair\n\n"], "good|fair": ["= 2"]})
    s = searching(table, Rewards(worth), deterministic=deterministic, budget=Budget(samples=5))
    traces = await TreeSearch(4)(s)
    assert s.ledger.samples == 5
    assert [name(t.id) for t in traces if t.finish == "stop"] == ["0.0", "0.2"]
    assert {t.finish for t in s.leaves} <= {"stop", "budget", "pruned"}
    assert s._shared.accounts.residency.resident == 0


async def test_failed_requests_are_dead_ends() -> None:
    def write(said: str, index: int) -> str:
        return "= 1" if said else "good\n\n"

    s = searching(write, Rewards(worth))
    backend = s._shared.setting.backend
    plain = backend.generate

    async def failing(request: Any) -> Any:
        from widthwise import BackendError

        if request.index == 1:
            raise BackendError("no")
        async for delta in plain(request):
            yield delta

    backend.generate = failing  # type: ignore[method-assign]
    traces = await TreeSearch(4)(s)
    assert [name(t.id) for t in traces] == ["0.0.0", "0.0.2", "0.0.3"]
    assert [t.finish for t in s.leaves].count("error") == 2


@BOTH
async def test_unique_tokens_are_those_of_the_live_paths(deterministic: bool) -> None:
    s = searching(TWO_STEPS, Rewards(worth), deterministic=deterministic)
    await BeamSearch(4, 2)(s)
    await s.settle()
    prompt, steps = len(s.root.segment), len("good\n\n") + len("poor\n\n") + len("fair\n\n") + len("poor\n\n")
    ends = 2 * len("good = 1\0") + len("fair = 2\0") + len("poor = 2\0")
    kept = prompt + len("good\n\n") + len("fair\n\n")
    assert s.ledger.kv_peak == max(prompt + steps, kept + ends) or not deterministic
    assert prompt < s.ledger.kv_mean < s.ledger.kv_peak <= prompt + steps + ends
    assert prompt < s.ledger.kv_content_mean < s.ledger.kv_mean  # two of the steps are "poor"
    assert s.ledger.kv_rounds == s.ledger.kv_content_rounds == prompt + kept
    assert s._shared.accounts.residency.resident == 0


async def test_a_search_that_was_pickled_goes_on_as_if_nothing_had_happened() -> None:
    whole = searching(TWO_STEPS, Rewards(worth))
    expected = [(t.id, t.completion) for t in await BeamSearch(4, 2)(whole)]
    sampler, first = BeamSearch(4, 2), searching(TWO_STEPS, Rewards(worth))
    tree = StepTree.of(first.root, 4)
    await sampler.round(first, [tree])
    restored: StepTree = pickle.loads(pickle.dumps(tree))
    second = searching(TWO_STEPS, Rewards(worth))
    assert [(t.id, t.completion) for t in await sampler.resume(second, [restored])] == expected
    assert second._shared.accounts.residency.resident == 0


async def test_a_tree_shows_its_rounds_and_draws_what_was_pruned_when_and_why(capsys: Any) -> None:
    result = await Strategy(BeamSearch(4, 2)).run(searching(TWO_STEPS, Rewards(worth)))
    tree = SearchTree(result.traces)
    prompt, first = len(tree.roots[0].segment), 4 * len("good\n\n")
    ends = 2 * len("good = 1\0") + len("fair = 2\0") + len("poor = 2\0")
    assert [astuple(r) for r in tree.rounds()] == [
        (1, 4, 2, 2, 0, 0, prompt + first, first),
        (2, 4, 0, 0, 4, 0, prompt + first // 2 + ends, first // 2 + ends),
    ]
    leaves = {t.id: Leaf(t.id, t.finish, t.tokens, "1" if t.finish == "stop" else None) for t in result.traces}
    draw_tree(tree, leaves, result.ledger)
    drawn = capsys.readouterr().out.splitlines()
    assert drawn[0].endswith("tokens  prompt")
    assert drawn[1] == "├─ 0.0  score 0.900  6 tokens  good"
    assert drawn[2].startswith("│  ├─ 0.0.0  score 0.900  9 tokens  [1 not graded]  good = 1")
    assert drawn[4].startswith("├─ 0.1  score 0.200  6 tokens  [pruned, round 1: score 0.200 is not among the best 2")
    assert f"{result.ledger.kv_peak:,} at most" in drawn[-3]
    assert f"summed over rounds: {result.ledger.kv_rounds:,} by node" in drawn[-2]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: BeamSearch(0),
        lambda: BeamSearch(beam_width=0),
        lambda: BeamSearch(max_depth=0),
        lambda: BeamSearch(max_step_tokens=0),
        lambda: BeamSearch(reduction="median"),  # type: ignore[arg-type]
        lambda: DVTS(6, 4),
    ],
)
def test_impossible_arguments_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        wrong()
