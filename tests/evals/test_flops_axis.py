"""The axis of FLOPs: sweeps, curves, comparisons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise as ww
from widthwise.cli.app import app
from widthwise.core.errors import UsageError
from widthwise.core.model_shape import ModelShape
from widthwise.evals.measure.curves import curve
from widthwise.evals.measure.equal_budgets import at_budget, points
from widthwise.evals.store.recorded_shape import shape_in

SHAPE = ModelShape(1000)
REPLIES = ["so it is \\boxed{7}", "\\boxed{7}", "perhaps it is \\boxed{5}", "\\boxed{5}"]


def saying() -> ww.FunctionBackend:
    """A model whose samples have different lengths and answers."""
    return ww.FunctionBackend(lambda messages, seed: REPLIES[seed % len(REPLIES)])


@pytest.fixture
def suite(tmp_path: Path) -> str:
    file = tmp_path / "suite.jsonl"
    file.write_text("".join(f'{{"id": "p{i}", "problem": "{i}?", "answer": "7"}}\n' for i in range(4)))
    return str(file)


def test_shared_samples_and_runs_of_their_own_answer_alike(suite: str, tmp_path: Path) -> None:
    """Both follow the rule of launches; a pruner that does nothing has the second strategy run by itself."""
    budgets = [20_000, 60_000, 120_000]
    strategies = ["best_of_n(n=8) | majority_vote()", "best_of_n(n=8, width=1) | short(m=8) | majority_vote()"]
    given = {"axis": "flops", "model": saying(), "folder": tmp_path / "runs", "flops_per_token": 1000.0}
    done = ww.sweep(strategies, [suite], budgets, **given)  # type: ignore[arg-type]
    shared, own = done.curves
    assert [cell.shared is not None for cell in done.plan.cells] == [True] * 3 + [False] * 3
    assert shared.lines["run"].accuracy.tolist() == own.lines["run"].accuracy.tolist()
    assert shared.lines["run"].scores.tolist() == own.lines["run"].scores.tolist()
    assert (np.diff(shared.lines["run"].budgets["flops"]) > 0).all()
    assert (shared.lines["run"].budgets["flops"] <= budgets).all()
    # This backend computes the prompt of every sample anew, which is charged, but not what the limit counts.
    assert (own.lines["run"].budgets["flops"][1:] > shared.lines["run"].budgets["flops"][1:]).all()
    assert done.plot().axes[0].get_xlabel() == "FLOPs per problem"


def test_a_curve_knows_what_k_samples_cost(suite: str, tmp_path: Path) -> None:
    model, strategy = saying(), "best_of_n(n=8) | majority_vote()"
    run = ww.evaluate(strategy, suite, model=model, run=tmp_path / "a.db", flops_per_token=1000.0)
    found = curve(run.path)
    line = found.lines["maj"]
    ideal = np.mean([o.ledger.prompt_ideal for o in run.outcomes])
    assert line.budgets["flops"] == pytest.approx(1000 * (ideal + line.budgets["tokens"]))
    spent = np.mean([o.ledger.flops for o in run.outcomes])
    assert found.lines["run"].budgets["flops"].tolist() == [spent]
    bought = {p.method: p for p in at_budget(points([found], "flops"), 60_000, [found], "flops")}
    assert bought["maj"].limit == 60_000
    assert bought["maj"].budget <= 60_000
    assert set(run.ledger.asdict()) >= {"flops", "sampled"}


def test_on_the_command_line(suite: str, tmp_path: Path) -> None:
    made = f"{Path(__file__).parent / 'test_flops_axis.py'}:saying"
    a, b, free = (str(tmp_path / f"{name}.db") for name in ("a", "b", "free"))
    runner = CliRunner()
    for run, strategy, more in (
        (a, "best_of_n(n=8)", ["--flops-per-token", "1000"]),
        (b, "single()", ["--flops-per-token", "1000", "--budget-flops", "60000"]),
        (free, "single()", []),
    ):
        done = runner.invoke(app, ["eval", suite, "--model", made, "--strategy", strategy, "--run", run, *more])
        assert done.exit_code == 0, done.output
        assert ("FLOPs " in done.output) == bool(more)
    said = json.loads(runner.invoke(app, ["curve", a, b, "--axis", "flops", "--json"]).stdout)
    assert said["comparison"]["axis"] == "flops"
    assert all(flops > 0 for each in said["curves"] for flops in each["points"]["flops"])
    compared = json.loads(runner.invoke(app, ["compare", a, b, free, "--json"]).stdout)
    assert ["flops" in each["costs"] for each in compared["runs"]] == [True, True, False]
    assert "FLOPs" in runner.invoke(app, ["compare", a, b]).stdout
    assert runner.invoke(app, ["report", a, b, "--out", str(tmp_path / "r.html")]).exit_code == 0
    with pytest.raises(UsageError, match=r"measured FLOPs per problem, because the shape .* --flops-per-token"):
        curve(free).plot("flops")
    assert runner.invoke(app, ["curve", free, "--axis", "flops"]).exit_code != 0


@pytest.mark.parametrize(
    "said", [[], {"weights": 1}, {"weights": 1, "attended": -1, "head": 0}, {"weights": "1", "attended": 0, "head": 0}]
)
def test_a_file_may_say_anything_of_its_shape(said: object) -> None:
    with pytest.raises(UsageError, match="damaged"):
        shape_in({"shape": said})
    assert shape_in({}) is None
    assert shape_in({"shape": {"weights": 1000, "attended": 0, "head": 0}}) == SHAPE
