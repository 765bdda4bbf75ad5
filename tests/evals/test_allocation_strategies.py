"""Policies that choose a strategy by difficulty: fitted on runs of several, studied, and used in a run."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from tests.evals.test_allocation import assert_kills_change_nothing, different, is_paid_for, stopped_after
from tests.evals.test_allocation_study import VOTE, mixed, pool, prospect
from widthwise.cli.app import app
from widthwise.cli.display import _lines
from widthwise.core.errors import UsageError
from widthwise.core.session.ledger import Ledger
from widthwise.evals.allocation.alternatives import Answers, answers_in
from widthwise.evals.allocation.bin import Alternative, Bin
from widthwise.evals.allocation.comparison import compared, pool_of
from widthwise.evals.allocation.fitted import Fitted
from widthwise.evals.allocation.fitting import fit
from widthwise.evals.allocation.policy import Policy, alternative_of
from widthwise.evals.allocation.study import evenly, shared_out
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.allocation.switches import Switch, alternatives_for
from widthwise.evals.allocation.uniform import Uniform
from widthwise.evals.measure.answered import Answered
from widthwise.evals.measure.pools import load
from widthwise.evals.measure.standings import standings
from widthwise.evals.store.store import Store

SEARCH = "tree_search(n=4, by='mean_logprob') | majority_vote()"
NAME = str(alternative_of(SEARCH))
MAJORITY = "majority_vote()"


def a_bin(right: Mapping[int, float], *alternatives: tuple[str, float, float]) -> Bin:
    return Bin(
        tuple(right), tuple(right.values()), (MAJORITY,) * len(right), tuple(Alternative(*a) for a in alternatives)
    )


def results(right: Sequence[float], tokens: int = 80, *, strategy: str = NAME, stated: bool = True) -> Answers:
    """What a strategy made of the problems p0, p1 ..."""
    found = {f"p{i}": [Answered(f"p{i}", r, Ledger(sampled=tokens), stated=stated)] for i, r in enumerate(right)}
    return {strategy: found}


# -- what a bin offers ---------------------------------------------------------------------------------------------


def test_steps_lie_between_corners_of_the_least_concave_curve_above_all_ends() -> None:
    found = a_bin({2: 0.4, 4: 0.5, 8: 0.6, 32: 0.9}, ("a", 3, 0.7), ("b", 5, 0.65))
    steps = found.steps(2, most=32)  # from (0, 0.4) to a at (3, 0.7) to 32 samples at (30, 0.9); b is below the curve
    assert [(s.samples, round(s.gain, 9), s.divisible) for s in steps] == [(3, 0.3, False), (27, 0.2, False)]
    assert [s.alternative and s.alternative.strategy for s in steps] == ["a", None]
    assert [s.samples for s in found.steps(2, most=8)] == [3]
    [only] = a_bin({2: 0.4, 8: 0.6}, ("a", 3, 0.35)).steps(4, most=8)  # worse than what there is
    assert (only.samples, only.alternative, only.divisible) == (4, None, True)
    assert a_bin({2: 0.4}, ("a", 3, 0.4)).steps(2, most=8) == []


def test_what_is_chosen_is_optimal() -> None:
    """At every budget at which a step ends, no other choice of ends is worth more."""
    rng = np.random.default_rng(5)
    for _ in range(10):
        bins = [
            a_bin(
                {2: r[0], 4: r[1], 9: r[2]},
                ("a", float(rng.integers(1, 9)), r[3]),
                ("b", float(rng.integers(1, 9)), r[4]),
            )
            for r in rng.random((3, 5))
        ]
        probed = [prospect([0, 1], cost) for cost in ([], [], [])]
        steps = sorted(
            ((s.gain / s.samples, s.samples, i) for i, b in enumerate(bins) for s in b.steps(2, 9)), reverse=True
        )
        for count in range(1, len(steps) + 1):
            tokens = 10 * sum(samples for _, samples, _ in steps[:count]) + 1e-6
            chosen = alternatives_for(probed, bins, tokens, most=9)
            gained = sum(slope * samples for slope, samples, _ in steps[:count])
            assert gained == pytest.approx(best(bins, tokens / 10))
            ends = {i: list(itertools.accumulate(s.samples for s in b.steps(2, 9))) for i, b in enumerate(bins)}
            for i, own in enumerate(b.steps(2, 9) for b in bins):
                taken = sum(problem == i for _, _, problem in steps[:count])
                last = own[taken - 1].alternative if taken else None
                assert (chosen[i][0] if i in chosen else None) == last
                assert i not in chosen or chosen[i][1] == pytest.approx(10 * ends[i][taken - 1])


def best(bins: Sequence[Bin], samples: float) -> float:
    ends = [
        [(0.0, 0.0)]
        + [(size - 2.0, right - b.right[0]) for size, right in zip(b.sizes[1:], b.right[1:], strict=True)]
        + [(a.samples, a.right - b.right[0]) for a in b.alternatives]
        for b in bins
    ]
    return max(
        sum(worth for _, worth in each)
        for each in itertools.product(*ends)
        if sum(cost for cost, _ in each) <= samples + 1e-6
    )


class Going(Uniform):
    """Uniform sampling, but some problems go on with another strategy."""

    def switches(self, prospects: Sequence[ww.Prospect], tokens: float, most: int) -> dict[int, Switch]:
        return {i: Switch(alternative_of(SEARCH), 300.0) for i in (2, 0) if not prospects[i].closed}


def test_other_strategies_begin_as_far_as_half_of_what_is_left_and_the_rest_is_set_aside() -> None:
    probed = [prospect([0]) for _ in range(3)]

    def granted(left: int) -> dict[int, tuple[int, int, bool]]:
        found = SuiteBudget(left + 30, Going()).next(probed, ww.BestOfN(8), None)
        assert sum(grant.tokens for grant in found.values()) <= left
        return {i: (g.samples, g.tokens, g.strategy is not None) for i, g in found.items()}

    assert granted(1300) == {2: (0, 650, True), 0: (0, 650, True)} | granted_samples(granted(1300))
    one = granted(700)
    assert list(one) == [2, 1]  # the first one, and samples for half of what is not set aside
    assert one[1][0] == 5
    assert one[2][1] > 500
    assert granted(200) == {2: (0, 200, True)}  # it is all that is left


def granted_samples(found: dict[int, tuple[int, int, bool]]) -> dict[int, tuple[int, int, bool]]:
    return {i: each for i, each in found.items() if not each[2]} | {i: found[i] for i in found if found[i][2]}


# -- fitting and studying ------------------------------------------------------------------------------------------


def test_a_policy_has_what_strategies_are_worth_in_each_bin_and_cost_there() -> None:
    pools = mixed(20)
    known = results([0.5 if i % 2 else 1.0 for i in range(20)], tokens=75)
    policy = fit(pools, [MAJORITY], answers=known, difficulty="pass_rate", probes=2, bins=2)
    easy, hard = policy.bins
    assert easy.alternatives == (Alternative(NAME, 7.5, 1.0),)
    assert hard.alternatives == (Alternative(NAME, 7.5, 0.5),)
    silent = fit(pools, [MAJORITY], answers=results([0.0] * 20, stated=False), difficulty="pass_rate", probes=2, bins=2)
    assert [b.alternatives[0].right for b in silent.bins] == [b.right[0] for b in silent.bins]  # the probes' vote


def test_a_policy_fitted_on_one_half_is_better_than_each_single_way_on_the_other(tmp_path: Path) -> None:
    """Hard problems are solved by the other strategy alone, easy ones by two samples."""
    pools = [pool(f"p{i}", (0.97, 0.1)[i // 2 % 2]) for i in range(80)]
    known = results([0.9 if i // 2 % 2 and i % 10 else 0.6 for i in range(80)], tokens=80)
    path = tmp_path / "policy.json"
    fit(pools[::2], [MAJORITY], answers=known, difficulty="disagreement", probes=2).write(path)
    policy, other = Fitted(policy=str(path)), pools[1::2]
    rows = {row.method: row for row in compared(other, VOTE, [policy], 6, answers=known, orders=5)}
    assert list(rows)[-2:] == [alternative_of(SEARCH).brief(), policy.brief()]
    gap = rows[policy.brief()].difference
    assert gap is not None
    assert gap.low > 0.05
    assert rows[policy.brief()].accuracy > rows[alternative_of(SEARCH).brief()].accuracy
    assert rows[policy.brief()].tokens <= pool_of(other, 6)
    assert rows[alternative_of(SEARCH).brief()].tokens == 80 * len(other)


def always(right: float = 1.0, samples: float = 8, strategy: str = NAME) -> Policy:
    """Every problem goes on with the strategy."""
    return Policy("disagreement", 2, (), (a_bin({2: 0.1}, (strategy, samples, right)),))


def written(policy: Policy, folder: Path) -> Fitted:
    policy.write(folder / "policy.json")
    return Fitted(policy=str(folder / "policy.json"))


def test_a_strategy_that_its_share_cuts_is_charged_and_the_vote_stands(tmp_path: Path) -> None:
    pools, policy = mixed(4), written(always(), tmp_path)
    whole = shared_out(pools, SuiteBudget(4 * 250, policy), VOTE, answers=results([0.25] * 4, 200), orders=0)
    assert whole.right.tolist() == [0.25] * 4
    assert whole.tokens.tolist() == [220] * 4
    assert whole.samples.tolist() == [2] * 4
    votes = evenly(pools, 2, VOTE, orders=0).right
    cut = shared_out(pools, SuiteBudget(4 * 60, policy), VOTE, answers=results([0.25] * 4, 200), orders=0)
    assert cut.right.tolist() == votes.tolist()
    assert cut.tokens.sum() <= 240
    silent = shared_out(pools, SuiteBudget(9000, policy), VOTE, answers=results([0] * 4, 50, stated=False), orders=0)
    assert silent.right.tolist() == votes.tolist()
    assert silent.tokens.tolist() == [70] * 4


def test_of_several_runs_of_a_strategy_each_order_takes_one(tmp_path: Path) -> None:
    pools, policy = mixed(6), written(always(), tmp_path)
    known = results([1.0] * 6)
    two = {NAME: {name: [*own, Answered(name, 0.0, Ledger(sampled=40))] for name, own in known[NAME].items()}}
    found = shared_out(pools, SuiteBudget(9000, policy), VOTE, answers=two, orders=40)
    assert 0.3 < found.right.mean() < 0.7
    assert fit(pools, [MAJORITY], answers=two, bins=1).bins[0].alternatives == (Alternative(NAME, 6.0, 0.5),)


def test_a_policy_whose_strategy_was_not_run_on_these_problems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the policy may choose tree_search\(n=4, .*--alternative RUN.db"):
        shared_out(mixed(4), SuiteBudget(9000, written(always(), tmp_path)), VOTE, orders=1)


# -- runs of alternatives ------------------------------------------------------------------------------------------


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    answers = [["1"] * 16 if i // 2 % 2 else [str(2 + j) for j in range(16)] for i in range(12)]
    drawn = made_run(tmp_path / "drawn.db", answers, strategy="best_of_n(n=16) | majority_vote()")
    return drawn, made_run(tmp_path / "search.db", [["1"]] * 12, strategy=SEARCH)


def test_answers_are_those_of_the_run(runs: tuple[Path, Path]) -> None:
    drawn, search = runs
    found = answers_in([search, search], [drawn])
    assert list(found) == [NAME]
    assert [len(each) for each in found[NAME].values()] == [2] * 12
    assert all(each.right == 1 and each.stated and each.spent.total > 0 for own in found[NAME].values() for each in own)


def test_runs_that_do_not_belong_together_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    drawn, _ = runs

    def said(run: Path) -> str:
        with pytest.raises(UsageError) as error:
            answers_in([run], [drawn])
        return str(error.value)

    few = made_run(tmp_path / "few.db", [["1"]] * 11, strategy=SEARCH, open_problems=1)
    assert "few.db lacks 1 problem of 12, such as p11: an alternative is a finished run on the same problems" in said(
        few
    )
    others = made_run(tmp_path / "others.db", [["1"]] * 12, strategy=SEARCH, problem="q")
    assert "lacks 12 problems of 12" in said(others)
    limited = made_run(tmp_path / "limited.db", [["1"]] * 12, strategy="tree_search(n=4) | budget(tokens=50)")
    assert "has a budget of its own" in said(limited)
    thinking = made_run(tmp_path / "thinking.db", [["1"]] * 12, strategy="best_of_n(n=4, thinking=50)")
    assert "limits its thinking" in said(thinking)
    unnamed = made_run(tmp_path / "unnamed.db", [["1"]] * 12, strategy=None)
    assert "names no strategy" in said(unnamed)
    problems = [ww.Problem(f"p{i}", f"Problem {i}?", "1") for i in range(12)]
    with Store.begin(
        tmp_path / "model.db", {"suite": "made", "model": "another", "strategy": SEARCH}, problems
    ) as store:
        for problem in problems:
            store.finish(ww.Outcome(problem, "done", "1", True), ())
    assert "another model" in said(tmp_path / "model.db")
    assert "`widthwise fit` learns which of several models to ask" in said(tmp_path / "model.db")


def test_a_run_that_shared_a_pool_is_no_alternative(runs: tuple[Path, Path], tmp_path: Path) -> None:
    drawn, _ = runs
    problems = [ww.Problem(f"p{i}", f"Problem {i}?", "1") for i in range(12)]
    said = {"suite": "made", "model": "none", "strategy": "best_of_n(n=8)", "suite_budget_tokens": 900}
    with Store.begin(tmp_path / "pool.db", said, problems) as store:
        for problem in problems:
            store.finish(ww.Outcome(problem, "done", "1", True), ())
    with pytest.raises(UsageError, match=r"pool.db shared a suite budget, so it does not show what its strategy is"):
        answers_in([tmp_path / "pool.db"], [drawn])


def test_a_run_on_other_problems_is_refused_without_a_warning_before(
    runs: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problems = [ww.Problem("q0", "Another?", "1")]
    said = {"suite": "made", "model": "none", "strategy": SEARCH, "problems": "abc", "limit": 1}
    with Store.begin(tmp_path / "others.db", said, problems) as store:
        store.finish(ww.Outcome(problems[0], "done", "1", True), ())
    with pytest.raises(UsageError, match="lacks 12 problems"):
        answers_in([tmp_path / "others.db"], [runs[0]])
    assert not caplog.records


def test_more_probes_than_samples_are_refused_and_nothing_is_written(runs: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    asked = ["allocate", str(runs[0]), "--samples", "4", "--fit-policy", str(path), "--probes", "17"]
    result = CliRunner().invoke(app, asked, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "--probes 17, but some problem has only 16 samples" in " ".join(result.output.split())
    assert not path.exists()


def test_the_command_fits_a_policy_on_several_runs_and_tries_a_saved_one(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    drawn, search, path = *map(str, runs), str(tmp_path / "policy.json")
    options = ["--alternative", search, "--samples", "4", "--orders", "3", "--json"]
    fitted = ["--fit-policy", path, "--probes", "2", "--difficulty", "disagreement"]
    result = CliRunner().invoke(app, ["allocate", drawn, *options, *fitted])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert rows[4]["method"] == alternative_of(SEARCH).brief()
    assert rows[4]["accuracy"] == rows[-1]["accuracy"] == 1.0
    assert rows[-1]["difference"]["mean"] == 1 - rows[0]["accuracy"] > 0
    assert {a.strategy for b in Policy.read(path).bins for a in b.alternatives} == {NAME}
    saved = ["allocate", drawn, "--samples", "4", "--orders", "3", "--allocator", f"fitted(policy={path!r})"]
    again = CliRunner().invoke(app, [*saved, "--alternative", search])
    assert again.exit_code == 0, again.output
    lacking = CliRunner().invoke(app, saved)
    assert lacking.exit_code == 2
    assert "--alternative RUN.db" in lacking.output


@pytest.mark.parametrize("command", ["allocate", "fit"])
def test_both_commands_that_fit_say_which_is_which(command: str) -> None:
    said = " ".join(CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output.split())
    assert "which of several models to ask" in said
    assert {"allocate": "fit learns", "fit": "allocate --fit-policy"}[command] in said.replace("`", "")


# -- a saved policy is hostile -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alternative", "said"),
    [
        ({"strategy": SEARCH, "samples": 0, "right": 0.5}, "costs as much as some samples"),
        ({"strategy": SEARCH, "samples": 1e300, "right": 0.5}, "at most 1,048,576"),
        ({"strategy": SEARCH, "samples": 3, "right": 1.5}, "between 0 and 1"),
        ({"strategy": SEARCH, "samples": "3", "right": 0.5}, "not one of float"),
        ({"strategy": 5, "samples": 3, "right": 0.5}, "not one of str"),
        ({"strategy": SEARCH, "samples": 3}, "it has no 'right'"),
        ({"strategy": "os:system", "samples": 3, "right": 0.5}, "import path"),
        ({"strategy": "tree_serch()", "samples": 3, "right": 0.5}, "tree_search"),
        ({"strategy": "single() | budget(tokens=9)", "samples": 3, "right": 0.5}, "a budget of its own"),
        ({"strategy": "(" * 5000, "samples": 3, "right": 0.5}, "policy.json is no policy"),
        ("single()", "no object with names"),
        (None, "no object with names"),
    ],
)
def test_an_alternative_that_was_changed_is_refused(alternative: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    bins = [{"sizes": [2], "right": [0.5], "choose": [MAJORITY], "alternatives": [alternative]}]
    policy = {"difficulty": "entropy", "probes": 2, "edges": [], "bins": bins, "score": ""}
    path.write_text(json.dumps(policy))
    with pytest.raises(UsageError, match=said) as error:
        Fitted(policy=str(path))
    assert "policy.json is no policy of `widthwise allocate --fit-policy`" in str(error.value)
    assert len(str(error.value)) < 2000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bins": [{"sizes": [10**300], "right": [0.5], "choose": [MAJORITY]}]}, "1,048,576 at most"),
        ({"bins": [{"sizes": [2], "right": [-0.5], "choose": [MAJORITY]}]}, "between 0 and 1"),
        ({"bins": {"sizes": 2}}, "is no list"),
        ({"bins": [3]}, "no object with names"),
        ({"probes": 10**300}, "it needs probes"),
        (
            {"bins": [{"sizes": [2], "right": [0.5], "choose": [f"majority_vote(tie={i})"]} for i in range(300)]},
            "edges",
        ),
        (
            {
                "bins": [{"sizes": [2], "right": [0.5], "choose": [f"majority_vote(tie={i})"]} for i in range(300)],
                "edges": [0.5] * 299,
            },
            "more than 256",
        ),
    ],
)
def test_a_policy_of_impossible_values_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    policy = {"difficulty": "entropy", "probes": 2, "edges": [], "bins": [], "score": "", **change}
    path.write_text(json.dumps(policy))
    with pytest.raises(UsageError, match=said):
        Fitted(policy=str(path))


@pytest.mark.parametrize("text", ["[]", "3", "null", "{", '{"bins": NaN}', "[" * 100000, "\x00", "9" * 5000])
def test_a_file_that_is_no_policy_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(UsageError, match="is no policy of") as error:
        Fitted(policy=str(tmp_path / "policy.json"))
    assert "set_int_max_str_digits" not in str(error.value)


# -- live ----------------------------------------------------------------------------------------------------------

LIVE = "best_of_n(n=6) | majority_vote()"
SEED = 5
"""The two probes differ on the second and the fifth problem."""


def by_difficulty(folder: Path) -> Fitted:
    """Problems whose two probes differ go on with a search, the others with samples."""
    bins = (a_bin({2: 0.8, 3: 0.85}), a_bin({2: 0.1, 6: 0.2}, (NAME, 3, 0.9)))
    return written(Policy("disagreement", 2, (0.25,), bins), folder)


def run_by(policy: Fitted, path: Path, tokens: int = 6000) -> ww.Run:
    return ww.evaluate(LIVE, "arithmetic", limit=5, seed=SEED, suite_budget_tokens=tokens, allocator=policy, run=path)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, ww.Run]:
    folder = tmp_path_factory.mktemp("chosen")
    policy = by_difficulty(folder)
    return policy, run_by(policy, folder / "run.db")


def test_problems_go_on_with_the_strategy_of_their_bin(chosen: tuple[Fitted, ww.Run], tmp_path: Path) -> None:
    _, run = chosen
    uncut = ww.evaluate("best_of_n(n=2)", "arithmetic", limit=5, seed=SEED, run=tmp_path / "probes.db")
    searched = 0
    for outcome, alone in zip(run.outcomes, uncut.outcomes, strict=True):
        probes = [(leaf.id, leaf.answer, leaf.tokens) for leaf in alone.leaves]
        assert [(leaf.id, leaf.answer, leaf.tokens) for leaf in outcome.leaves[:2]] == probes
        differ = len({answer for _, answer, _ in probes}) > 1
        deeper = [leaf for leaf in outcome.leaves if len(leaf.id) > 2]  # steps of a search
        assert bool(deeper) == differ
        if differ:
            assert outcome.answer in {leaf.answer for leaf in deeper}
        searched += differ
    assert 0 < searched < 5
    said = run.summary.suite_budget
    assert said is not None
    assert said["strategies"] == {alternative_of(SEARCH).brief(): searched}
    assert sum(each["switched"] for each in said["rounds"]) == searched
    assert is_paid_for(run) <= 6000


@pytest.mark.parametrize("after", [4, 12, 18])
def test_a_run_that_ended_within_a_strategy_continues_to_the_same_result(
    chosen: tuple[Fitted, ww.Run], tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, run = chosen
    path = tmp_path / "broken.db"
    stopped_after(after, monkeypatch, lambda: run_by(policy, path))
    again = run_by(policy, path)
    assert different(run.path, path) == []
    assert is_paid_for(again) == is_paid_for(run)


@pytest.mark.slow
def test_kills_change_nothing(chosen: tuple[Fitted, ww.Run], tmp_path: Path) -> None:
    policy, run = chosen
    pool = ["--suite-budget-tokens", "6000", "--allocator", f"fitted(policy={policy.policy!r})"]
    assert_kills_change_nothing(
        ["--limit", "5", "--seed", str(SEED), "--strategy", LIVE, *pool], (3, 12, 16, 30), tmp_path
    )
    assert different(run.path, tmp_path / "whole.db") == []


def test_a_share_that_ends_a_strategy_leaves_the_vote_and_is_paid(
    chosen: tuple[Fitted, ww.Run], tmp_path: Path
) -> None:
    """The policy promises a search for the tokens of a hundredth of a sample."""
    probes = ww.evaluate(
        "best_of_n(n=2) | majority_vote()", "arithmetic", limit=2, seed=SEED, run=tmp_path / "probes.db"
    )
    tokens = probes.ledger.total + 160
    policy = written(always(samples=0.01), tmp_path)
    run = ww.evaluate(
        LIVE, "arithmetic", limit=2, seed=SEED, suite_budget_tokens=tokens, allocator=policy, run=tmp_path / "cut.db"
    )
    assert [o.answer for o in run.outcomes] == [o.answer for o in probes.outcomes]
    assert "its share of the suite budget ended tree_search" in str([o.fields for o in run.outcomes])
    assert probes.ledger.total < is_paid_for(run) <= tokens


def test_what_a_strategy_of_the_policy_needs_is_known_before_anything_is_sampled(tmp_path: Path) -> None:
    policy = written(always(strategy=str(alternative_of("rebase(n=4)"))), tmp_path)
    with pytest.raises(UsageError, match="reward model"):
        run_by(policy, tmp_path / "run.db")
    assert not (tmp_path / "run.db").exists()


def test_a_round_says_who_went_on_with_what() -> None:
    from widthwise.evals.allocation.rounds import Round

    assert str(Round(3, 5, 900)) == "3 problems got 5 samples; 900 tokens spent"
    assert (
        str(Round(3, 5, 900, 1))
        == "2 problems got 5 samples, 1 problem went on with another strategy; 900 tokens spent"
    )
    assert str(Round(1, 0, 900, 1)) == "1 problem went on with another strategy; 900 tokens spent"


@pytest.mark.parametrize("other", ["sequential_refinement(rounds=2)", "best_of_n(n=4, temperature=1.5)"])
def test_traces_of_another_strategy_are_no_samples_of_the_run(other: str, tmp_path: Path) -> None:
    """Neither of the two prunes or is cut, so nothing but the record of the rounds tells them apart."""
    policy = written(always(strategy=str(alternative_of(other))), tmp_path)
    path, plain = tmp_path / "run.db", tmp_path / "plain.db"
    run = ww.evaluate(LIVE, "arithmetic", limit=2, suite_budget_tokens=6000, allocator=policy, run=path)
    ww.evaluate("best_of_n(n=2)", "arithmetic", limit=2, run=plain)
    assert {leaf.finish for outcome in run.outcomes for leaf in outcome.leaves} == {"stop"}
    assert run.summary.suite_budget is not None
    assert sum(run.summary.suite_budget["strategies"].values()) == 2
    why = "some problems went on with another strategy, so the rest is not a fair sample"
    source = load(path)
    assert source.dependent == why
    assert source.copies is None
    drawn = ww.curve(path, methods=["pass"])
    assert list(drawn.lines) == ["run"]
    assert any(why in note for note in drawn.notes)
    figures = run.summary
    assert (figures.mean_accuracy, figures.pass_at_n, figures.efficiency, figures.copies) == (None,) * 4
    for paths in ([path, plain], [plain, path]):
        found = {standing.run: standing for standing in standings(paths)}
        one = found[str(path)]
        assert one.no_reliability == why
        assert one.reliability == ()
        assert (one.one_sample, one.coverage, one.efficiency, one.split, one.copies) == (None,) * 5
        assert found[str(plain)].one_sample is not None
        assert found[str(plain)].no_reliability == ""
        shown = CliRunner().invoke(app, ["compare", *map(str, paths), "--reliability", "all"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, shown.output
    assert "not known: some problems went on with another strategy" in dict(_lines(figures))["one sample"]
    assert "2 problems went on with" in dict(_lines(figures))["switched"]


def test_a_recording_is_no_model_for_a_policy_s_search(tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.db"
    ww.evaluate("best_of_n(n=4)", "arithmetic", limit=2, run=drawn)

    def tried(strategy: str) -> ww.Run:
        policy = written(always(strategy=str(alternative_of(strategy))), tmp_path)
        return ww.evaluate(
            "best_of_n(n=4)",
            drawn,
            model=f"replay:{drawn}",
            suite_budget_tokens=6000,
            allocator=policy,
            run=tmp_path / f"{len(strategy)}.db",
        )

    with pytest.raises(UsageError, match=r"may choose tree_search\(.*whole samples.*--alternative RUN.db") as error:
        tried(SEARCH)
    assert str(error.value).startswith("fitted(")
    assert not (tmp_path / f"{len(SEARCH)}.db").exists()
    sampled = tried("best_of_n(n=2) | majority_vote()")
    assert [outcome.state for outcome in sampled.outcomes] == ["done"] * 2


@pytest.mark.parametrize("part", ["aggregator", "strategy"])
def test_what_a_policy_names_and_cannot_work_is_said_to_come_from_it(part: str, tmp_path: Path) -> None:
    best = "best_by('reward_model')"
    chosen = Bin((2,), (0.5,), (best,), ()) if part == "aggregator" else a_bin({2: 0.1}, (f"single() | {best}", 3, 1.0))
    policy = written(Policy("disagreement", 2, (), (chosen,)), tmp_path)
    with pytest.raises(UsageError, match=r"^fitted\(.*policy=.*\) may choose .*: .*the run has no reward model"):
        run_by(policy, tmp_path / "run.db")


def test_a_policy_whose_aggregator_asks_a_model_is_said_to_choose_it(tmp_path: Path) -> None:
    policy = written(Policy("disagreement", 2, (), (Bin((2,), (0.5,), ("knockout()",), ()),)), tmp_path)
    with pytest.raises(UsageError, match=r"^fitted\(.*policy=.*\) may choose .*knockout.*: .*asks a model"):
        run_by(policy, tmp_path / "run.db")
