"""A suite budget: who gets samples, and that the pool is kept, nobody starves and a killed run goes on alike."""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.test_several_models import says
from tests.test_several_models import setting as several
from widthwise.cli.app import app
from widthwise.core.strategy.model_part import ModelPart
from widthwise.evals.allocation.allocator import by_gain
from widthwise.evals.allocation.batches import Batches, Observer
from widthwise.evals.allocation.confidence import chance_score, confidence
from widthwise.evals.allocation.expected_gain import ExpectedGain
from widthwise.evals.allocation.prospect import Prospect, _say_no_chances
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.allocation.uniform import Uniform
from widthwise.evals.store.database import StoreError
from widthwise.evals.store.store import Store, compare

STRATEGY = "best_of_n(n=12) | majority_vote()"


def prospect(votes: Sequence[int], scores: Sequence[float] = (), cost: float = 10, closed: bool = False) -> Prospect:
    known = np.array(scores or [np.nan] * len(votes), np.float64)
    return Prospect("p", np.array(votes, np.int64), known, cost * len(votes), closed)


# -- confidence ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("votes", "expected"),
    [([0], 0.75), ([0, 0, 0, 0], 0.96875), ([0, 1], 0.5), ([0, 0, -1, 0], 0.9375), ([-1, -1], 0.0), ([], 0.0)],
)
def test_without_scores_confidence_is_that_of_adaptive_consistency(votes: list[int], expected: float) -> None:
    assert confidence(prospect(votes)) == pytest.approx(expected)


def test_with_scores_confidence_is_the_posterior_over_which_answer_is_right() -> None:
    votes, scores = [0, 1, 0, 2], [0.6, 0.7, 0.8, 0.2]
    hypotheses = []  # by enumeration: one answer is right, or none
    for right in (0, 1, 2, None):
        hypotheses.append(np.prod([s if v == right else 1 - s for v, s in zip(votes, scores, strict=True)]))
    assert confidence(prospect(votes, scores)) == pytest.approx(hypotheses[0] / sum(hypotheses))


def test_a_sure_score_is_not_believed_entirely() -> None:
    assert confidence(prospect([0], [1.0])) == pytest.approx(0.98)
    assert confidence(prospect([0], [0.0])) == pytest.approx(0.02)


def test_scores_that_are_no_chances_are_left_to_the_votes(caplog: pytest.LogCaptureFixture) -> None:
    _say_no_chances.cache_clear()
    assert confidence(prospect([0, 0, 1], [3.0, 2.5, 7.0])) == confidence(prospect([0, 0, 1]))
    assert "the allocation goes by votes alone" in caplog.text


def test_only_scores_that_are_chances_are_read() -> None:
    def score(text: str) -> str:
        return chance_score(ww.Strategy(ww.BestOfN(4), aggregator=_aggregator(text)))

    assert score("reward_model:min") == "reward_model:min"
    assert score("reward") == "reward"
    assert score("mean_logprob") == score("self_certainty") == score("lowest_group_confidence(window=64)") == ""
    assert chance_score(ww.BestOfN(4) | ww.MajorityVote()) == ""


def _aggregator(score: str) -> ww.BestBy:
    return ww.BestBy(score)


# -- allocators ------------------------------------------------------------------------------------------------------


def test_expected_gain_follows_its_formula() -> None:
    """Two samples that agree, two that differ: worth (1 - c) (n + 1) / ((n + m) (n + m + 1)), the largest first."""
    prospects = [prospect([0, 0]), prospect([0, 1])]
    doubt = [1 - 0.875, 0.5]
    gains = sorted(
        ((doubt[i] * 3 / ((2 + m) * (3 + m)), i) for i, m in itertools.product((0, 1), range(1, 40))), reverse=True
    )
    for samples in (1, 3, 10, 25):
        more = ExpectedGain().allocate(prospects, 10 * samples, most=100)
        assert more == [sum(i == place for _, i in gains[:samples]) for place in (0, 1)]


def test_taking_the_largest_gain_first_is_optimal() -> None:
    rng = np.random.default_rng(3)
    prospects = [prospect([0] * 2) for _ in range(3)]
    for _ in range(20):
        gains = -np.sort(-rng.random((3, 4)), axis=1)
        more = by_gain(prospects, 50, 6, lambda i, m, gains=gains: gains[i, m - 1])  # type: ignore[misc]
        best = max(
            sum(gains[i, : n[i]].sum() for i in range(3)) for n in itertools.product(range(5), repeat=3) if sum(n) <= 5
        )
        assert sum(gains[i, : more[i]].sum() for i in range(3)) == pytest.approx(best)


def test_gain_is_counted_per_token_and_dear_samples_wait() -> None:
    cheap, dear = prospect([0, 1], cost=10), prospect([0, 1], cost=80)
    assert ExpectedGain().allocate([dear, cheap], 100, most=64) == [0, 4]


def test_closed_and_full_problems_get_nothing() -> None:
    prospects = [prospect([0, 1], closed=True), prospect([0, 1]), prospect([0, 1, 2, 3])]
    for allocator in (ExpectedGain(), Uniform()):
        assert allocator.allocate(prospects, 1000, most=4) == [0, 2, 0]


def test_uniform_levels_the_numbers_of_samples() -> None:
    assert Uniform().allocate([prospect([0]), prospect([0, 0, 0]), prospect([0])], 50, most=9) == [3, 0, 2]
    assert Uniform().allocate([prospect([0]), prospect([0]), prospect([0])], 40, most=9) == [2, 1, 1]


# -- the pool --------------------------------------------------------------------------------------------------------


def test_a_round_plans_with_half_of_what_is_left_and_never_grants_more_than_there_is() -> None:
    budget = SuiteBudget(1000, Uniform())
    prospects = [prospect([0, 0]) for _ in range(4)]  # 80 of 1,000 are spent
    granted = budget.next(prospects, ww.BestOfN(64), longest=None)
    assert sum(grant.samples for grant in granted.values()) == 46  # half of 920 tokens at 10 a sample
    assert sum(grant.tokens for grant in granted.values()) <= 920
    certain = budget.next(prospects, ww.BestOfN(64), longest=20)
    assert {grant.tokens for grant in certain.values()} <= {12 * 20, 11 * 20}  # all that a sample may take


def test_the_end_of_the_pool_is_one_sample() -> None:
    budget = SuiteBudget(55, Uniform())
    prospects = [prospect([0, 0]), prospect([0, 0])]  # 15 are left
    assert [grant.samples for grant in budget.next(prospects, ww.BestOfN(64), None).values()] == [1]
    assert budget.next([prospect([0, 0], cost=13), prospect([0, 0], cost=13)], ww.BestOfN(64), None) == {}


@dataclass(frozen=True)
class Saying(ww.Allocator):
    """An allocator that always says the same, the one value in ``said``."""

    said: tuple[Any, ...] = ()

    def allocate(self, prospects: Sequence[Prospect], tokens: float, most: int) -> Any:
        return self.said[0]


@pytest.mark.parametrize(
    "said", [None, [1], [0.5, 0.5], [1, -1], [True, True], [1, "1"], {0: 1, 1: 1}, "11", np.array(2), np.ones(2)]
)
def test_an_allocator_that_returns_no_numbers_of_samples_is_refused(said: object) -> None:
    with pytest.raises(ww.UsageError, match="must return one whole number of at least 0 for each of 2 problems"):
        SuiteBudget(1000, Saying(said=(said,))).next([prospect([0, 0])] * 2, ww.BestOfN(8), None)


@pytest.mark.parametrize("said", [[3, 3, 3], (9, 9, 9), np.array([3, 3, 3])])
def test_an_allocator_adds_nothing_to_closed_problems_and_beyond_n(said: object) -> None:
    prospects = [prospect([0, 0], closed=True), prospect([0, 0]), prospect([0, 1, 2, 3])]
    granted = SuiteBudget(1000, Saying(said=(said,))).next(prospects, ww.BestOfN(4), None)
    assert {place: grant.samples for place, grant in granted.items()} == {1: 2}
    assert SuiteBudget(1000, Saying(said=(said,))).next([*prospects[::2], prospects[2]], ww.BestOfN(4), None) == {}


@pytest.mark.parametrize("tokens", [400, 1500])
def test_an_allocator_that_always_wants_more_comes_to_an_end(tokens: int, tmp_path: Path) -> None:
    run = ww.evaluate(
        "best_of_n(n=4) | majority_vote()", "arithmetic", limit=3, suite_budget_tokens=tokens,
        allocator=Saying(said=([3] * 3,)), run=tmp_path / "run.db",
    )  # fmt: skip
    assert run.ledger.total <= tokens
    assert max(outcome.ledger.samples for outcome in run.outcomes) <= 4


@pytest.mark.parametrize(
    ("strategy", "tokens", "said"),
    [
        ("best_of_n(n=8) | esc(window=2) | majority_vote()", 9000, "without pruners"),
        ("rebase(n=8)", 9000, "the strategy is best_of_n"),
        ("best_of_n(n=8) | budget(tokens=50)", 9000, "other budgets"),
        ("best_of_n(n=8) | generative_verification()", 9000, "asks a model to choose"),
        ("best_of_n(n=8) | mutual_consistency()", 9000, "mutual_consistency() asks a model to choose"),
        ("best_of_n(n=8) | confidence_gate(agreement=0.6)", 9000, "generative_verification() asks a model to choose"),
        ("best_of_n(n=1)", 9000, "fewer samples a problem than the 2 probes"),
        ("best_of_n(n=8)", 7, "not even one for each of the 2 probes of each of 4 problems"),
    ],
)
def test_what_a_suite_budget_cannot_do_is_refused_before_anything_is_sampled(
    strategy: str, tokens: int, said: str, tmp_path: Path
) -> None:
    run = tmp_path / "run.db"
    options = ["--limit", "4", "--suite-budget-tokens", str(tokens), "--strategy", strategy, "--run", str(run)]
    result = CliRunner().invoke(app, ["eval", "arithmetic", *options])
    assert result.exit_code == 2
    assert said in result.output
    assert not run.exists()


def test_only_a_run_shares_a_pool() -> None:
    with pytest.raises(ww.UsageError, match="give one, suite_budget_tokens=N"):
        ww.RunSettings.of(STRATEGY, allocator="uniform")
    with pytest.raises(ww.UsageError, match="not by a single problem"):
        ww.solve("Compute 1 + 1.", STRATEGY, suite_budget_tokens=100)
    with pytest.raises(ww.UsageError, match="not by the runs of a sweep"):
        ww.sweep([STRATEGY], ["arithmetic"], budgets=[1], suite_budget_tokens=100)
    with pytest.raises(ww.UsageError, match=r"did you mean .uniform."):
        ww.RunSettings.of(STRATEGY, suite_budget_tokens=100, allocator="unifrom")
    with pytest.raises(ww.UsageError, match="probes must be at least 1"):
        ww.RunSettings.of(STRATEGY, suite_budget_tokens=100, allocator="uniform(probes=0)")


# -- several models --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Noting(ModelPart):
    """An aggregator that answers with the name of the model that works for it."""

    async def __call__(self, session: ww.Session, traces: Sequence[ww.Trace]) -> ww.Answer:
        return ww.Answer(session.root.model)


@pytest.mark.parametrize(("sampler", "aggregator"), [*itertools.product((None, "small", "large"), repeat=2)])
async def test_the_models_that_parts_name_work_for_them(sampler: str | None, aggregator: str | None) -> None:
    small, large = says("=1"), says("=1")
    part, observer = ww.BestOfN(3, model=sampler), Observer(Noting(model=aggregator), Uniform(), "")
    strategy = ww.Strategy(Batches(part, (1, 2)), aggregator=observer)
    result = await strategy.solve(ww.Problem("p", "1+1?", "2"), several(small, large))
    assert result.answer == (aggregator or "small")
    assert (len(small.requests), len(large.requests)) == ((0, 3) if sampler == "large" else (3, 0))


def test_an_escalation_is_refused_and_a_gate_between_votes_is_not() -> None:
    budget = SuiteBudget(9000, Uniform())
    with pytest.raises(ww.UsageError, match=r"escalate\(n=1, model='large'\) asks a model to choose or to answer anew"):
        budget.check(ww.BestOfN(4) | ww.Escalate(model="large"), 3)
    gate = ww.ConfidenceGate(agreement=0.6, otherwise=ww.BestBy("reward_model"))
    assert budget.check(ww.BestOfN(4) | gate, 3) == ww.BestOfN(4)


async def test_a_function_that_samples_is_refused_when_it_does() -> None:
    async def sampling(session: ww.Session, traces: Sequence[ww.Trace]) -> ww.Answer:
        return ww.Answer(session.answer((await session.sample(session.root, 1))[0]))

    strategy = ww.Strategy(Batches(ww.BestOfN(2), (2,)), aggregator=Observer(sampling, Uniform(), ""))
    with pytest.raises(ww.UsageError, match="sampling asks a model"):
        await strategy.solve(ww.Problem("p", "1+1?", "2"), several(says("=1"), says("=1")))


def test_a_run_s_sampler_asks_the_model_that_it_names(tmp_path: Path) -> None:
    asked: list[str] = []

    def small(prompt: str) -> str:
        asked.append("small")
        return "The answer is 1."

    def large(prompt: str) -> str:
        asked.append("large")
        return "The answer is 2."

    run = ww.evaluate(
        "best_of_n(n=3, model='large') | majority_vote()", "arithmetic", limit=2, suite_budget_tokens=200,
        model={"small": small, "large": large}, run=tmp_path / "two.db",
    )  # fmt: skip
    assert set(asked) == {"large"}
    assert set(run.ledger.models) == {"large"}


# -- live ------------------------------------------------------------------------------------------------------------


def shared_out(path: Path, tokens: int = 3000, **options: object) -> ww.Run:
    settings = {"seed": 3, "limit": 6, "allocator": "expected_gain(probes=2)", **options}
    return ww.evaluate(STRATEGY, "arithmetic", suite_budget_tokens=tokens, run=path, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    """A run whose pool of 3,000 tokens is about a third of what it could use."""
    return shared_out(tmp_path_factory.mktemp("whole") / "whole.db")


def test_a_run_keeps_the_pool_and_every_problem_gets_its_probes(whole: ww.Run) -> None:
    spent = whole.ledger.total
    assert 2500 < spent <= 3000
    samples = [outcome.ledger.samples for outcome in whole.outcomes]
    assert min(samples) >= 2
    assert max(samples) > min(samples)
    assert whole.is_finished
    said = whole.summary.suite_budget
    assert said is not None
    assert said["spent"] == spent
    assert [each["samples"] for each in said["rounds"][:2]] == [6, 6]
    assert said["rounds"][-1]["spent"] == spent
    assert whole.configuration["suite_budget_tokens"] == 3000
    assert whole.configuration["allocator"] == "expected_gain(probes=2)"


def test_what_a_problem_got_is_what_so_many_samples_are_without_a_pool(whole: ww.Run, tmp_path: Path) -> None:
    uncut = ww.evaluate(STRATEGY, "arithmetic", seed=3, limit=6, run=tmp_path / "uncut.db")
    for shared, alone in zip(whole.outcomes, uncut.outcomes, strict=True):
        bought = [(leaf.id, leaf.answer, leaf.tokens) for leaf in shared.leaves if leaf.finish != "budget"]
        assert bought == [(leaf.id, leaf.answer, leaf.tokens) for leaf in alone.leaves[: len(bought)]]


def test_decided_problems_get_fewer_samples_than_open_ones(whole: ww.Run) -> None:
    def share(outcome: ww.Outcome) -> float:
        answers = [leaf.answer for leaf in outcome.leaves if leaf.answer is not None]
        return max(map(answers.count, answers)) / len(outcome.leaves) if answers else 0.0

    sure = [o.ledger.samples for o in whole.outcomes if share(o) > 0.8]
    open_ = [o.ledger.samples for o in whole.outcomes if share(o) <= 0.6]
    assert np.mean(sure) < np.mean(open_)


@pytest.mark.parametrize("concurrency", [2])
def test_timing_decides_nothing(whole: ww.Run, tmp_path: Path, concurrency: int) -> None:
    other = shared_out(tmp_path / "other.db", concurrency=concurrency)
    assert different(whole.path, other.path) == []


def different(one: Path, other: Path) -> list[str]:
    with Store.read(one) as a, Store.read(other) as b:
        return compare(a, b)


def stopped_after(generations: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Do ``work`` until so many generations are stored, and nothing more can be."""
    recorded, record = [0], Store.record

    def breaking(store: Store, *given: object) -> None:
        recorded[0] += 1
        if recorded[0] > generations:
            raise StoreError("the disk is full")
        record(store, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Store, "record", breaking)
        with pytest.raises(StoreError, match="disk is full"):
            work()


@pytest.mark.parametrize("after", [5, 14, 20])
def test_a_run_that_ended_in_any_round_continues_to_the_same_result(
    whole: ww.Run, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many generations nothing more can be stored, as after a kill; the first 12 are probes."""
    path = tmp_path / "broken.db"
    stopped_after(after, monkeypatch, lambda: shared_out(path))
    assert not ww.Run.read(path).is_finished
    shared_out(path)
    assert different(whole.path, path) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "kills"),
    [
        (["--suite-budget-tokens", "3000", "--seed", "3"], (1, 10, 16, 22)),
        (["--suite-budget-tokens", "1000", "--allocator", "expected_gain(probes=1)"], (1, 5, 6, 8)),  # a probe is cut
    ],
)
def test_kills_change_nothing(settings: list[str], kills: Sequence[int], tmp_path: Path) -> None:
    assert_kills_change_nothing(["--limit", "6", "--strategy", STRATEGY, *settings], kills, tmp_path)


def assert_kills_change_nothing(options: list[str], kills: Sequence[int], folder: Path) -> None:
    """A run that is killed after so many generations, each time, ends as one that is not, and paid as much."""

    def command(path: Path) -> list[str]:
        return [sys.executable, "-m", "widthwise", "eval", "arithmetic", *options, "--run", str(path)]

    whole, broken = folder / "whole.db", folder / "broken.db"
    subprocess.run(command(whole), check=True, stdout=subprocess.DEVNULL)
    for generations in kills:
        process = subprocess.Popen(command(broken), stdout=subprocess.DEVNULL)
        while _generations(broken) < generations and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
    subprocess.run(command(broken), check=True, stdout=subprocess.DEVNULL)
    assert different(whole, broken) == []
    assert is_paid_for(ww.Run.read(whole)) == is_paid_for(ww.Run.read(broken))


def _generations(path: Path) -> int:
    try:
        db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM segments").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error:
        return 0


def test_scores_decide_where_the_strategy_reads_them(tmp_path: Path) -> None:
    run = ww.evaluate(
        "best_of_n(n=12) | best_by('reward_model')", "countdown", limit=6, suite_budget_tokens=2500,
        reward_model="scorer", run=tmp_path / "scored.db",
    )  # fmt: skip
    assert run.ledger.total <= 2500
    with Store.read(run.path) as store:
        best = {o.problem.id: max((s.steps or (0.0,))[-1] for _, s in store.scores(o.problem.id)) for o in run.outcomes}
    sure = [o.ledger.samples for o in run.outcomes if best[o.problem.id] > 0.9]
    open_ = [o.ledger.samples for o in run.outcomes if best[o.problem.id] < 0.5]
    assert sure
    assert open_
    assert np.mean(sure) < np.mean(open_)


def test_a_pool_that_is_too_small_for_whole_probes_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = shared_out(tmp_path / "small.db", tokens=400)
    assert run.ledger.total <= 400
    assert all(outcome.leaves for outcome in run.outcomes)
    assert "got fewer whole samples than the 2 probes of the allocator" in caplog.text


PROBED = {"tokens": 1000, "limit": 6, "seed": 0, "allocator": "expected_gain(probes=1)"}


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> ww.Run:
    """A run whose pool buys a whole sample of every problem, though not with equal shares."""
    return shared_out(tmp_path_factory.mktemp("probed") / "probed.db", **PROBED)  # type: ignore[arg-type]


def test_a_probe_that_its_share_cut_is_drawn_again_before_anybody_gets_more(probed: ww.Run, tmp_path: Path) -> None:
    first = ww.evaluate("best_of_n(n=1)", "arithmetic", limit=6, seed=0, run=tmp_path / "first.db")
    lengths = [outcome.leaves[0].tokens for outcome in first.outcomes]
    share = 1000 // 6
    cut = [i for i, length in enumerate(lengths) if length > share]
    assert cut
    for shared, alone in zip(probed.outcomes, first.outcomes, strict=True):
        assert shared.leaves[0].finish != "budget"
        assert (shared.leaves[0].answer, shared.leaves[0].tokens) == (alone.leaves[0].answer, alone.leaves[0].tokens)
    said = probed.summary.suite_budget
    assert said is not None
    assert [(each["problems"], each["samples"]) for each in said["rounds"][:2]] == [(6, 6), (len(cut), len(cut))]
    assert said["rounds"][1]["spent"] == sum(lengths) + share * len(cut)  # what was cut is paid, too
    for place, outcome in enumerate(probed.outcomes):  # and stands in the ledger of its problem
        whole = sum(leaf.tokens for leaf in outcome.leaves)
        wasted = share if place in cut else 0
        assert (outcome.ledger.sampled, outcome.ledger.discarded) == (whole + wasted, wasted)
        assert outcome.ledger.samples == len(outcome.leaves)
    assert is_paid_for(probed) <= 1000


def is_paid_for(run: ww.Run) -> int:
    """What the pool paid, which is what the ledgers of the problems have."""
    said = run.summary.suite_budget
    assert said is not None
    assert said["rounds"][-1]["spent"] == said["spent"] == run.ledger.total
    assert run.ledger.total == sum(outcome.ledger.total for outcome in run.outcomes)
    return int(said["spent"])


@pytest.mark.parametrize("after", [3, 5, 6, 7])
def test_a_run_that_ended_around_a_repeated_probe_continues_to_the_same_result(
    probed: ww.Run, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.db"
    stopped_after(after, monkeypatch, lambda: shared_out(path, **PROBED))  # type: ignore[arg-type]
    again = shared_out(path, **PROBED)  # type: ignore[arg-type]
    assert different(probed.path, path) == []
    assert is_paid_for(again) == is_paid_for(probed)
    assert again.ledger.discarded == probed.ledger.discarded > 0


def test_repeated_probes_get_at_least_twice_their_share_or_all_that_is_left() -> None:
    def again(left: int, *shares: int, longest: int | None = None) -> dict[int, int]:
        short = [replace(prospect([]), closed=True, short=share) for share in shares]
        granted = SuiteBudget(left, Uniform()).next(short, ww.BestOfN(4), longest)
        return {place: grant.tokens for place, grant in granted.items()}

    assert again(400, 100, 90) == {0: 200, 1: 200}
    assert again(399, 100, 90) == {1: 399}
    assert again(101, 100, 100) == {0: 101}
    assert again(100, 100, 100) == {}
    assert again(240, 100, 90, longest=120) == {0: 120, 1: 120}
    assert again(100, 0) == {}


def test_from_the_command_line(tmp_path: Path) -> None:
    options = ["--limit", "4", "--strategy", STRATEGY, "--run", str(tmp_path / "run.db")]
    pool = ["--suite-budget-tokens", "3000", "--allocator", "uniform"]
    result = CliRunner().invoke(app, ["eval", "arithmetic", *options, *pool, "--json"])
    said = json.loads(result.stdout)["suite_budget"]
    assert said["allocator"] == "uniform(probes=1)"
    assert said["spent"] <= 3000
    assert "round 1: 4 problems got 4 samples; " in result.stderr
    shown = CliRunner().invoke(app, ["eval", "arithmetic", *options, *pool])
    assert "of 3,000 tokens in" in shown.stdout
    other = CliRunner().invoke(app, ["eval", "arithmetic", *options, "--suite-budget-tokens", "3001"])
    assert "suite_budget_tokens: 3000 -> 3001" in other.output
