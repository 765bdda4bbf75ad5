"""What runs cost in money: prices by model, in figures, curves and comparisons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from widthwise.cli.app import app
from widthwise.core.problem import Problem
from widthwise.core.session.ledger import Ledger, Spending
from widthwise.core.session.prices import Price, check_prices, money, prices_of, record_of, recorded_prices
from widthwise.evals.measure.answered import per_sample
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Store


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ([], {}),
        (["0.1,0.4"], {"": Price(0.1, 0.4)}),
        (["small=0.1,0.4", "large=3,15,0.3"], {"small": Price(0.1, 0.4), "large": Price(3, 15, 0.3)}),
        ((0.1, 0.4), {"": Price(0.1, 0.4)}),
        ({"small": (0.1, 0.4), "large": (3, 15, 0.3)}, {"small": Price(0.1, 0.4), "large": Price(3, 15, 0.3)}),
    ],
)
def test_how_prices_are_given(given: Any, means: dict[str, Price]) -> None:
    assert prices_of(given) == means


@pytest.mark.parametrize(
    "given", [["a"], ["a=1"], ["a=1,2,3,4"], ["a=1,x"], ["a=-1,2"], ["a=nan,2"], {"a": 1}, (1,), 5]
)
def test_what_is_no_price(given: Any) -> None:
    with pytest.raises(ww.UsageError, match="is no price: write"):
        prices_of(given)


def test_a_price_for_a_model_that_the_run_does_not_have() -> None:
    with pytest.raises(ww.UsageError, match="price for 'x', but the models are: small, large"):
        check_prices({"x": Price(1, 1)}, ["small", "large"])
    with pytest.raises(ww.UsageError, match="a single one, without a name"):
        ww.RunSettings.of(prices={"x": (1, 1)})


def test_money_by_hand() -> None:
    one = Ledger(prompt_computed=1_000_000, prompt_cached=2_000_000, sampled=300_000, judging=200_000)
    assert money(one, {"": Price(2, 8)}) == pytest.approx(2 + 4 + 4)
    assert money(one, {"": Price(2, 8, 0.5)}) == pytest.approx(2 + 1 + 4)
    assert money(one, {}) is None
    two = Ledger(models={"a": Spending(1, 1_000_000, 0, 1_000_000, 0), "b": Spending(1, 0, 0, 500_000, 0)})
    assert money(two, {"a": Price(1, 2), "b": Price(0, 10)}) == pytest.approx(1 + 2 + 5)
    assert money(two, {"a": Price(1, 2)}) is None


@pytest.mark.parametrize("prices", [{"": Price(1, 2)}, {"a": Price(1, 2), "b": Price(0, 10)}])
def test_a_problem_that_failed_before_any_call_costs_nothing(prices: dict[str, Price]) -> None:
    assert money(Ledger(seconds=1.0), prices) == 0
    assert money(Ledger(seconds=1.0), {}) is None


@pytest.mark.parametrize(
    "prices", [3, {"a": 3}, {"a": {"prompt": "x", "completion": 1}}, {"a": {"prompt": -1, "completion": 1}}]
)
def test_prices_of_a_hostile_run_file(prices: Any) -> None:
    with pytest.raises(ww.UsageError):
        recorded_prices({"prices": prices})


def test_a_run_its_curve_and_a_comparison(tmp_path: Path) -> None:
    run = ww.evaluate("best_of_n(n=4)", "arithmetic", limit=3, model="reasoner", run=tmp_path / "a.db", prices=(1, 4))
    ledgers = [outcome.ledger for outcome in run.outcomes]
    paid = [(each.prompt_computed + each.prompt_cached + 4 * each.sampled) / 1e6 for each in ledgers]
    assert run.summary.money == pytest.approx(sum(paid))
    curve = ww.curve(run)
    assert curve.lines["run"].budgets["money"] == pytest.approx([np.mean(paid)])
    assert curve.lines["maj"].budgets["money"] == pytest.approx(np.mean(paid) * np.arange(1, 5) / 4)
    dearer = ww.curve(run, prices=(2, 8))
    assert dearer.lines["run"].budgets["money"] == pytest.approx([2 * np.mean(paid)])
    [standing] = ww.compare(run)
    assert standing.costs["money"] == pytest.approx(np.mean(paid))
    again = ww.evaluate("best_of_n(n=4)", "arithmetic", limit=3, model="reasoner", run=run, prices=(2, 8))
    assert again.path == run.path  # prices do not make another run


@pytest.mark.parametrize(
    ("computed", "cached", "first", "further"),
    [
        (451, 19 * 451, 451 * 1 + 20 * 4, 451 * 0.1 + 20 * 4),  # all samples of a prompt that was new
        (20 * 451, 0, 451 * 1 + 20 * 4, 451 * 1 + 20 * 4),  # a server without a cache
        (0, 20 * 451, 451 * 0.1 + 20 * 4, 451 * 0.1 + 20 * 4),  # a prompt that the server had before
        (51, 20 * 451 - 51, 51 * 1 + 400 * 0.1 + 20 * 4, 451 * 0.1 + 20 * 4),  # one whose beginning it had
    ],
)
def test_the_first_sample_pays_for_the_prompt_and_the_others_find_it_in_the_cache(
    computed: int, cached: int, first: float, further: float
) -> None:
    ledger = Ledger(prompt_computed=computed, prompt_cached=cached, sampled=20 * 20, samples=20)
    leaves = tuple(Leaf((0, i), "stop", 20, "1", True) for i in range(20))
    outcome = Outcome(Problem("p", "?", "1"), "done", "1", True, leaves=leaves, ledger=ledger)
    each, besides, token = per_sample(outcome, {"": Price(1, 4, 0.1)})
    assert 1e6 * (each + besides) == pytest.approx(first)
    assert 1e6 * each == pytest.approx(further)
    assert 1e6 * token == pytest.approx(4)


def test_a_curve_in_money_with_a_cached_price(tmp_path: Path) -> None:
    run = ww.evaluate("best_of_n(n=4)", "arithmetic", limit=3, model="reasoner", run=tmp_path / "a.db")
    ledgers = [outcome.ledger for outcome in run.outcomes]
    prompts = np.array([(each.prompt_computed + each.prompt_cached) / 4 for each in ledgers])
    computed = np.array([each.prompt_computed for each in ledgers])
    assert (prompts < computed).all()
    assert (computed < 2 * prompts).all()
    further = (computed - prompts) / 3 + 0.1 * (4 * prompts - computed) / 3  # the last token is always computed
    answers = np.array([each.sampled / 4 for each in ledgers])
    k = np.arange(1, 5)
    lines = ww.curve(run, prices=(1, 4, 0.1)).lines
    by_hand = prompts.mean() + (k - 1) * further.mean() + 4 * answers.mean() * k
    assert 1e6 * lines["maj"].budgets["money"] == pytest.approx(by_hand)
    assert lines["run"].budgets["money"] == pytest.approx(lines["maj"].budgets["money"][-1:])


def test_without_prices_there_is_no_money(tmp_path: Path) -> None:
    run = ww.evaluate("best_of_n(n=2)", "arithmetic", limit=2, model="reasoner", run=tmp_path / "a.db")
    assert run.summary.money is None
    assert "money" not in ww.curve(run).lines["run"].budgets
    command = ["curve", str(run.path), "--axis", "money", "--out", str(tmp_path / "a.svg")]
    refused = CliRunner().invoke(app, command)
    assert "has measured money per problem: give the prices of all models (--price)" in " ".join(refused.output.split())
    assert CliRunner().invoke(app, [*command, "--price", "1,4"]).exit_code == 0
    said = json.loads(CliRunner().invoke(app, ["compare", str(run.path), "--price", "1,4", "--json"]).stdout)
    assert said["runs"][0]["costs"]["money"] > 0


def test_a_sweep_measures_money_and_cannot_be_limited_by_it(tmp_path: Path) -> None:
    from widthwise.sweeping import Sweeping

    with pytest.raises(ww.UsageError, match="money is measured, but no run is limited by it"):
        Sweeping(["best_of_n"], ["arithmetic"], [1], axis="money", folder=tmp_path)
    found = ww.sweep(
        ["best_of_n", "ab_mcts(by='mean_logprob')"], ["arithmetic"], [1, 2], limit=2, folder=tmp_path, prices=(1, 4)
    )
    for curve in found.curves:
        assert (curve.lines["run"].budgets["money"] > 0).all()


def charged(path: Path, prices: dict[str, Price], ledgers: Sequence[Ledger]) -> Path:
    """A run that was given ``prices``, with one problem per ledger."""
    problems = [Problem(f"p{i}", f"Problem {i}?", "1") for i in range(len(ledgers))]
    configuration = {"suite": "made", "model": "none", "strategy": "tree_search(n=4)"}
    with Store.begin(path, configuration, problems) as store:
        store.note({"prices": record_of(prices)})
        for problem, ledger in zip(problems, ledgers, strict=True):
            store.finish(Outcome(problem, "done", "1", True, ledger=ledger), [])
    return path


@pytest.fixture
def priced(tmp_path: Path) -> dict[str, Path]:
    """Runs of a nameless model, of a model by its name, and of two, of which one of a run has no price."""
    million = Spending(1, 1_000_000, 0, 1_000_000, 0)
    both = [Ledger(samples=2, models={"hot": million, "cold": million}), Ledger(samples=1, models={"hot": million})]
    plain = Ledger(prompt_computed=1_000_000, sampled=1_000_000, samples=1)
    named = Ledger(samples=1, models={"hot": million})
    hot, cold = {"hot": Price(1, 4)}, {"cold": Price(3, 12)}
    return {
        "plain": charged(tmp_path / "plain.db", {}, [plain, plain]),
        "named": charged(tmp_path / "named.db", {}, [named, named]),
        "both": charged(tmp_path / "both.db", hot | cold, both),
        "partly": charged(tmp_path / "partly.db", hot, both),
    }


def spent(run: Path, prices: Any) -> float:
    return float(ww.curve(run, prices=prices).lines["run"].budgets["money"][0])


def test_prices_are_laid_over_those_of_the_run(priced: dict[str, Path]) -> None:
    assert spent(priced["both"], {"hot": (1, 4)}) == pytest.approx((5 + 15 + 5) / 2)
    assert spent(priced["both"], {"hot": (2, 8)}) == pytest.approx((10 + 15 + 10) / 2)
    assert spent(priced["partly"], {"cold": (3, 12)}) == pytest.approx((5 + 15 + 5) / 2)
    assert spent(priced["named"], (1, 4)) == spent(priced["named"], {"hot": (1, 4)}) == pytest.approx(5)
    plain, both = ww.compare(priced["plain"], priced["both"], prices=(1, 4))
    assert (plain.costs["money"], both.costs["money"]) == (5, 12.5)


def test_a_price_of_no_model_of_any_run_is_refused(priced: dict[str, Path]) -> None:
    for measured in (ww.curve, ww.compare):
        with pytest.raises(ww.UsageError, match="price for 'warm', but the models are: a single one, without a name"):
            measured(priced["plain"], prices={"warm": (1, 4)})
        with pytest.raises(ww.UsageError, match="a model without a name, but the models are: cold, hot"):
            measured(priced["both"], prices=(1, 4))


@pytest.mark.parametrize("command", ["curve", "compare"])
@pytest.mark.parametrize(
    ("runs", "price", "said"),
    [
        (["partly"], "hot=2,8", "partly.db has no price for cold: give --price cold=PROMPT,COMPLETION"),
        (["both", "plain"], "hot=2,8", "plain.db has no price for its model: give --price PROMPT,COMPLETION"),
        (["named", "plain"], "warm=1,4", "price for 'warm', but the models are: hot."),
    ],
)
def test_a_model_without_a_price_is_named(
    priced: dict[str, Path], command: str, runs: list[str], price: str, said: str
) -> None:
    found = CliRunner().invoke(app, [command, *(str(priced[run]) for run in runs), "--price", price])
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())


def test_a_run_with_prices_of_only_some_models_says_so(
    priced: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    assert "money" not in ww.curve(priced["partly"]).lines["run"].budgets
    assert "has no price for cold, so what it cost in money is not known" in caplog.text


def test_the_run_that_has_not_measured_an_axis_is_named(priced: dict[str, Path]) -> None:
    found = CliRunner().invoke(app, ["curve", str(priced["both"]), str(priced["plain"]), "--axis", "money"])
    assert found.exit_code == 2
    assert "plain.db has not measured money per problem" in " ".join(found.output.split())


def test_recorded_generations_have_no_prices(tmp_path: Path) -> None:
    with pytest.raises(ww.UsageError, match="do not say what their prompts cost"):
        ww.curve(tmp_path / "a.jsonl", prices=(1, 4))


@pytest.mark.parametrize(("axis", "budgets"), [("samples", "1,2"), ("tokens", "40,100000")])
def test_a_sweep_shows_money(axis: str, budgets: str, tmp_path: Path) -> None:
    command = ["sweep", "--suite", "arithmetic", "--limit", "2", "--strategy", "best_of_n(n=2)", "--no-report"]
    command += ["--budgets", budgets, "--axis", axis, "--folder", str(tmp_path), "--price", "1,4"]
    said = CliRunner().invoke(app, command).stdout
    assert len([line for line in said.splitlines() if " money " in line]) == 2  # by budget, and the Pareto set
    [suite] = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["suites"]
    less, all_ = suite["comparison"]["points"]
    [run] = tmp_path.glob("**/*.db")
    paid = ww.curve(run).lines["run"].budgets["money"][0]
    assert all_["money"] == pytest.approx(paid)
    assert 0 < less["money"] < paid
    assert suite["comparison"]["pareto"][0]["money"] > 0
