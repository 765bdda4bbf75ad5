"""An exported run says what drew its samples, so that samples which are not independent are not measured in parts."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import STRATEGY, made_run
from widthwise.cli.app import app
from widthwise.cli.display import _lines
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.trace.trace import Finish
from widthwise.evals.measure.pools import load
from widthwise.evals.store.exchange import export_run, import_recordings
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.recorded_rounds import UNSAID
from widthwise.evals.store.recording_rows import read_recordings
from widthwise.evals.store.store import Store
from widthwise.replaying import replay

ANSWERS = [["1", "2", "1", "1"], ["2", "1", "2", "2"]]
SEARCH = "tree_search(n=4) | majority_vote()"
ON_SEARCH = "the traces of tree_search are not independent"
SWITCHED = "some problems went on with another strategy"
SUFFIXES = pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])


def exported(run: Path, suffix: str = ".jsonl") -> Path:
    target = run.with_suffix(suffix)
    with Store.read(run) as store:
        export_run(store, target)
    return target


def imported(file: Path) -> Path:
    run = file.with_name(f"{file.stem}-imported.db")
    import_recordings(file, run)
    return run


def run_of(folder: Path, strategy: str, finish: Finish = "stop", **others: str) -> Path:
    """A run, in which the ``others``, by problem, went on with other strategies."""
    run = made_run(folder / "run.db", ANSWERS, strategy=strategy, finish=finish)
    if others:
        with Store.edit(run) as store:
            store.note({"allocation": {"strategies": others}})
    return run


@SUFFIXES
@pytest.mark.parametrize(
    ("strategy", "finish", "others", "why"),
    [
        (SEARCH, "stop", {}, ON_SEARCH),
        ("mine:drawn(n=2)", "stop", {}, "the traces of mine:drawn are not independent"),
        (STRATEGY, "stop", {"p1": SEARCH}, SWITCHED),
        (STRATEGY, "pruned", {}, "traces were stopped online"),
        (STRATEGY, "budget", {}, "the budget cut traces short"),
    ],
)
def test_an_exported_run_is_not_measured_in_parts_where_the_run_is_not(
    tmp_path: Path, suffix: str, strategy: str, finish: Finish, others: dict[str, str], why: str
) -> None:
    run = run_of(tmp_path, strategy, finish, **others)
    assert load(run).dependent.startswith(why)
    file = exported(run, suffix)
    back = imported(file)
    for each in (file, back, exported(back, suffix)):
        with pytest.raises(UsageError, match=f"{re.escape(why)}.*do not show the accuracy at smaller budgets"):
            ww.curve(each)


@SUFFIXES
def test_independent_samples_are_measured_from_an_export_as_from_the_run(tmp_path: Path, suffix: str) -> None:
    run = run_of(tmp_path, STRATEGY)
    own = ww.curve(run, methods=["pass", "maj"])
    for each in (file := exported(run, suffix), imported(file)):
        found = ww.curve(each, methods=["pass", "maj"])
        for name in ("pass", "maj"):
            assert found.lines[name].accuracy.tolist() == own.lines[name].accuracy.tolist()


def test_a_comparison_takes_no_exported_run_for_a_run_of_its_strategy(tmp_path: Path) -> None:
    file = exported(run_of(tmp_path, SEARCH))
    with pytest.raises(UsageError, match="is not a widthwise run file"):
        ww.compare(file)
    with pytest.raises(UsageError, match="holds recorded traces that no strategy has answered"):
        ww.compare(imported(file))


def test_an_export_names_the_strategy_of_its_run_and_of_a_problem_that_went_on_with_another(tmp_path: Path) -> None:
    first, second = read_recordings(exported(run_of(tmp_path, STRATEGY, p1=SEARCH)))
    assert (first.fields["strategy"], first.fields["sampler"]) == (STRATEGY, "best_of_n")
    assert "switched_to" not in first.fields
    assert second.fields["switched_to"] == SEARCH


def test_a_run_on_exported_problems_says_what_drew_its_own_samples(tmp_path: Path) -> None:
    file = exported(run_of(tmp_path, SEARCH, p1=SEARCH))
    ww.evaluate("best_of_n(n=2)", str(file), model=f"replay:{file}", run=tmp_path / "again.db")
    rows = read_recordings(exported(tmp_path / "again.db"))
    assert {row.fields["sampler"] for row in rows} == {"best_of_n"}
    assert {row.fields["dependent"] for row in rows} == {ON_SEARCH}
    assert not any("switched_to" in row.fields for row in rows)


@pytest.mark.parametrize("suffix", [".db", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("strategy", "finish", "others", "why"),
    [
        (SEARCH, "stop", {}, ON_SEARCH),
        (STRATEGY, "stop", {"p1": SEARCH}, SWITCHED),
        (STRATEGY, "pruned", {}, "traces were stopped online"),
    ],
)
def test_a_replay_of_samples_that_are_not_independent_says_so_and_so_does_what_is_made_of_it(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    suffix: str,
    strategy: str,
    finish: Finish,
    others: dict[str, str],
    why: str,
) -> None:
    file = run_of(tmp_path, strategy, finish, **others)
    file = file if suffix == ".db" else exported(file, suffix)
    said = f"the replayed traces are not independent samples: {why}"
    for name in ("again", "and again"):  # a replay of a replay, too
        run = tmp_path / f"{name}.db"
        with caplog.at_level(logging.WARNING, "widthwise"):
            found = ww.evaluate("best_of_n(n=2)", str(file), model=f"replay:{file}", run=run)
        assert said in caplog.text
        caplog.clear()
        assert found.summary.asking is not None
        assert found.summary.asking["notes"][0].startswith(said)
        assert list(ww.curve(run).lines) == ["run"]
        for each in (out := exported(run), imported(out)):
            with pytest.raises(UsageError, match=f"{re.escape(why)}.*do not show the accuracy at smaller budgets"):
                ww.curve(each)
        [standing] = ww.compare(run).standings
        assert standing.no_reliability.startswith(why)
        file = run


def test_a_replay_of_independent_samples_has_nothing_to_say(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "widthwise"):
        file = run_of(tmp_path, STRATEGY)
        run = ww.evaluate("best_of_n(n=2)", str(file), model=f"replay:{file}", run=tmp_path / "again.db")
    assert not caplog.text
    assert run.summary.asking is not None
    assert not run.summary.asking["notes"]
    assert not load(tmp_path / "again.db").dependent


def test_a_sweep_shares_no_replayed_samples_that_are_not_independent(tmp_path: Path) -> None:
    file = run_of(tmp_path, SEARCH)
    model, folder = f"replay:{file}", tmp_path / "sweep"
    with pytest.raises(UsageError, match=f"does not show what best_of_n.* at smaller budgets: {ON_SEARCH}"):
        ww.sweep(["best_of_n() | majority_vote()"], [str(file)], [1, 2], model=model, folder=folder)
    assert not folder.exists() or not list(folder.iterdir())
    own = ["best_of_n(width=2) | esc(window=1) | majority_vote()"]
    assert len(ww.sweep(own, [str(file)], [1, 2], model=model, folder=folder).runs) == 2


def test_rows_of_several_runs_on_one_problem_keep_what_each_says(tmp_path: Path) -> None:
    made = {
        "plain": made_run(tmp_path / "plain.db", ANSWERS),
        "search": made_run(tmp_path / "search.db", ANSWERS, strategy=SEARCH),
        "switched": run_of(tmp_path, STRATEGY, p0=SEARCH),
    }
    text = {name: exported(run).read_text() for name, run in made.items()}
    both = tmp_path / "both.jsonl"
    for names, why in ((("plain", "search"), ON_SEARCH), (("plain", "switched"), SWITCHED), (("plain", "plain"), "")):
        for first, second in (names, names[::-1]):
            both.write_text(text[first] + text[second])
            assert load(both).dependent[: len(SWITCHED)] == why[: len(SWITCHED)]


# -- draws whose ends their samples decided --------------------------------------------------------------------------

STOPPED = "what samples showed or cost decided how many there are, so they are not a fair sample"
UNEVEN = [["1", "1"], ["2", "1", "2", "2"]]


@pytest.mark.parametrize(
    ("strategy", "answers", "why"),
    [
        ("best_of_n(n=4, width=1) | esc(window=2) | majority_vote()", UNEVEN, STOPPED),
        ("best_of_n(n=4) | budget(tokens=90) | majority_vote()", UNEVEN, STOPPED),
        ("best_of_n(n=4) | mine:stop() | majority_vote()", UNEVEN, STOPPED),
        ("best_of_n(n=4, width=1) | esc(window=2) | majority_vote()", ANSWERS, ""),
        (STRATEGY, UNEVEN, ""),  # requests failed
    ],
)
def test_samples_that_decided_how_many_there_are_are_not_measured_in_parts(
    strategy: str, answers: list[list[str | None]], why: str, tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run.db", answers, strategy=strategy)
    file = exported(run)
    back = imported(file)
    for each in (run, file, back, exported(back)):
        assert load(each).dependent == why
    assert [row.fields.get("dependent") for row in read_recordings(file)] == [why or None, None]
    figures, [standing] = ww.Run.read(run).summary, ww.compare(run)
    known = (figures.mean_accuracy, figures.pass_at_n, standing.one_sample, standing.coverage)
    assert {each is None for each in known} == {bool(why)}
    assert standing.no_reliability == why
    assert ("not known: " + why in dict(_lines(figures))["one sample"]) == bool(why)


@pytest.mark.parametrize(
    ("strategy", "drawn", "why"),
    [
        ("best_of_n(n=4, width=1) | esc(window=2) | majority_vote()", 2, STOPPED),
        ("best_of_n(n=4) | budget(tokens=90) | majority_vote()", 3, STOPPED),
        ("best_of_n(n=4) | budget(tokens=90, samples=2) | majority_vote()", 2, ""),
        ("best_of_n(n=4) | budget(tokens=90, samples=3) | majority_vote()", 2, STOPPED),
        ("best_of_n(n=4) | mine:stop() | majority_vote()", 2, STOPPED),
        ("best_of_n(n=4) | budget(tokens=90) | majority_vote()", 4, ""),
        ("best_of_n(n=4) | budget(samples=2) | majority_vote()", 2, ""),
        ("single() | budget(tokens=90)", 1, ""),
        (STRATEGY, 2, ""),  # requests failed
    ],
)
@pytest.mark.parametrize("problems", [1, 3])
def test_draws_that_all_ended_early_alike_are_seen(
    problems: int, strategy: str, drawn: int, why: str, tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run.db", [["1"] * drawn] * problems, strategy=strategy)
    assert load(run).dependent == why
    assert {row.fields.get("dependent") for row in read_recordings(exported(run))} == {why or None}
    assert (ww.Run.read(run).summary.mean_accuracy is None) == bool(why)


@pytest.mark.parametrize("budget", [{"suite_budget_tokens": 100}, {"budget": ww.Budget(samples=9)}])
def test_what_is_shared_out_alike_is_a_fair_sample(budget: dict[str, Any], tmp_path: Path) -> None:
    given = {"model": ww.FunctionBackend(lambda messages, seed: "it is \\boxed{7}"), "run": tmp_path / "a.db"}
    run = ww.evaluate("best_of_n(n=40)", [{"problem": "1?", "answer": "7"}], **given, **budget)
    assert 1 < len(run.outcomes[0].leaves) < 40
    assert not load(run.path).dependent


def test_a_vote_that_is_decided_on_the_only_problem_ends_its_draw_early(tmp_path: Path) -> None:
    given = {"model": ww.FunctionBackend(lambda messages, seed: "it is \\boxed{7}"), "run": tmp_path / "a.db"}
    strategy = "best_of_n(n=16, width=1) | stop_when_decided() | majority_vote()"
    run = ww.evaluate(strategy, [{"problem": "1?", "answer": "7"}], **given)
    assert len(run.outcomes[0].leaves) == 9
    assert list(ww.curve(run, methods=["pass", "maj"]).lines) == ["run"]


def saying(messages: object, seed: int) -> str:
    """One of five samples is right."""
    return "so it is \\boxed{7}" if seed % 5 == 0 else f"it is \\boxed{{{seed % 3}}}"


def test_a_pool_that_ends_draws_when_answers_are_found_does_not_say_what_a_sample_is_worth(tmp_path: Path) -> None:
    problems = [{"problem": f"{i}?", "answer": "7"} for i in range(6)]
    given = {"model": ww.FunctionBackend(saying), "suite_budget_tokens": 250}
    run = ww.evaluate("best_of_n(n=12) | majority_vote()", problems, run=tmp_path / "a.db", **given)
    drawn = {len(outcome.leaves) for outcome in run.outcomes}
    assert len(drawn) > 1
    assert {leaf.finish for outcome in run.outcomes for leaf in outcome.leaves} == {"stop"}
    assert load(run.path).dependent == STOPPED
    assert list(ww.curve(run, methods=["pass"]).lines) == ["run"]
    assert run.summary.mean_accuracy is None


def rambling(messages: object, seed: int) -> str:
    return f"{'so ' * (seed % 9)}it is \\boxed{{{seed % 9}}}"


@pytest.mark.parametrize(
    "given",
    [
        {"strategy": "best_of_n(n=12) | majority_vote()", "budget": ww.Budget(tokens=40)},
        {"strategy": "best_of_n(n=12) | budget(tokens=40) | majority_vote()"},
    ],
)
def test_a_budget_that_ends_draws_after_some_tokens_does_not_say_what_a_sample_is_worth(
    given: dict[str, Any], tmp_path: Path
) -> None:
    problems = [{"problem": f"{i}?", "answer": "7"} for i in range(6)]
    run = ww.evaluate(suite=problems, model=ww.FunctionBackend(rambling), run=tmp_path / "a.db", **given)
    assert len({len(outcome.leaves) for outcome in run.outcomes}) > 1
    assert load(run.path).dependent == STOPPED
    assert run.summary.mean_accuracy is None


def failing(messages: object, seed: int) -> str:
    """One of three requests fails, on problems that end early and on others."""
    if seed % 3 == 0:
        raise BackendError("the server is out of order")
    return f"it is \\boxed{{{seed % 3}}}"


@pytest.mark.parametrize(
    ("strategy", "budget"),
    [
        ("best_of_n(n=6) | esc(window=6) | majority_vote()", {}),
        ("best_of_n(n=6) | majority_vote()", {"budget": ww.Budget(tokens=9_000)}),
        ("best_of_n(n=6) | majority_vote()", {"suite_budget_tokens": 9_000}),
    ],
)
def test_failed_requests_make_no_problem_short(strategy: str, budget: dict[str, Any], tmp_path: Path) -> None:
    problems = [{"problem": f"{i}?", "answer": "1"} for i in range(6)]
    run = ww.evaluate(strategy, problems, model=ww.FunctionBackend(failing), run=tmp_path / "a.db", **budget)
    assert len(run.failures) > 1
    assert not load(run.path).dependent


def test_of_a_draw_with_failed_requests_it_is_seen_that_it_ended_early(tmp_path: Path) -> None:
    problems = [{"problem": f"{i}?", "answer": "1"} for i in range(6)]
    strategy = "best_of_n(n=12, width=1) | esc(window=2) | majority_vote()"
    run = ww.evaluate(strategy, problems, model=ww.FunctionBackend(failing), run=tmp_path / "a.db")
    early = {o.problem.id for o in run.outcomes if len(o.leaves) < 12}
    assert early & {o.problem.id for o in run.failures}
    told = {row.problem.id for row in read_recordings(exported(run.path)) if row.fields.get("dependent") == STOPPED}
    assert told == early


def test_of_rows_of_one_problem_one_that_ended_early_tells_of_all(tmp_path: Path) -> None:
    stopped = made_run(tmp_path / "a.db", UNEVEN, strategy="best_of_n(n=4, width=1) | esc(window=2)")
    plain = made_run(tmp_path / "b.db", ANSWERS)
    both = tmp_path / "both.jsonl"
    for first, second in ((stopped, plain), (plain, stopped)):
        both.write_text(exported(first).read_text() + exported(second).read_text())
        assert load(both).dependent == STOPPED


@pytest.mark.parametrize(
    ("suite_budget", "strategy", "why"),
    [
        ({}, "best_of_n(n=4, width=1) | esc(window=2) | majority_vote()", f"not known: {STOPPED}"),
        ({"p1": SEARCH}, STRATEGY, f"not known: {SWITCHED}"),
    ],
)
def test_grading_a_run_says_why_it_is_not_known_what_samples_reach(
    suite_budget: dict[str, str], strategy: str, why: str, tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run.db", UNEVEN, strategy=strategy)
    if suite_budget:
        with Store.edit(run) as store:
            store.note({"allocation": {"strategies": suite_budget}})
            store.note({"configuration": {**store.manifest["configuration"], "suite_budget_tokens": 900}})
    said = CliRunner().invoke(app, ["grade", str(run), "--grader", "math"])
    assert said.exit_code == 0, said.output
    lines = dict(line.split(": ", 1) for line in said.stdout.splitlines() if ": " in line)
    assert lines["mean accuracy"].startswith(why)
    assert lines["pass at n"].startswith(why)
    assert lines["accuracy"].endswith("%")


# -- what foreign files say ------------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07 because\n" + "x" * 100_000


@pytest.mark.parametrize("field", ["dependent", "sampler"])
def test_a_reason_from_a_foreign_file_is_one_short_line_without_control_characters(
    field: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = exported(made_run(tmp_path / "run.db", ANSWERS))
    rows = [{**json.loads(line), field: HOSTILE} for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *rows]))
    why = load(file).dependent
    assert "owned" in why
    assert len(why) < 300
    assert why.isprintable()
    assert load(imported(file)).dependent == why
    with caplog.at_level(logging.WARNING, "widthwise"):
        ww.evaluate("best_of_n(n=2)", str(file), model=f"replay:{file}", run=tmp_path / "again.db")
    assert all(each.getMessage().isprintable() for each in caplog.records)
    assert load(tmp_path / "again.db").dependent == why


@pytest.mark.parametrize("why", [["a"], {"a": 1}, 3, True])
def test_a_reason_of_another_type_is_one_that_the_file_does_not_say(why: Any, tmp_path: Path) -> None:
    file = exported(made_run(tmp_path / "run.db", ANSWERS))
    rows = [{**json.loads(line), "dependent": why} for line in file.read_text().splitlines()]
    for several in (1, 2):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows * several))
        assert load(file).dependent == UNSAID
    run = made_run(tmp_path / "replay.db", ANSWERS)
    with Store.edit(run) as store:
        store.note({"backend": {"dependent": why}})
    assert load(run).dependent == UNSAID


def test_outcomes_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, reads, outcomes = made_run(tmp_path / "run.db", UNEVEN), [], Store.outcomes

    def counted(store: Store) -> Iterator[Outcome]:
        reads.append(store)
        return outcomes(store)

    monkeypatch.setattr(Store, "outcomes", counted)
    replay(str(run), None, None, None)
    assert len(reads) == 1
    exported(run)
    assert len(reads) == 2
