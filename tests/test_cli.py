"""The command line: what it prints and where, how it ends, and what it says to bad input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.backends.killing import stopped
from widthwise.cli.app import __file__ as app_file
from widthwise.cli.app import app
from widthwise.evals.store.database import Database, StoreError
from widthwise.evals.store.store import Store

ROWS: list[dict[str, Any]] = [
    {
        "problem_id": f"sum-{i}",
        "problem": f"What is {i} plus {i}?",
        "answer": str(2 * i),
        "samples": [
            {"text": f"It is \\boxed{{{2 * i + wrong}}}", "answer": None, "reward": -wrong} for wrong in (1, 0, 0)
        ],
        "model": "m",
        "source": "s",
    }
    for i in range(4)
]
VOTE = "best_of_n(n=3) | majority_vote()"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with a file of recorded generations."""
    monkeypatch.chdir(tmp_path)
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def called(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def evaluated(*arguments: str, strategy: str = VOTE) -> Result:
    return called("eval", "--data", "sums.jsonl", "--model", "replay:sums.jsonl", "--strategy", strategy, *arguments)


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "widthwise", *arguments], capture_output=True, text=True, **options)


# -- eval ------------------------------------------------------------------------------------------------------


def test_eval_prints_one_json_object_with_what_was_promised() -> None:
    result = evaluated("--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    promised = "suite model strategy problems errors accuracy accuracy_ci95 pass_at_n samples tokens sequential_tokens"
    assert set(promised.split()) | {"wall_seconds", "run"} <= set(summary)
    assert {"prompt_computed", "prompt_cached", "sampled", "discarded", "scoring"} <= set(summary["tokens"])
    assert (summary["accuracy"], summary["problems"], summary["errors"], summary["samples"]) == (1.0, 4, 0, 12)
    assert summary["mean_accuracy"] == pytest.approx(2 / 3)


def test_the_same_command_finds_its_run_and_another_one_makes_its_own() -> None:
    first, second = json.loads(evaluated("--json").stdout), json.loads(evaluated("--json").stdout)
    assert first == second
    assert Path(first["run"]).parent == Path("runs")
    other = json.loads(evaluated("--json", "--seed", "1").stdout)
    assert other["run"] != first["run"]
    assert len(list(Path("runs").iterdir())) == 2


def test_a_finished_run_is_shown_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    first = evaluated("--run", "a.db", "--json").stdout

    def refuse(*_: object) -> None:
        raise StoreError("a.db cannot be written: its folder does not allow it")

    monkeypatch.setattr(Database, "_take_lock", refuse)
    assert evaluated("--run", "a.db", "--json").stdout == first
    assert "with other settings" in evaluated("--run", "a.db", "--seed", "9").output


def test_a_run_file_that_was_removed_ends_the_run_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, it ended with code 0, and there was no file."""
    finish = Store.finish

    def removed(store: Store, *arguments: Any, **options: Any) -> None:
        finish(store, *arguments, **options)
        Path("a.db").unlink(missing_ok=True)

    monkeypatch.setattr(Store, "finish", removed)
    result = evaluated("--run", "a.db")
    assert result.exit_code == 1
    assert "a.db was removed, renamed or replaced while this run was writing it" in result.output


def test_the_table_holds_the_figures() -> None:
    output = evaluated("--limit", "2").stdout
    for piece in ("sums, 2 problems", "100.00 %", "pass@n 100.00 %", "6 samples", "runs/"):
        assert piece in output


def test_budgets_and_sampling_options_reach_the_run() -> None:
    result = json.loads(
        evaluated("--json", "--budget-samples", "1", "--temperature", "0.5", "--max-tokens", "3").stdout
    )
    assert result["samples"] == 4
    assert result["tokens"]["sampled"] == 12
    manifest = json.loads(called("traces", result["run"], "--json").stdout)
    configuration = manifest["configuration"]
    assert (configuration["budget_samples"], configuration["temperature"], configuration["max_tokens"]) == (1, 0.5, 3)


def test_the_command_lines_budget_goes_before_the_strategys() -> None:
    strategy = "best_of_n(n=3) | budget(samples=2, tokens=1000) | majority_vote()"
    result = json.loads(evaluated("--json", "--budget-samples", "1", strategy=strategy).stdout)
    assert result["samples"] == 4


@pytest.mark.slow
def test_a_strategy_of_ones_own_needs_no_registration() -> None:
    Path("mine.py").write_text("async def pair(session):\n    return await session.sample(session.root, 2)\n")
    done = process("eval", "--data", "sums.jsonl", "--model", "replay:sums.jsonl", "--strategy", "mine:pair", "--json")
    assert json.loads(done.stdout)["samples"] == 8, done.stderr


def test_failed_problems_end_with_code_1_and_a_word() -> None:
    result = evaluated("--json", strategy="best_of_n(n=4) | majority_vote()")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errors"] == 4
    assert "4 of 4 problems failed" in result.stderr
    run = json.loads(result.stdout)["run"]
    assert "sample 4 was requested" in called("traces", run).stdout


# -- the other commands ----------------------------------------------------------------------------------------


def test_traces_lists_problems_then_traces_then_a_text() -> None:
    evaluated("--run", "a.db")
    assert "sum-3" in called("traces", "a.db").stdout
    listed = called("traces", "a.db", "sum-2").stdout
    assert "What is 2 plus 2?" in listed
    assert "0.2" in listed
    assert called("traces", "a.db", "sum-2", "--trace", "0.1").stdout.endswith("It is \\boxed{4}\n")
    as_json = json.loads(called("traces", "a.db", "sum-2", "--json").stdout)
    assert [(t["answer"], t["correct"]) for t in as_json["traces"]] == [("5", False), ("4", True), ("4", True)]


def test_traces_that_nobody_graded_are_not_counted_as_wrong() -> None:
    bare = {"text": "4", "answer": "4"}
    samples = [[bare] * 2, [bare, {**bare, "correct": True}], [{**bare, "correct": False}] * 2]
    rows = [{**row, "samples": given} for row, given in zip(ROWS, samples, strict=False)]
    Path("part.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert called("import", "part.jsonl", "a.db").exit_code == 0
    listed = [line.split() for line in called("traces", "a.db").stdout.splitlines() if line.strip().startswith("sum-")]
    assert [line[-2] for line in listed] == ["–", "1/2", "0/2"]


def test_a_run_is_not_imported_again() -> None:
    assert called("import", "sums.jsonl", "a.db").exit_code == 0
    refused = called("import", "a.db", "b.db")
    assert refused.exit_code == 2
    assert "a.db is a database, as run files are" in " ".join(refused.stderr.split())
    assert not Path("b.db").exists()


def test_import_export_and_grade() -> None:
    assert called("import", "sums.jsonl", "a.db").exit_code == 0
    assert called("export", "a.db", "b.jsonl").exit_code == 0
    assert [json.loads(line) for line in Path("b.jsonl").read_text().splitlines()] == ROWS
    assert called("export", "a.db", "b.parquet").exit_code == 0
    again = json.loads(called("grade", "a.db", "--json").stdout)
    assert len(again["changes"]) == 12
    assert again["after"]["mean_accuracy"] == pytest.approx(2 / 3)
    assert json.loads(called("grade", "a.db", "--json").stdout)["changes"] == []


def test_grade_judges_a_pair() -> None:
    assert called("grade", "--gold", "1/2", "--prediction", "so \\boxed{0.5}").stdout == "equal\n"
    assert json.loads(called("grade", "--gold", "1", "--prediction", "2", "--json").stdout)["equal"] is False


def test_lists_name_what_there_is() -> None:
    assert "aime2025" in called("suites").stdout
    strategies = called("strategies").stdout
    assert "best_of_n(n=16" in strategies
    assert "budget(tokens=None" in strategies
    models = called("models").stdout
    assert "reasoner" in models
    assert "vllm:" in models
    assert called("--version").stdout.strip()


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["eval", "arithmetik"], "did you mean 'arithmetic'"),
        (["eval"], "--data"),
        (["eval", "--data", "none.jsonl"], "none.jsonl does not exist"),
        (["eval", "--data", "sums.jsonl", "--model", "vlm:x"], "did you mean 'vllm:'"),
        (["eval", "--data", "sums.jsonl", "--model", "reasonor"], "did you mean 'reasoner'"),
        (["eval", "--data", "sums.jsonl", "--model", "replay:"], "names nothing after its prefix"),
        (["eval", "--data", "sums.jsonl", "--model", "replay:none.jsonl"], "none.jsonl does not exist"),
        (["eval", "--data", "sums.jsonl", "--model", "replay:none.db"], "none.db does not exist"),
        (["eval", "--data", "sums.jsonl", "--strategy", "best_of_m()"], "did you mean 'best_of_n'"),
        (["eval", "--data", "sums.jsonl", "--strategy", "best_of_n(m=3)"], "best_of_n has no argument 'm'"),
        (["eval", "--data", "sums.jsonl", "--strategy", "none:none"], "cannot import 'none'"),
        (["eval", "--data", "sums.jsonl", "--backend-arg", "x"], "is not NAME=VALUE"),
        (["eval", "--data", "sums.jsonl", "--model", "replay:sums.jsonl", "--backend-arg", "tokeniser=x"],
         "no argument 'tokeniser'; did you mean 'tokenizer'"),
        (["eval", "--data", "sums.jsonl", "--budget-tokens", "0"], "allows nothing"),
        (["eval", "--data", "sums.jsonl", "--temperature", "-1"], "temperature must be at least 0"),
        (["eval", "--data", "empty.jsonl"], "empty"),
        (["eval", "--data", "broken.jsonl"], "broken.jsonl, line 2"),
        (["eval", "--data", "sums.jsonl", "--run", "sums.jsonl", "--model", "replay:sums.jsonl"],
         "not a widthwise run"),
        (["eval", "--data", "sums.jsonl", "--run", "sums.jsonl/a.db", "--model", "replay:sums.jsonl"],
         "sums.jsonl is a file, not a folder"),
        (["traces", "none.db"], "none.db does not exist"),
        (["traces", "sums.jsonl"], "not a widthwise run"),
        (["traces", "a.db", "sum-9"], "has no problem 'sum-9'"),
        (["traces", "a.db", "sum-1", "--trace", "0.9"], "has no trace '0.9'; it has 0.0, 0.1, 0.2"),
        (["traces", "a.db", "--trace", "0.9"], "--trace needs the problem"),
        (["traces", "a.db", "sum-1", "--tree", "--timeline"], "--tree and --timeline show different things"),
        (["traces", "a.db", "sum-1", "--tree", "--trace", "0.1"], "--tree and --trace show different things"),
        (["traces", "a.db", "sum-1", "--timeline", "--trace", "0.1"], "--timeline and --trace show different things"),
        (["export", "a.db", "a.csv"], ".jsonl or .parquet"),
        (["curve", "a.db", "--out", "a.gif"], "its name must end in .png, .svg or .pdf"),
        (["import", "broken.jsonl", "b.db"], "broken.jsonl, line 2"),
        (["import", "sums.jsonl", "a.db"], "already exists"),
        (["grade", "--gold", "1"], "--prediction"),
        (["grade", "a.db", "--against", "math-verify", "--grader", "math"], "compares the verdicts in a run's file"),
        (["grade", "--gold", "1", "--prediction", "1", "--against", "math-verify"], "compares the verdicts in a run's"),
        *[
            (["sweep", "--suite", "sums.jsonl", "--strategy", "best_of_n()", "--seeds", seeds], "whole numbers such as")
            for seeds in ("1.5", "nan", "0,inf")
        ],
    ],
)  # fmt: skip
def test_bad_input_is_answered_in_one_sentence_with_code_2(arguments: list[str], complaint: str) -> None:
    Path("empty.jsonl").touch()
    Path("broken.jsonl").write_text(json.dumps(ROWS[0]) + "\n{oops\n")
    called("import", "sums.jsonl", "a.db")
    result = called(*arguments)
    assert complaint in result.stderr
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_an_unknown_option_is_a_usage_error() -> None:
    result = called("eval", "--sed", "3")
    assert result.exit_code == 2
    assert "--sed" in result.stderr


def test_another_configuration_is_refused_with_the_difference() -> None:
    evaluated("--run", "a.db")
    result = evaluated("--run", "a.db", "--seed", "5")
    assert result.exit_code == 2
    assert "seed: 0 -> 5" in result.stderr


def test_a_missing_folder_of_a_model_ends_with_code_1() -> None:
    result = called("eval", "--data", "sums.jsonl", "--model", "embedded:nowhere")
    assert result.exit_code == 1
    assert "nowhere" in result.stderr
    assert not Path("runs").exists()


# -- as a process ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_starts_without_the_heavy_libraries() -> None:
    script = (
        "import sys; from widthwise.cli.app import app; heavy = {'datasets', 'scipy', 'matplotlib', 'pyarrow', "
        "'torch', 'vllm', 'transformers', 'sympy', 'aiohttp'} & set(sys.modules); print(sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_json_is_all_there_is_on_stdout() -> None:
    done = process("eval", "--data", "sums.jsonl", "--model", "replay:sums.jsonl", "--strategy", VOTE, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["accuracy"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_the_command_goes_on(number: signal.Signals) -> None:
    words = ["arithmetic", "--limit", "40", "--concurrency", "2", "--strategy", "best_of_n(n=8) | majority_vote()"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with stopped(words, Path("a.db"), after=1, method="finish", **pipes) as process:
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=600)
    assert process.returncode == 130, err
    assert out == ""
    assert "of 40 problems done" in err
    assert "the same command continues" in err
    assert "Traceback" not in err
    listed = json.loads(called("traces", "a.db", "--json").stdout)
    done = [p for p in listed["problems"] if p["state"] == "done"]
    assert 0 < len(done) < 40
    assert not Path("a.db-wal").exists()


# -- stored runs ---------------------------------------------------------------------------------------------------


def test_a_stored_run_is_voted_on_anew() -> None:
    evaluated("--run", "a.db")
    first = json.loads(evaluated("--run", "a.db", "--json").stdout)
    strategy = ["--strategy", "best_of_n(n=3) | best_by('reward')"]
    again = json.loads(called("eval", "--data", "a.db", "--model", "replay:a.db", *strategy, "--json").stdout)
    assert again["suite"] == first["suite"] == "sums"
    assert again["mean_accuracy"] == first["mean_accuracy"]
    assert again["tokens"]["sampled"] == first["tokens"]["sampled"]
    assert (first["accuracy"], again["accuracy"]) == (1.0, 1.0)


# -- sweep, curve, report ------------------------------------------------------------------------------------------


def test_curves_and_pages_come_from_recordings_and_runs_alike() -> None:
    evaluated("--run", "a.db")
    from_file, from_run = (json.loads(called("curve", source, "--json").stdout) for source in ("sums.jsonl", "a.db"))
    for measured in (from_file, from_run):
        points = measured["curves"][0]["points"]
        passed = [a for method, a in zip(points["method"], points["accuracy"], strict=True) if method == "pass"]
        assert passed == pytest.approx([2 / 3, 1.0, 1.0])
    assert called("curve", "a.db", "--out", "c.png").exit_code == 0
    assert Path("c.png").read_bytes().startswith(b"\x89PNG")
    assert called("report", "a.db", "--out", "r.html").exit_code == 0
    assert "<title>" in Path("r.html").read_text()


def test_a_sweep_shares_samples_and_shows_its_plan_first() -> None:
    arguments = ["sweep", "--suite", "arithmetic", "--limit", "2", "--budgets", "1,2", "--strategy", "best_of_n()"]
    planned = called(*arguments, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert re.search(r"in all 4 samples, \d+ tokens, \d+ s", planned.output)
    assert not Path("sweep").exists()
    done = called(*arguments)
    assert done.exit_code == 0, done.output
    assert len(list(Path("sweep").glob("*.db"))) == 1


# -- the terminal ----------------------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;title\x07 \x1b[2J \x9b31m \x1b]52;c;aGk=\x07 \x1b]8;;http://x\x07link \rover \u202eback \x08 \x7f"


def _hostile_recordings() -> None:
    samples = [{"text": f"{HOSTILE} \\boxed{{{HOSTILE}}}", "answer": HOSTILE, "correct": True, "finish": "stop"}]
    row = {"problem_id": "p", "problem": HOSTILE, "answer": HOSTILE, "samples": samples}
    Path("hostile.jsonl").write_text(json.dumps(row) + "\n")
    called("import", "hostile.jsonl", "hostile.db")


COMMANDS_ON_TEXT = [
    ["traces", "hostile.db"],
    ["traces", "hostile.db", "p"],
    ["traces", "hostile.db", "p", "--tree"],
    ["traces", "hostile.db", "p", "--timeline"],
    ["traces", "hostile.db", "p", "--trace", "0.0"],
    ["traces", "hostile.db", HOSTILE],
    ["grade", "hostile.db"],
    ["grade", "--gold", HOSTILE, "--prediction", HOSTILE],
    ["curve", "hostile.db", "--replicates", "2"],
]


@pytest.mark.parametrize("arguments", COMMANDS_ON_TEXT)
@pytest.mark.parametrize("as_json", [False, True])
def test_no_control_character_reaches_the_terminal(arguments: list[str], *, as_json: bool) -> None:
    _hostile_recordings()
    if as_json and "--trace" not in arguments:
        arguments = [*arguments, "--json"]
    result = called(*arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = result.stdout + result.stderr
    assert said.strip()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said), said


def test_json_holds_the_text_exactly() -> None:
    _hostile_recordings()
    shown = json.loads(called("traces", "hostile.db", "p", "--json").stdout)
    assert (shown["text"], shown["reference"]) == (HOSTILE, HOSTILE)
    assert shown["traces"][0]["text"].startswith(HOSTILE)


def test_errors_of_servers_and_strategies_are_shown_not_obeyed() -> None:
    Path("hostile_strategy.py").write_text(
        f"async def answer(session):\n    raise ValueError({HOSTILE!r} * 10_000)\n", encoding="utf-8"
    )
    mine = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, "."])}
    data = ["--data", "sums.jsonl", "--model", "replay:sums.jsonl"]
    result = process("eval", *data, "--strategy", "hostile_strategy:answer", env=mine)
    assert result.returncode == 1
    assert "\\x1b[2J" in result.stderr
    assert "\x1b" not in result.stderr
    assert len(result.stderr) < 20_000


def test_commands_write_through_the_terminals_own_module_alone() -> None:
    folder = Path(app_file).parent
    for file in folder.glob("*.py"):
        if file.name != "terminal.py":
            assert not re.search(r"typer\.echo|(?<![\w.])print\(|sys\.std(out|err)\.write", file.read_text()), file.name
