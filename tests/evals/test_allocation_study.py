"""Allocators on stored samples, difficulty, and policies fitted on one half of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.allocation.allocators import ExpectedGain, Fitted, Uniform
from widthwise.evals.allocation.comparison import compared, pool_of
from widthwise.evals.allocation.difficulty import DIFFICULTIES
from widthwise.evals.allocation.fitting import fit
from widthwise.evals.allocation.policy import Bin, Policy
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.allocation.stored import pools_in
from widthwise.evals.allocation.study import evenly, shared_out
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.measure.sample_pool import SamplePool

VOTE = parse_strategy("best_of_n(n=32) | majority_vote()")
BEST = parse_strategy("best_of_n(n=32) | best_by('reward')")


def pool(name: str, right: float, n: int = 32, seed: int = 0, cost: float = 10) -> SamplePool:
    """Samples of which a share is right (answer 0), the others scattered; scores tell which."""
    rng = np.random.default_rng([seed, *name.encode()])
    votes = np.where(rng.random(n) < right, 0, rng.integers(1, 12, n))
    values = (votes == 0).astype(float)
    scores = np.clip(0.1 + 0.8 * values + rng.normal(0, 0.05, n), 0, 1)
    return SamplePool(name, votes, values, np.full(n, cost), np.ones(n, bool), {"reward": scores})


def mixed(problems: int = 30, seed: int = 0) -> list[SamplePool]:
    """Easy and hard problems in turn."""
    return [pool(f"p{i}", (0.95, 0.25)[i % 2], seed=seed) for i in range(problems)]


def prospect(votes: Sequence[int], scores: Sequence[float] = ()) -> Prospect:
    known = np.array(scores or [np.nan] * len(votes), np.float64)
    return Prospect("p", np.array(votes, np.int64), known, 10.0 * len(votes))


# -- a study is a run on known samples -------------------------------------------------------------------------------


def test_a_study_does_what_a_run_does(tmp_path: Path) -> None:
    """The same pool, live on the recording of a run and in the study: the same samples and the same answers."""
    drawn = ww.evaluate("best_of_n(n=12) | majority_vote()", "arithmetic", limit=6, run=tmp_path / "drawn.db")
    tokens = int(drawn.ledger.total * 0.45)
    strategy = "best_of_n(n=12) | majority_vote()"
    live = ww.evaluate(
        strategy, drawn.path, model=f"replay:{drawn.path}", suite_budget_tokens=tokens, run=tmp_path / "live.db"
    )
    pools = pools_in([drawn.path], [None])
    found = shared_out(pools, SuiteBudget(tokens, ExpectedGain()), parse_strategy(strategy), orders=0)
    assert [o.ledger.total for o in live.outcomes] == found.tokens.tolist()
    assert [float(o.correct or 0) for o in live.outcomes] == found.right.tolist()
    whole = [sum(leaf.finish != "budget" for leaf in o.leaves) for o in live.outcomes]
    assert whole == found.samples.tolist()


def test_uniform_allocation_is_best_of_n() -> None:
    pools = mixed()
    shared = shared_out(pools, SuiteBudget(pool_of(pools, 4), Uniform()), VOTE, orders=5)
    even = evenly(pools, 4, VOTE, orders=5)
    assert shared.samples.tolist() == even.samples.tolist() == [4.0] * 30
    assert shared.right.tolist() == even.right.tolist()


@pytest.mark.parametrize("allocator", [Uniform(), ExpectedGain(), ExpectedGain(probes=4)])
def test_no_allocator_spends_more_than_the_pool_or_starves_a_problem(allocator: ww.Allocator) -> None:
    pools = [
        replace(p, tokens=np.random.default_rng(i).integers(1, 60, 32).astype(float)) for i, p in enumerate(mixed())
    ]
    for tokens in (6000, 9000, 20000):
        found = shared_out(pools, SuiteBudget(tokens, allocator), VOTE, orders=3)
        assert found.tokens.sum() <= tokens
        assert found.samples.min() >= allocator.probes


@pytest.mark.parametrize("allocator", [Uniform(), ExpectedGain()])
def test_no_problem_forgets_samples_that_it_has_paid(allocator: ww.Allocator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share may be smaller than the usual sample of a problem that had larger ones before."""
    followed, seen = Prospect.followed, [0]

    def watched(before: Prospect, after: Prospect, spent: float, tokens: int, *, failed: bool = False) -> Prospect:
        found = followed(before, after, spent, tokens, failed=failed)
        assert len(found) >= len(before)
        assert found.charged >= before.charged
        seen[0] += len(found) == len(before)
        return found

    monkeypatch.setattr(Prospect, "followed", watched)
    lengths = [np.random.default_rng(i).lognormal(3, 1, 32).round() + 1 for i in range(30)]
    pools = [replace(p, tokens=tokens) for p, tokens in zip(mixed(), lengths, strict=True)]
    for n in (3, 5):
        assert shared_out(pools, SuiteBudget(pool_of(pools, n), allocator), VOTE, orders=5).tokens.sum() <= pool_of(
            pools, n
        )
    assert seen[0]


def test_hard_problems_get_what_easy_ones_do_not_need() -> None:
    pools = mixed()
    for strategy in (VOTE, BEST):
        found = shared_out(pools, SuiteBudget(pool_of(pools, 6), ExpectedGain()), strategy, orders=10)
        assert found.samples[1::2].mean() > 2 * found.samples[::2].mean()
        assert found.right.mean() > evenly(pools, 6, strategy, orders=10).right.mean() + 0.05


def test_what_stored_samples_do_not_determine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="do not tell what"):
        shared_out(mixed(), SuiteBudget(9000, Uniform()), parse_strategy("best_of_n(n=8) | first_valid()"))
    run = made_run(tmp_path / "tree.db", [["1", "2"]] * 2, strategy="rebase(n=2)")
    with pytest.raises(UsageError, match="cannot be shared out anew"):
        pools_in([run], [None])
    run = made_run(tmp_path / "a.db", [["1", "2"]] * 2)
    with pytest.raises(UsageError, match="in several of the files"):
        pools_in([run, run], [None])


# -- difficulty ------------------------------------------------------------------------------------------------------


def test_measures_of_difficulty_by_hand() -> None:
    measured = {
        name: [measure(prospect(votes)) for votes in ([0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 3], [0, 0, -1, -1])]
        for name, measure in DIFFICULTIES.items()
        if name != "pass_rate"
    }
    assert measured["entropy"] == pytest.approx([0, 0.5, 1, 0.75])
    assert measured["disagreement"] == pytest.approx([0, 0.5, 0.75, 0.5])
    assert DIFFICULTIES["score"](prospect([0, 1, 2], [0.9, 0.6, np.nan])) == pytest.approx(0.5)
    assert DIFFICULTIES["entropy"](prospect([-1, -1])) == pytest.approx(1)
    assert DIFFICULTIES["entropy"](prospect([0])) == 0


# -- policies --------------------------------------------------------------------------------------------------------


def test_gains_follow_the_least_concave_curve_above_the_points() -> None:
    found = Bin((1, 2, 4, 8, 16), (0.2, 0.2, 0.6, 0.5, 0.7), ("majority_vote()",) * 5)
    # Corners: (1, 0.2), (4, 0.6), (16, 0.7).
    assert [found.gain(n) for n in (2, 3, 4)] == pytest.approx([0.4 / 3] * 3)
    assert [found.gain(n) for n in (5, 16)] == pytest.approx([0.1 / 12] * 2)
    assert found.gain(17) == 0


def test_a_bin_is_told_from_the_probes_alone() -> None:
    easy, hard = Bin((2,), (0.9,), ("majority_vote()",)), Bin((2,), (0.1,), ("best_by(score='reward')",))
    policy = Policy("disagreement", 2, (0.3,), (easy, hard))
    assert policy.bin(prospect([0, 0, 1, 2, 3])) is easy
    assert policy.bin(prospect([0, 1, 1, 1, 1])) is hard


def test_fitting_finds_bins_and_the_best_way_to_choose_in_each() -> None:
    """Scores that are right on hard problems and wrong on easy ones: each bin has its own aggregator."""
    pools = [p if i % 2 else replace(p, scores={"reward": 1 - p.scores["reward"]}) for i, p in enumerate(mixed(60))]
    policy = fit(pools, ["majority_vote()", "best_by('reward')"], probes=4, bins=2, orders=5)
    assert policy.difficulty == "entropy"
    easy, hard = policy.bins
    assert easy.chosen(20) == "majority_vote()"
    assert hard.chosen(20) == "best_by('reward')"
    assert easy.right[0] > 0.9 > hard.right[0]
    assert sum(hard.gain(n) for n in range(5, 33)) > sum(easy.gain(n) for n in range(5, 33))


def test_a_policy_of_one_half_is_better_than_equal_shares_on_the_other(tmp_path: Path) -> None:
    fit(mixed(40, seed=1), ["majority_vote()", "best_by('reward')"], score="reward").write(tmp_path / "policy.json")
    pools, fitted = mixed(40, seed=2), Fitted(policy=str(tmp_path / "policy.json"))
    assert fitted.probes == 4
    found = shared_out(pools, SuiteBudget(pool_of(pools, 6), fitted), VOTE, orders=10)
    assert found.tokens.sum() <= pool_of(pools, 6)
    assert found.right.mean() > evenly(pools, 6, VOTE, orders=10).right.mean() + 0.05


def test_a_policy_is_the_same_when_it_is_read(tmp_path: Path) -> None:
    policy = fit(mixed(), ["majority_vote()"], difficulty="disagreement", probes=3)
    policy.write(tmp_path / "policy.json")
    assert Policy.read(tmp_path / "policy.json") == policy


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"difficulty": "mood"}, "there is no difficulty 'mood'"),
        ({"probes": 0}, "it needs probes"),
        ({"edges": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "one bin more than edges"),
        ({"bins": [{"sizes": [4], "right": [0.5], "choose": ["mine:Aggregator"]}], "edges": []}, "import path"),
        ({"bins": [{"sizes": [4, 2], "right": [0.5, 0.5], "choose": ["x", "x"]}], "edges": []}, "sizes rise"),
        ({"bins": [{"sizes": ["4"], "right": [0.5], "choose": ["x"]}], "edges": []}, "not one of int"),
        ({"bins": 3}, "no policy of"),
        ({"bins": [{"sizes": [4]}], "edges": []}, "it has no 'right'"),
    ],
)
def test_a_policy_file_that_was_changed_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    fit(mixed(), ["majority_vote()"]).write(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError, match=said):
        Fitted(policy=str(path))


def test_an_oracle_is_for_study_only(tmp_path: Path) -> None:
    path = tmp_path / "oracle.json"
    fit(mixed(40), ["majority_vote()"], difficulty="pass_rate", probes=1, bins=2).write(path)
    oracle = Fitted(policy=str(path))
    assert 0.25 < oracle.known.edges[0] < 0.95
    pools = mixed(40, seed=2)
    found = shared_out(pools, SuiteBudget(pool_of(pools, 6), oracle), VOTE, orders=3)
    assert found.samples[::2].max() < found.samples[1::2].min()
    with pytest.raises(UsageError, match="for study only"):
        ww.evaluate(VOTE, "arithmetic", limit=4, suite_budget_tokens=9000, allocator=oracle, run=tmp_path / "run.db")


def test_fitted_needs_its_file() -> None:
    with pytest.raises(UsageError, match="allocate --fit-policy FILE"):
        Fitted()
    with pytest.raises(UsageError, match="does not exist"):
        Fitted(policy="nowhere.json")


# -- the command, and a policy in a run ------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    answers = [
        ["1"] * 16 if i % 2 else ["1" if (i + 5 * j) % 11 == 0 else str(2 + j) for j in range(16)] for i in range(20)
    ]
    return made_run(tmp_path / "run.db", answers, strategy="best_of_n(n=16) | majority_vote()")


def test_the_command_compares_allocators_and_fits_a_policy(run: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    options = ["--samples", "4", "--orders", "3", "--fit-policy", str(policy), "--probes", "2", "--json"]
    result = CliRunner().invoke(app, ["allocate", str(run), *options])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["problems"] == 10
    methods = [row["method"] for row in said["rows"]]
    assert methods[:4] == [f"best_of_n(n={n})" for n in (4, 8, 12, 16)]
    assert [method.partition("(")[0] for method in methods[4:]] == ["uniform", "expected_gain", "fitted"]
    assert said["rows"][0]["difference"] is None
    assert all(row["tokens"] <= said["rows"][0]["tokens"] + 1 for row in said["rows"][4:])
    shown = CliRunner().invoke(app, ["allocate", str(run), "--samples", "4", "--orders", "2", "--allocator", "uniform"])
    assert "paired by problem" in shown.stdout


def test_the_command_refuses_what_the_files_do_not_have(run: Path, tmp_path: Path) -> None:
    def said(*options: str) -> str:
        result = CliRunner().invoke(app, ["allocate", *options])
        assert result.exit_code == 2, result.output
        return result.output

    assert "more than the 16 samples" in said(str(run), "--samples", "17")
    one = made_run(tmp_path / "one.db", [["1", "2"]])
    assert "at least two" in said(str(one), "--samples", "1", "--fit-policy", str(tmp_path / "policy.json"))
    assert "there is no difficulty 'entropi'; did you mean 'entropy'" in said(
        str(run), "--fit-policy", str(tmp_path / "policy.json"), "--difficulty", "entropi"
    )


def test_the_command_fits_with_its_own_orders_and_seed(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    options = ["--samples", "4", "--fit-policy", str(path), "--allocator", "uniform", "--orders", "2", "--seed", "7"]
    result = CliRunner().invoke(app, ["allocate", str(run), *options])
    assert result.exit_code == 0, result.output
    half, vote = pools_in([run], [None])[::2], [str(ww.MajorityVote())]
    assert Policy.read(path) == fit(half, vote, orders=2, seed=7)
    assert Policy.read(path) not in (fit(half, vote), fit(half, vote, orders=2))


@pytest.mark.parametrize(
    "option", [("--choose", "majority_vote()"), ("--probes", "2"), ("--difficulty", "nonsense")], ids=lambda o: o[0]
)
def test_options_of_fitting_need_fit(option: tuple[str, str], run: Path) -> None:
    result = CliRunner().invoke(app, ["allocate", str(run), "--samples", "4", *option])
    assert result.exit_code == 2
    assert f"({option[0]}) says how a policy is fitted" in result.output


@pytest.mark.parametrize("aggregator", ["majority_vote()", "best_by('mean_logprob')"])
def test_difficulty_by_score_needs_a_score_that_is_a_chance(aggregator: str, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    options = ["--samples", "4", "--fit-policy", str(path), "--difficulty", "score"]
    result = CliRunner().invoke(app, ["allocate", str(run), *options, "--strategy", f"best_of_n(n=16) | {aggregator}"])
    assert result.exit_code == 2
    assert "difficulty score needs a strategy that chooses by a reward model" in result.output
    assert not path.exists()


def test_lists_have_no_marks_of_code_twice() -> None:
    for command in ("allocators", "strategies"):
        assert "``" not in CliRunner().invoke(app, [command]).output


def test_a_fitted_policy_shares_out_a_run(run: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    fit(pools_in([run], [None])[::2], ["majority_vote()"], probes=2).write(policy)
    named = f"fitted(policy={str(policy)!r})"
    options = ["--data", str(run), "--model", f"replay:{run}", "--strategy", "best_of_n(n=16) | majority_vote()"]
    pool = ["--suite-budget-tokens", "4000", "--allocator", named, "--run", str(tmp_path / "live.db")]
    result = CliRunner().invoke(app, ["eval", *options, *pool, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["suite_budget"]["spent"] <= 4000
    live = ww.evaluate(
        "best_of_n(n=16) | majority_vote()", run, model=f"replay:{run}", suite_budget_tokens=4000, allocator=named,
        run=tmp_path / "live.db",
    )  # fmt: skip
    assert "policy" in live.configuration
    fit(pools_in([run], [None])[1::2], ["majority_vote()"], probes=2).write(policy)
    with pytest.raises(UsageError, match="policy: "):  # another policy in the same file is another run
        ww.evaluate(
            "best_of_n(n=16) | majority_vote()", run, model=f"replay:{run}", suite_budget_tokens=4000, allocator=named,
            run=tmp_path / "live.db",
        )  # fmt: skip


def test_rows_are_paired_with_best_of_n() -> None:
    rows = compared(mixed(), VOTE, [ExpectedGain()], 4, orders=3)
    assert rows[-1].difference is not None
    assert rows[-1].difference.mean == pytest.approx(rows[-1].accuracy - rows[0].accuracy)
