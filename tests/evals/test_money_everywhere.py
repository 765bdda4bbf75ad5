"""Money stands wherever tokens do, and where it is not known a sentence says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.test_report import blocks
from widthwise.cli.app import app
from widthwise.core.session.ledger import Ledger, Spending
from widthwise.core.session.prices import Price, money, unknown
from widthwise.evals.measure.equal_budgets import at_budget, points
from widthwise.evals.views.report import write_report

REPLIES = ["so it is \\boxed{7}", "\\boxed{7}", "perhaps it is \\boxed{5}", "\\boxed{5}"]
STRATEGIES = ["best_of_n(n=8) | majority_vote()", "best_of_n(n=8, width=1) | short(m=8) | majority_vote()"]


def saying() -> ww.FunctionBackend:
    """A model whose samples have different lengths, and which computes each prompt anew."""
    return ww.FunctionBackend(lambda messages, seed: REPLIES[seed % len(REPLIES)])


MODEL = f"{Path(__file__)}:saying"


@pytest.fixture
def suite(tmp_path: Path) -> str:
    file = tmp_path / "suite.jsonl"
    file.write_text("".join(f'{{"id": "p{i}", "problem": "{i}?", "answer": "7"}}\n' for i in range(4)))
    return str(file)


def ran(*command: Any) -> str:
    done = CliRunner().invoke(app, list(map(str, command)))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_prices_given_later_price_what_a_finished_sweep_has_spent(suite: str, tmp_path: Path) -> None:
    command = ["sweep", "--suite", suite, "--model", MODEL, "--budgets", "2,4", "--folder", tmp_path / "runs"]
    command += ["--strategy", "best_of_n()", "--strategy", "best_of_n(width=1) | short(m=8)"]
    assert "money is not known: no prices were given (--price)" in ran(*command)
    said = ran(*command, "--price", "1,4")
    assert said.count(" money ") == 2  # by budget, and the Pareto set
    assert "money is not known" not in said
    [found] = json.loads(ran(*command, "--price", "1,4", "--json"))["suites"]
    assert all(each["money"] > 0 for each in found["comparison"]["points"] + found["comparison"]["pareto"])
    assert found["notes"] == []
    page = blocks(tmp_path / "runs" / "suite.html")["main"]
    assert all(each["money"] > 0 for each in page["comparison"]["points"] + page["comparison"]["pareto"])
    assert all(of["money"] > 0 and dict(of["costs"])["money"] > 0 for of in page["runs"])


def test_a_python_sweep_prices_what_is_there(suite: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"model": saying(), "folder": tmp_path}
    [free] = ww.sweep(["best_of_n"], [suite], [2, 4], **given).curves
    assert "money" not in free.lines["run"].budgets
    assert free.notes == ("money is not known: no prices were given (--price)",)
    done = ww.sweep(["best_of_n"], [suite], [2, 4], prices=(1, 4), **given)
    [run] = done.runs
    whole = ww.curve(run, prices=(1, 4)).lines["run"].budgets["money"]
    assert done.table()["money"] == pytest.approx([whole[0] / 2, whole[0]])
    assert done.part(done.suites[0]).prices == {"": Price(1, 4)}


def test_equal_flops_bought_from_shared_samples_cost_what_runs_of_their_own_pay(suite: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"axis": "flops", "model": saying(), "flops_per_token": 1000.0, "prices": (1, 4)}
    done = ww.sweep(STRATEGIES, [suite], [20_000, 60_000, 120_000], folder=tmp_path / "runs", **given)
    shared, own = (curve.lines["run"] for curve in done.curves)
    assert [cell.shared is not None for cell in done.plan.cells] == [True] * 3 + [False] * 3
    assert (own.budgets["money"] > 0).all()
    assert shared.budgets["money"] == pytest.approx(own.budgets["money"])
    curve = ww.curve(done.runs[0])
    bought = {p.method: p for p in at_budget(points([curve], "flops"), 60_000, [curve], "flops")}
    assert bought["maj"].money == pytest.approx(own.budgets["money"][1])


def test_samples_that_are_not_awaited_cost_only_what_was_sampled_of_them(suite: str, tmp_path: Path) -> None:
    run = ww.evaluate("best_of_n(n=8)", suite, model=saying(), run=tmp_path / "a.db", prices=(1, 4))
    line = ww.curve(run, methods=["short:2", "maj"]).lines["short:2"]
    prompt = np.mean([outcome.ledger.prompt_computed / 8 for outcome in run.outcomes])
    assert 1e6 * line.budgets["money"] == pytest.approx(prompt * line.k + 4 * line.budgets["tokens"])


def test_a_run_its_problems_and_a_single_answer(suite: str, tmp_path: Path) -> None:
    free = ww.evaluate("best_of_n(n=2)", suite, model=saying(), run=tmp_path / "a.db")
    assert (free.summary.money, free.summary.no_money) == (None, "no prices were given (--price)")
    assert free.table()["money"] == [None] * 4
    paid = ww.evaluate("best_of_n(n=2)", suite, model=saying(), run=tmp_path / "a.db", prices=(1, 4))
    assert (paid.summary.money or 0) > 0
    assert paid.summary.no_money == ""
    assert sum(paid.table()["money"]) == pytest.approx(paid.summary.money)
    answer = ww.solve("1?", "best_of_n(n=2)", saying(), prices=(1, 4))
    assert answer.money == money(answer.ledger, {"": Price(1, 4)})
    assert ww.solve("1?", "best_of_n(n=2)", saying()).money is None


def test_commands_say_why_money_is_not_known(suite: str, tmp_path: Path) -> None:
    run, why = tmp_path / "a.db", "not known: no prices were given (--price)"
    command = ["eval", suite, "--model", MODEL, "--strategy", "best_of_n(n=2)", "--run", run]
    assert why in ran(*command)
    assert json.loads(ran(*command, "--json"))["no_money"] == "no prices were given (--price)"
    for measured in ("compare", "curve"):
        assert why in ran(measured, run)
        assert "not known" not in ran(measured, run, "--price", "1,4")
        assert " money" in ran(measured, run, "--price", "1,4")
    assert json.loads(ran("compare", run, "--json"))["runs"][0]["no_money"] == "no prices were given (--price)"
    assert any(why in note for note in json.loads(ran("curve", run, "--json"))["curves"][0]["notes"])
    ran("report", run, "--out", tmp_path / "a.html")
    assert dict(blocks(tmp_path / "a.html")["main"]["runs"][0]["summary"])["money"] == why
    ran("report", run, "--out", tmp_path / "a.html", "--price", "1,4")
    assert blocks(tmp_path / "a.html")["main"]["runs"][0]["money"] > 0


def test_the_page_keeps_tiny_sums_of_money(suite: str, tmp_path: Path) -> None:
    run = ww.evaluate("best_of_n(n=2)", suite, model=saying(), run=tmp_path / "a.db", prices=(1e-4, 4e-4))
    write_report([run.path], tmp_path / "a.html")
    [line] = [of for of in blocks(tmp_path / "a.html")["main"]["curves"][0]["lines"] if of["method"] == "maj"]
    assert line["budgets"]["money"] == pytest.approx(ww.curve(run).lines["maj"].budgets["money"], rel=1e-5)


def test_imported_generations_cost_an_unknown_amount_and_not_nothing(tmp_path: Path) -> None:
    rows = tmp_path / "a.jsonl"
    rows.write_text('{"problem_id": "p", "problem": "1+1?", "answer": "2", "samples": [{"text": "\\\\boxed{2}"}]}\n')
    ran("import", rows, tmp_path / "a.db")
    why = "money is not known: recorded generations do not say what their prompts cost"
    assert why in ww.curve(tmp_path / "a.db").notes
    with pytest.raises(ww.UsageError, match="do not say what their prompts cost"):
        ww.curve(tmp_path / "a.db", prices=(1, 4))


@pytest.mark.parametrize(
    ("spent", "prices", "why"),
    [
        (Ledger(sampled=5, prompt_computed=5), {}, "no prices were given (--price)"),
        (Ledger(sampled=5), {"": Price(1, 4)}, "the tokens of its prompts were not counted"),
        (Ledger(sampled=5), {"": Price(0, 4)}, ""),
        (Ledger(), {"": Price(1, 4)}, ""),
        (Ledger(models={"a": Spending(1, 5, 0, 5)}), {"b": Price(1, 4)}, "there is no price for a"),
    ],
)
def test_why_money_is_not_known(spent: Ledger, prices: dict[str, Price], why: str) -> None:
    assert unknown(spent, prices) == why
    assert (money(spent, prices) is None) == bool(why)
