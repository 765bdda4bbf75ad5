"""A suite evaluated from Python: the same run as from the command line."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import typer

import widthwise as ww
from widthwise.cli.app import app
from widthwise.settings import Options

STRATEGY = "best_of_n(n=2) | majority_vote()"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_python_and_the_command_line_share_a_run() -> None:
    done = ww.evaluate(STRATEGY, "arithmetic", model="reasoner", limit=4, max_tokens=60)
    command = [sys.executable, "-m", "widthwise", "eval", "arithmetic", "--strategy", STRATEGY, "--model", "reasoner",
               "--limit", "4", "--max-tokens", "60", "--json"]  # fmt: skip
    said = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert (said["run"], said["accuracy"]) == (str(done.path), done.accuracy)
    assert said["tokens"]["sampled"] == done.ledger.sampled > 0
    assert [str(path) for path in Path("runs").iterdir()] == [str(done.path)]


def test_a_run_has_its_figures_its_outcomes_and_its_traces() -> None:
    done = ww.evaluate(ww.BestOfN(3) | ww.MajorityVote(), "arithmetic", limit=5, run="mine.db")
    assert done.path == Path("mine.db")
    assert done.accuracy == sum(outcome.correct is True for outcome in done.outcomes) / 5
    assert done.interval is not None
    assert done.interval[0] < done.accuracy < done.interval[1] or done.accuracy == 1
    assert done.ledger.samples == 15
    assert done.failures == ()
    assert done.is_finished
    for outcome in done.outcomes:
        traces = done.traces(outcome.problem)
        assert [trace.id for trace in traces] == [leaf.id for leaf in outcome.leaves]
        assert sum(trace.tokens for trace in traces) == outcome.ledger.sampled
    assert ww.Run.read("mine.db").summary == done.summary
    with pytest.raises(ww.UsageError, match="no problem 'arithmetc-0001'"):
        done.traces("arithmetc-0001")


def test_a_run_stands_wherever_its_file_may() -> None:
    one, two = (ww.evaluate("best_of_n(n=4) | majority_vote()", "arithmetic", limit=4, seed=seed) for seed in (0, 1))
    assert ww.curve(one, replicates=10).path == ww.curve(one.path, replicates=10).path == str(one.path)
    assert [standing.run for standing in ww.compare(one, two)] == [str(one.path), str(two.path)]


async def test_awaited_it_is_the_same_run() -> None:
    awaited = await ww.evaluate_async(STRATEGY, "arithmetic", limit=3)
    waited = ww.evaluate(STRATEGY, "arithmetic", limit=3)
    assert awaited.path == waited.path
    assert awaited.summary == waited.summary


def test_a_problem_that_fails_is_data() -> None:
    async def broken(session: ww.Session) -> str:
        if session.problem.id.endswith("2"):
            raise RuntimeError("no luck")
        return "1"

    done = ww.evaluate(broken, "arithmetic", limit=3)
    assert [outcome.errors for outcome in done.failures] == [("the strategy failed with RuntimeError: no luck",)]
    assert not done.is_finished
    assert done.accuracy == 0
    assert "3 problems, 1 failed, accuracy 0.0 %" in repr(done)
    assert "failed with RuntimeError: no luck" in repr(done.failures[0])
    assert "failed" not in repr(ww.evaluate("single()", "arithmetic", limit=1))


def test_a_long_reason_is_shortened() -> None:
    def broken(prompt: str) -> str:
        raise ValueError(f"no luck {'at all ' * 1000}")

    rows = [{"question": "What is 1 + 1? " * 100, "answer": 2}]
    shown = repr(ww.evaluate("best_of_n(n=4)", rows, model=broken).failures[0])
    assert "failed with ValueError: no luck" in shown
    assert len(shown) < 320


def test_a_function_that_may_have_changed_gets_a_new_file(tmp_path: Path) -> None:
    """An edited function keeps its name: before, a finished run of the old version was returned for it."""

    def runs(answer: str) -> ww.Run:
        async def strategy(session: ww.Session) -> str:
            return answer

        return ww.evaluate(strategy, [{"question": "What is 1 + 1?", "answer": 2}])

    first, second = runs("1"), runs("2")
    assert (first.accuracy, second.accuracy) == (0, 1)
    assert first.path != second.path
    named = ww.evaluate("single()", "arithmetic", limit=1)
    assert ww.evaluate("single()", "arithmetic", limit=1).path == named.path


@pytest.mark.parametrize("changed", ["strategy", "model", "grader", "reward_model"])
def test_a_named_run_says_that_it_goes_on_with_a_function(changed: str, caplog: pytest.LogCaptureFixture) -> None:
    async def strategy(session: ww.Session) -> str:
        return "2"

    functions = {
        "model": lambda prompt: "2",
        "grader": lambda problem, text: True,
        "reward_model": lambda problem, text: 1.0,
    }
    arguments: dict[str, Any] = {} if changed == "strategy" else {changed: functions[changed]}
    chosen = strategy if changed == "strategy" else "single()"
    for said in (False, True):
        ww.evaluate(chosen, "arithmetic", limit=1, run="a.db", **arguments)
        assert ("a.db is continued: name another file" in caplog.text) is said
    caplog.clear()
    for _ in range(2):
        ww.evaluate("single()", "arithmetic", limit=1, run="b.db")
    assert "is continued" not in caplog.text


def test_a_sweep_says_that_it_goes_on_with_a_function_that_may_have_changed(caplog: pytest.LogCaptureFixture) -> None:
    for said in (False, True):
        ww.sweep(["single()"], ["arithmetic"], [1], model=lambda prompt: "1", limit=1)
        assert ("is continued: name another folder" in caplog.text) is said


def test_every_option_of_a_command_has_its_name_in_python_or_says_what_it_is_called() -> None:
    command = typer.main.get_command(app)
    evaluating = command.get_command(click.Context(command), "eval")  # type: ignore[attr-defined]
    of_the_command = {"suite", "as_json", "json", "show_prompts", "help", "verbose", "quiet"}
    known = {*Options.__annotations__, *inspect.signature(ww.evaluate).parameters} - {"options"}
    for name in {parameter.name for parameter in evaluating.params} - of_the_command - known:
        with pytest.raises(ww.UsageError, match=f"no setting '{name}': give "):
            ww.evaluate("single()", "arithmetic", **{name: "x"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"concurrency": 0}, "concurrency must be a whole number of at least 1, not 0"),
        ({"limit": "3"}, r"limit must be a whole number, not '3' \(str\)"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"run": 3}, "a run is the path of its file or a ww.Run, not 3"),
        ({"max_tokens": "5"}, "max_tokens must be a whole number"),
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"budget": 5}, r"a budget is ww.Budget\(tokens=..., samples=..., ...\), not 5"),
        ({"prompts": {"solve": 3}}, "the prompt 'solve' is a text, not 3"),
        ({"backend_args": "x=1"}, "backend_args are given by name"),
        ({"embedding_model": 3}, "an embedding model is a name"),
        ({"sed": 1}, "no setting 'sed'; did you mean 'seed'"),
        ({"budget_tokens": 5}, r"no setting 'budget_tokens': give budget=ww.Budget\(tokens=...\)"),
        ({"budget_seconds": 5}, r"give budget=ww.Budget\(seconds=...\)"),
        ({"template_arg": "a=1"}, "give template_args={'name': value}"),
        ({"prompt": "a=1"}, "give prompts={'name': value}"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ww.UsageError, match=words) as caught:
        ww.evaluate("single()", "arithmetic", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", [3, None, ["s"]])
def test_the_folder_of_a_sweep_is_a_path(folder: Any) -> None:
    with pytest.raises(ww.UsageError, match="the folder of a sweep is a path, not "):
        ww.sweep(["single()"], ["arithmetic"], [1], folder=folder, limit=1)


@pytest.mark.parametrize("problem", [0, None, ["a"]])
def test_a_problem_of_a_run_is_named_by_its_id(problem: Any) -> None:
    run = ww.evaluate("single()", "arithmetic", limit=1)
    for read in (run.traces, run.outcome):
        with pytest.raises(ww.UsageError, match=r"the problem of a run is a ww\.Problem or its id, not "):
            read(problem)
