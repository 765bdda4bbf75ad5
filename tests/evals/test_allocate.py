"""``ww.allocate`` and the command over it: what they say, what it costs, and that nothing is written in vain."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from tests.evals.test_allocation_study import VOTE, pool
from widthwise.cli.app import app
from widthwise.core.session.ledger import Ledger
from widthwise.evals.allocation.policy import Policy
from widthwise.evals.allocation.study import evenly, shared_out
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.measure.answered import Answered

SEARCH = "tree_search(n=4, by='mean_logprob') | majority_vote()"


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    answers = [["1"] * 12 if i % 3 else ["1" if j % 4 == i % 4 else str(2 + j) for j in range(12)] for i in range(8)]
    return made_run(tmp_path / "drawn.db", answers, strategy="best_of_n(n=12) | majority_vote()")


@pytest.fixture
def search(tmp_path: Path) -> Path:
    return made_run(tmp_path / "search.db", [["1", "2"]] * 8, strategy=SEARCH)


def called(*words: Any) -> Any:
    return CliRunner().invoke(app, ["allocate", *map(str, words)], env={"COLUMNS": "300"})


def test_the_call_and_the_command_say_the_same(drawn: Path, search: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    given: dict[str, Any] = {"samples": [3], "orders": 2, "seed": 5, "probes": 2, "prices": (0, 2)}
    found = ww.allocate(
        drawn, alternatives=[search], allocators=["uniform", ww.ExpectedGain()], fit_policy=policy, **given
    )
    kept = Policy.read(policy)
    options = ["--samples", 3, "--orders", 2, "--seed", 5, "--probes", 2, "--price", "0,2", "--fit-policy", policy]
    said = called(drawn, "--alternative", search, *options, "--json")
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout) == json.loads(json.dumps(asdict(found)))
    assert Policy.read(policy) == kept
    assert (found.problems, found.fitted_on, found.notes) == (4, 4, ())
    assert [row.method.partition("(")[0] for row in found] == ["best_of_n"] * 4 + [
        "tree_search",
        "uniform",
        "expected_gain",
        "fitted",
    ]
    shown = called(drawn, "--alternative", search, *options).stdout
    assert "the policy was fitted on the other 4 problems" in shown
    assert "money" in shown


def test_the_result_is_a_table_and_a_sequence_in_one_line(drawn: Path) -> None:
    found = ww.allocate(drawn, samples=[3, 4], orders=2)
    assert isinstance(found, ww.Allocations)
    assert isinstance(found[0], ww.Allocation)
    assert len(found) == len(found.rows) == len(list(found[1:])) + 1 == len(found.table()["n"])
    assert found.table()["difference"][:2] == [None, found[1].difference and found[1].difference.mean]
    assert found.to_arrow().column_names[:5] == ["n", "method", "accuracy", "tokens", "money"]
    assert repr(found).startswith(f"Allocations({len(found)} rows on 8 problems: the best ")
    assert "\n" not in repr(found)
    assert "<table" in found._repr_html_()
    again = asyncio.run(ww.allocate_async(drawn, samples=[3, 4], orders=2))
    assert again.rows == found.rows


# -- money -----------------------------------------------------------------------------------------------------------


def test_what_tokens_cost_is_what_every_method_costs_where_prompts_are_free(
    drawn: Path, search: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"alternatives": [search], "fit_policy": tmp_path / "policy.json", "probes": 2}
    found = ww.allocate(drawn, samples=[3], orders=3, prices=(0, 50), **options)
    assert len(found) == 8
    assert [row.money for row in found] == pytest.approx([row.tokens * 50 / 1e6 for row in found])


def test_prompts_are_paid_as_the_run_has_paid_them(tmp_path: Path) -> None:
    model = ww.FunctionBackend(lambda messages, seed: ["so it is \\boxed{7}", "\\boxed{7}", "\\boxed{5}"][seed % 3])
    problems = [{"problem": f"{i}?", "answer": "7"} for i in range(4)]
    run = ww.evaluate("best_of_n(n=6) | majority_vote()", problems, model=model, run=tmp_path / "a.db", prices=(3, 40))
    [whole, *_, even] = ww.allocate(run, samples=[6], orders=2, allocators=["uniform"])
    paid = run.summary.money
    assert paid
    assert whole.money == pytest.approx(paid)
    assert even.money is not None
    assert 0.9 * paid < even.money <= paid  # a few samples did not fit into the pool any more
    dearer = ww.allocate(run, samples=[6], orders=2, allocators=["uniform"], prices=(6, 80))[0]
    assert dearer.money == pytest.approx(2 * paid)


def test_a_sample_that_its_share_cut_has_read_its_prompt() -> None:
    paid = replace(pool("p0", 0.9), tokens=np.array([10.0, 10.0, 15.0, *[10.0] * 29]), money=1.0, first_money=5.0)
    paid = replace(paid, token_money=0.0)
    found = shared_out([paid], SuiteBudget(32, ww.Uniform()), VOTE, orders=0)
    assert (found.samples.tolist(), found.tokens.tolist(), found.money.tolist()) == ([2.0], [32.0], [8.0])
    assert evenly([paid], 3, VOTE, orders=0).money.tolist() == [8.0]


def test_another_strategy_costs_what_it_came_to_within_its_share() -> None:
    answered = Answered("p", 1.0, Ledger(sampled=200), money=4.0)
    assert [answered.money_within(tokens) for tokens in (50, 200, 900)] == [1.0, 4.0, 4.0]
    assert np.isnan(replace(answered, money=None).money_within(50))
    assert replace(answered, spent=Ledger()).money_within(50) == 4.0


def test_money_that_is_not_known_is_said_to_be(drawn: Path, search: Path) -> None:
    found = ww.allocate(drawn, alternatives=[search], samples=[3], orders=1)
    assert {row.money for row in found} == {None}
    assert found.notes == ("drawn, search: money is not known: no prices were given (--price)",)
    shown = called(drawn, "--samples", 3, "--orders", 1).stdout
    assert "note: drawn: money is not known: no prices were given (--price)" in shown
    unread = ww.allocate(drawn, samples=[3], orders=1, prices=(1, 2))
    assert unread.notes == ("drawn: money is not known: the tokens of its prompts were not counted",)
    with pytest.raises(ww.UsageError, match="there is a price for 'large', but the models are"):
        ww.allocate(drawn, prices={"large": (1, 2)})


# -- what is refused, and when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": [13]}, r"best-of-13 is more than the 12 samples that every problem has: .*--samples 12"),
        ({"strategy": "best_of_n(n=3) | majority_vote()"}, "fewer samples a problem than the 4 probes .*fewer probes"),
        ({"choose": ["first_valid()"]}, "do not tell what"),
        ({"choose": ["nothing()"]}, "nothing"),
        ({"probes": 13}, "--probes 13, but some problem has only 12 samples"),
        ({"difficulty": "mood"}, "there is no difficulty 'mood'"),
        ({"strategy": "best_of_n(n=12) | stop_when_decided() | majority_vote()"}, "without pruners"),
        ({"allocators": ["fitted(policy='OTHER')"]}, "--alternative RUN.db"),
        ({"samples": 4}, r"samples is a list, samples=\[...\]"),
        ({"allocators": "uniform"}, r"allocators is a list"),
        ({"samples": []}, "samples is an empty list: .*leave samples out"),
        ({"allocators": ()}, "allocators is an empty list: .*leave allocators out"),
        ({"choose": []}, "choose is an empty list: .*leave choose out"),
    ],
)
def test_what_is_refused_is_refused_before_a_policy_is_written(
    options: dict[str, Any], said: str, drawn: Path, search: Path, tmp_path: Path
) -> None:
    if "OTHER" in str(options):
        other = tmp_path / "other.json"
        ww.allocate(drawn, alternatives=[search], samples=[3], orders=1, probes=2, fit_policy=other)
        options = {"allocators": [f"fitted(policy={str(other)!r})"]}
    kept = tmp_path / "policy.json"
    kept.write_text("as it was")
    with pytest.raises(ww.UsageError, match=said):
        ww.allocate(drawn, orders=1, fit_policy=kept, **options)
    assert kept.read_text() == "as it was"
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_a_policy_that_cannot_be_written_is_refused(drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ww.UsageError, match=r"cannot write .*policy\.json"):
        ww.allocate(drawn, samples=[3], orders=1, fit_policy=tmp_path / "file" / "policy.json")
    with pytest.raises(ww.UsageError, match="the file of a policy is a path"):
        ww.allocate(drawn, fit_policy=3)  # type: ignore[arg-type]
    for none in ("", Path(), tmp_path.root):
        with pytest.raises(ww.UsageError, match=r"fit_policy \(--fit-policy\) names no file"):
            ww.allocate(drawn, samples=[3], orders=1, fit_policy=none)
    said = called(drawn, "--samples", 3, "--orders", 1, "--fit-policy", "")
    assert said.exit_code == 2
    assert "names no file" in " ".join(said.output.split())


@pytest.mark.parametrize(("samples", "sizes", "noted"), [(9, {4, 8}, False), (6, {4}, False), (3, {1}, True)])
def test_the_usual_n_is_what_there_are_samples_for(samples: int, sizes: set[int], noted: bool, tmp_path: Path) -> None:
    run = made_run(tmp_path / "run.db", [["1"] * samples] * 4, strategy=f"best_of_n(n={samples}) | majority_vote()")
    found = ww.allocate(run, orders=1, prices=(0, 1), fit_policy=tmp_path / "policy.json", probes=1)
    assert {row.n for row in found} == sizes
    assert len({(row.n, row.method) for row in found}) == len(found)
    assert bool(found.notes) == noted
    assert ("N is 1, since every problem has only 3 samples (samples, --samples)" in found.notes) == noted


def test_where_probes_take_the_pool_it_is_said_that_nothing_is_shared_out(drawn: Path) -> None:
    tried: dict[str, Any] = {"allocators": ["uniform", "expected_gain(probes=4)"], "orders": 3, "prices": (0, 1)}
    found = ww.allocate(drawn, samples=[2, 4, 5], **tried)
    [said] = found.notes
    assert said.startswith("at N = 2 and 4, expected_gain(probes=4) has nothing left to share out: its 4 probes of")
    assert not ww.allocate(drawn, samples=[5], **tried).notes
    options = ("--samples", 2, "--samples", 4, "--price", "0,1", "--allocator", "expected_gain(probes=4)")
    assert f"note: {said}" in called(drawn, *options, "--orders", 1).stdout


def test_a_call_without_what_it_needs_says_what_is_missing(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(ww.UsageError, match="name run files"):
        ww.allocate()
    with pytest.raises(ww.UsageError, match=r"probes \(--probes\) says how a policy is fitted: .*fit_policy=FILE"):
        ww.allocate(drawn, probes=2)
    silent = made_run(tmp_path / "silent.db", [["1"] * 4, []])
    with pytest.raises(ww.UsageError, match="problem p1 has no sample, since its requests failed"):
        ww.allocate(silent)
