"""Curves, their comparison and figures, from run files and recorded generations."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import widthwise
from tests.evals.made_runs import STRATEGY, made_run
from widthwise.cli.app import app
from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.measure.curves import curve, lines
from widthwise.evals.measure.equal_budgets import against_best, at_budget, pareto, points
from widthwise.evals.measure.estimators import largest_at_k
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.views.plots import draw, save

MIXED = [["1", "1", "2", None], ["1", "2", "2", "2"], ["1", "1", "1", "1"], ["3", None, None, "4"]]


def recording(path: Path, answers: list[list[str | None]], labelled: bool = True) -> Path:
    rows = []
    for i, row in enumerate(answers):
        samples = [{"text": f"so {a}", "answer": a} | ({"correct": a == "1"} if labelled else {}) for a in row]
        rows.append({"problem_id": f"p{i}", "problem": "Q?", "answer": "1", "samples": samples})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_run_has_its_own_point_and_a_line_per_method(tmp_path: Path) -> None:
    found = curve(made_run(tmp_path / "a.db", MIXED))
    assert list(found.lines) == ["run", "pass", "maj"]
    assert found.lines["run"].accuracy.tolist() == [0.5]
    assert found.lines["pass"].accuracy[[0, -1]].tolist() == [pytest.approx(7 / 16), 0.75]
    assert found.lines["maj"].accuracy[-1] == pytest.approx(0.5)
    assert np.all(found.lines["pass"].low <= found.lines["pass"].accuracy)
    assert np.all(found.lines["pass"].high >= found.lines["pass"].accuracy)


def test_the_budget_of_k_samples_is_exact(tmp_path: Path) -> None:
    line = curve(made_run(tmp_path / "a.db", MIXED)).lines["maj"]
    length = len("Think.\n\nThe answer is \\boxed{1}.")
    longer = length + len("None") - 1
    rows = np.array([[longer if a is None else length for a in row] for row in MIXED], float)
    np.testing.assert_allclose(line.budgets["samples"], [1, 2, 3, 4])
    np.testing.assert_allclose(line.budgets["tokens"], rows.mean() * np.arange(1, 5))
    np.testing.assert_allclose(line.budgets["sequential"], largest_at_k(rows).mean(axis=0))


def test_a_token_budget_buys_whole_samples_of_each_problem_in_their_order(tmp_path: Path) -> None:
    long = curve(made_run(tmp_path / "a.db", MIXED), methods=["maj", "short:1"])
    brief = curve(made_run(tmp_path / "b.db", MIXED, text="\\boxed{%s}"), methods=["maj"])
    each = len("Think.\n\nThe answer is \\boxed{1}.")

    bought = at_budget(points([long], "tokens"), 3 * each, [long], "tokens")
    spent = {p.method: p for p in bought if p.limit is not None}
    assert spent["maj"].scores.tolist() == [1, 0, 1, 0]
    assert spent["maj"].budget == pytest.approx((3 * 3 * each + 2 * each + 3) / 4)  # a third sample may not fit
    assert spent["short:1"].scores.tolist() == [1, 1, 1, 0]
    found = at_budget(points([long, brief], "tokens"), each - 1, [long, brief], "tokens")
    cut = [p for p in found if not p.follows]
    assert {p.method for p in cut} == {"maj", "short:1"}
    assert all("one trace alone is longer on 100 %" in p.marked and not p.scores.any() for p in cut)
    assert not [v for v in against_best(found) if not (v.better.follows and v.other.follows)]


def test_waiting_for_the_shortest_costs_what_all_subsets_say() -> None:
    from itertools import combinations

    tokens = np.array([3.0, 10.0, 4.0, 7.0, 1.0])
    pool = SamplePool("p", np.arange(5), np.ones(5), tokens, np.ones(5, bool))
    budgets = lines([pool], ["short:2"], replicates=1)["short:2"].budgets
    for k in range(1, 6):
        ends = [np.sort(tokens[list(s)])[min(2, k) - 1] for s in combinations(range(5), k)]
        spent = [np.minimum(tokens[list(s)], e).sum() for s, e in zip(combinations(range(5), k), ends, strict=True)]
        assert budgets["tokens"][k - 1] == pytest.approx(np.mean(spent))
        assert budgets["sequential"][k - 1] == pytest.approx(np.mean(ends))


def test_a_recording_needs_no_labels_where_it_has_references(tmp_path: Path) -> None:
    labelled, bare = (curve(recording(tmp_path / f"{w}.jsonl", MIXED, w)) for w in (True, False))
    for name in ("pass", "maj"):
        np.testing.assert_array_equal(labelled.lines[name].accuracy, bare.lines[name].accuracy)
    assert "tokens" not in bare.lines["maj"].budgets


def test_answers_vote_by_meaning_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    samples = [
        {"text": "", "answer": a, "correct": r}
        for a, r in (("0.5", True), ("1/2", True), ("7", False), ("7", False), ("\\frac12", True))
    ]
    path.write_text(json.dumps({"problem_id": "p", "problem": "Q?", "answer": "0.5", "samples": samples}))
    assert curve(path).lines["maj"].accuracy[-1] == pytest.approx(1.0)
    assert curve(path, grouping="spelling").lines["maj"].accuracy[-1] == pytest.approx(0.0)


@pytest.mark.parametrize("suffix", [".jsonl", ".db"])
def test_a_grader_judges_anew_and_stores_nothing(tmp_path: Path, suffix: str) -> None:
    """60 for 60 %: accepted unless the grader is told otherwise. Percentages and numbers never vote together."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".db":
        made_run(path, [["1", "100", "1\\%", "1"]], text="The answer is \\boxed{%s}.")
    else:
        samples = [{"text": f"\\boxed{{{a}}}", "correct": False} for a in ("1", "100", "1\\%", "1")]
        path.write_text(json.dumps({"problem_id": "p", "problem": "Q?", "answer": "1", "samples": samples}))
    before = path.read_bytes()
    as_stored = curve(path).lines["pass"].accuracy[0]
    assert as_stored == pytest.approx(0.5 if suffix == ".db" else 0.0)
    assert curve(path, grader=MathGrader()).lines["pass"].accuracy[0] == pytest.approx(0.75)
    assert curve(path, grader=MathGrader(percent=False)).lines["pass"].accuracy[0] == pytest.approx(0.5)
    assert widthwise.curve(path, grader="math(percent=False)").lines["pass"].accuracy[0] == pytest.approx(0.5)
    command = ["curve", str(path), "--json", "--grader", "math(percent=True)"]
    (measured,) = json.loads(CliRunner().invoke(app, command).stdout)["curves"]
    shown = dict(zip(measured["points"]["method"][::-1], measured["points"]["accuracy"][::-1], strict=True))
    assert shown["pass"] == pytest.approx(0.75)
    assert path.read_bytes() == before


def test_likelihoods_of_long_traces_weigh_by_their_ratio() -> None:
    likelihoods = {"sum_logprob": np.array([-2000.0, -1990.0, -2003.0])}
    pool = SamplePool("p", np.array([0, 1, 0]), np.array([0.0, 1.0, 0.0]), np.ones(3), np.ones(3, bool), likelihoods)
    found = lines([pool], ["weighted:sum_logprob"], replicates=10)
    assert found["weighted:sum_logprob"].accuracy[-1] == pytest.approx(1.0)


def test_recorded_scores_choose_and_weigh(tmp_path: Path) -> None:
    likelihoods = ["weighted:mean_logprob", "weighted:sum_logprob"]
    found = curve(made_run(tmp_path / "a.db", MIXED), methods=["best:reward", "best:-reward", *likelihoods])
    assert found.lines["best:reward"].accuracy[-1] == pytest.approx(1 / 4)
    assert found.lines["best:-reward"].accuracy[-1] == pytest.approx(3 / 4)
    assert found.lines["weighted:mean_logprob"].accuracy[-1] == pytest.approx(0.5)
    assert found.lines["weighted:sum_logprob"].accuracy[-1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("strategy", "finish", "why"),
    [
        ("dvts(n=4)", "stop", "dvts are not independent"),
        (STRATEGY, "pruned", "stopped online"),
        (STRATEGY, "budget", "budget cut"),
    ],
)
def test_dependent_samples_are_not_sub_sampled(tmp_path: Path, strategy: str, finish: str, why: str) -> None:
    found = curve(made_run(tmp_path / "a.db", MIXED, strategy=strategy, finish=finish))  # type: ignore[arg-type]
    assert list(found.lines) == ["run"]
    assert why in found.notes[0]


def test_a_run_without_a_finished_problem(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished problem"):
        curve(made_run(tmp_path / "a.db", [], open_problems=3))


def test_one_problem_has_no_interval(tmp_path: Path) -> None:
    found = curve(made_run(tmp_path / "a.db", MIXED[:1], open_problems=1))
    assert np.isnan(found.lines["maj"].low).all()
    assert any("one problem" in note for note in found.notes)
    assert any("1 of 2 problems are not finished yet" in note for note in found.notes)


def test_all_answers_missing(tmp_path: Path) -> None:
    found = curve(made_run(tmp_path / "a.db", [[None] * 4, [None] * 4]))
    assert found.lines["maj"].accuracy.tolist() == [0] * 4
    assert found.lines["maj"].high[-1] > 0.5
    assert any("no sample states a readable answer" in note for note in found.notes)


def test_a_problem_whose_requests_all_failed_stays_in_the_denominator(tmp_path: Path) -> None:
    whole, less = (curve(made_run(tmp_path / f"{n}.db", MIXED + [[]] * n)) for n in (0, 1))
    np.testing.assert_allclose(less.lines["maj"].accuracy, whole.lines["maj"].accuracy * 4 / 5)
    np.testing.assert_allclose(less.lines["maj"].budgets["tokens"], whole.lines["maj"].budgets["tokens"])


def test_ungraded_answers_are_not_taken_for_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="widthwise grade"):
        curve(made_run(tmp_path / "a.db", MIXED, graded=False))


def test_mixed_suites_are_not_compared(tmp_path: Path) -> None:
    curves = [curve(made_run(tmp_path / f"{s}.db", MIXED, suite=s, problem=s)) for s in ("one", "two")]
    with pytest.raises(UsageError, match=r"one, 4 problems.*two, 4 problems.*0 problems in common"):
        points(curves, "samples")


def test_a_truncated_run_file(tmp_path: Path) -> None:
    path = made_run(tmp_path / "a.db", MIXED * 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WidthwiseError, match="damaged or cut short"):
        curve(path)


def test_a_truncated_recording(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.jsonl", MIXED)
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UsageError, match="line 4: not valid JSON"):
        curve(path)


@pytest.mark.parametrize("word", ["median", "best:", "short:0", "short:x"])
def test_unknown_methods_are_named(tmp_path: Path, word: str) -> None:
    with pytest.raises(UsageError, match="unknown method"):
        curve(made_run(tmp_path / "a.db", MIXED), methods=[word])


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        *(("level", value, "level must be a number between 0 and 1, not ") for value in (2, 0, 1, "x", None, np.nan)),
        *(("replicates", value, "replicates must be a whole number of at least 1") for value in ("x", 0, 2.5, None)),
        *(("seed", value, "seed must be a whole number of at least 0") for value in ("x", -1, None)),
        *(("grouping", value, "grouping must be one of meaning, spelling, not ") for value in ("x", 3, None)),
    ],
)
def test_impossible_arguments_are_named(tmp_path: Path, argument: str, value: Any, said: str) -> None:
    from widthwise import measuring

    run = made_run(tmp_path / "a.db", MIXED)
    for measured in (curve, measuring.curve):
        with pytest.raises(UsageError, match=said):
            measured(run, **{argument: value})


def test_an_unknown_score_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no sample of .* has a score 'prm'"):
        curve(made_run(tmp_path / "a.db", MIXED), methods=["best:prm"])


def test_runs_are_compared_at_equal_budgets(tmp_path: Path) -> None:
    weak = made_run(tmp_path / "weak.db", [["2", "2", "1", "3"]] * 12, strategy="single()")
    strong = made_run(tmp_path / "strong.db", [["1", "1", "1", "3"]] * 12)
    found = points([curve(weak), curve(strong)], "samples")
    best, *others = at_budget(found, 4)
    assert best.label == STRATEGY
    assert {p.method for p in (best, *others)} == {"run", "maj"}
    assert [p.accuracy for p in pareto(found)] == sorted({p.accuracy for p in pareto(found)})
    against = against_best(at_budget(found, 4))
    assert any(v.other.label == "single()" and v.difference.low > 0 and v.difference.p < 0.05 for v in against)


def test_a_table_has_columns_of_one_length(tmp_path: Path) -> None:
    columns = curve(made_run(tmp_path / "a.db", MIXED)).table()
    assert {len(values) for values in columns.values()} == {9}
    assert columns["method"][0] == "run"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_figures_are_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    found = curve(made_run(tmp_path / "a.db", MIXED))
    for name in ("one", "two"):
        save(draw([found], "tokens"), tmp_path / f"{name}{suffix}")
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_figure_needs_an_axis_that_was_measured(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wall-clock"):
        draw([curve(recording(tmp_path / "a.jsonl", MIXED))], "seconds")
    with pytest.raises(UsageError, match="must end in"):
        save(draw([curve(recording(tmp_path / "a.jsonl", MIXED))]), tmp_path / "a.gif")


def test_the_command_prints_a_table_json_and_a_figure(tmp_path: Path) -> None:
    import typer

    from widthwise.cli.measure import draw_curve

    app = typer.Typer()
    app.command()(draw_curve)
    runs = [str(made_run(tmp_path / "a.db", MIXED)), str(made_run(tmp_path / "b.db", MIXED, strategy="single()"))]
    said = CliRunner().invoke(app, [*runs, "--out", str(tmp_path / "c.svg")])
    assert said.exit_code == 0
    assert "at equal budgets (tokens)" in said.output
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")
    values = json.loads(CliRunner().invoke(app, [runs[0], "--json"]).stdout)
    assert values["curves"][0]["points"]["accuracy"][0] == 0.5


def test_the_facade_measures_too(tmp_path: Path) -> None:
    from widthwise import measuring

    run = made_run(tmp_path / "a.db", MIXED)
    np.testing.assert_array_equal(measuring.curve(run, seed=3).lines["maj"].low, curve(run, seed=3).lines["maj"].low)


@pytest.mark.slow
def test_laws_are_fitted_and_checked_on_the_last_point(tmp_path: Path) -> None:
    import typer

    from widthwise.cli.measure import draw_curve

    app = typer.Typer()
    app.command()(draw_curve)
    answers = [[str(1 + (i * j) % (2 + i % 5)) for j in range(16)] for i in range(1, 13)]
    said = CliRunner().invoke(app, [str(made_run(tmp_path / "a.db", answers)), "--laws"])
    assert said.exit_code == 0, said.output
    assert re.search(r"^pass +power +a ", said.output, re.MULTILINE)
    assert re.search(r"^pass +beta +alpha ", said.output, re.MULTILINE)
    assert "Law" not in said.output
    assert "next sample adds under 1 point" in said.output
