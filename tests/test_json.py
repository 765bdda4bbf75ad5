"""``--json`` on every command: stdout holds one object, which matches ``docs/json.md``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.evals.made_runs import made_run
from widthwise.cli.app import app
from widthwise.core.registry import entries
from widthwise.core.roles import ROLES

DOCUMENT = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
PLAIN: dict[str, tuple[type, ...]] = {"text": (str,), "number": (int, float), "whole": (int,), "truth": (bool,)}


def rows_of(text: str) -> list[list[str]]:
    """The cells of a table's rows, without code and link markup."""
    rows = re.findall(r"^\| (`.*) \|$", text, re.MULTILINE)
    return [[re.sub(r"\]\(#.*\)$", "", cell).strip("`[") for cell in row.split(" | ")] for row in rows]


COMMANDS: dict[str, str] = dict(rows_of(DOCUMENT.split("## Objects")[0]))  # type: ignore[arg-type]
FIELD = re.compile(r"^\| `(.*?)` \| `(.*?)` \|", re.MULTILINE)
SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
OBJECTS = {name: dict(FIELD.findall(body)) for name, body in SECTION.findall(DOCUMENT)}


def faults(value: Any, kind: str, where: str = "") -> list[str]:
    """Where a value does not match a kind that the document defines."""
    if kind.endswith("?"):
        return [] if value is None else faults(value, kind[:-1], where)
    if kind.startswith("["):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [fault for item in value for fault in faults(item, kind[1:-1], f"{where}[]")]
    if kind.startswith("{"):
        if not isinstance(value, dict):
            return [f"{where} is no mapping"]
        return [fault for name, item in value.items() for fault in faults(item, kind[1:-1], f"{where}.{name}")]
    if kind == "any":
        return [] if value is not None else [f"{where} is null"]
    if kind == "grade":
        return [] if isinstance(value, bool) or 0 < value < 1 else [f"{where} is {value!r:.40}, no grade"]
    if kind in PLAIN:
        fits = isinstance(value, PLAIN[kind]) and isinstance(value, bool) == (kind == "truth")
        return [] if fits else [f"{where} is {value!r:.40}, no {kind}"]
    return _object_faults(value, OBJECTS[kind], where)


def _object_faults(value: Any, fields: dict[str, str], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    said, named = set(value), set(fields) - {"*"}
    found = [f"{where} lacks {name}" for name in named - said]
    found += [f"{where} has {name} besides" for name in said - named if "*" not in fields]
    for name in said & named:
        found += faults(value[name], fields[name].replace("[any]", "[any?]"), f"{where}.{name}")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hand-made runs, a run of the bundled model, and a run of a search."""
    folder = tmp_path_factory.mktemp("json")
    answers = [["1"] * (4 + i) + ["2"] * (12 - i) for i in range(6)]
    made_run(folder / "a.db", answers)
    made_run(folder / "b.db", [row[::-1] for row in answers], strategy="best_of_n(n=4) | majority_vote(tie='random')")
    made_run(folder / "c.db", [row[::-1] for row in answers])
    search = "tree_search(n=4, by='mean_logprob') | majority_vote()"
    for run, strategy in (("real.db", "best_of_n(n=4) | majority_vote()"), ("tree.db", search)):
        options = ["--limit", "2", "--max-tokens", "60", "--strategy", strategy, "--run", str(folder / run), "--json"]
        assert CliRunner().invoke(app, ["eval", "arithmetic", *options]).exit_code == 0
    return folder


GRID = "--suite arithmetic --limit 2 --max-tokens 30 --budgets 1,2 --folder s --strategy best_of_n --strategy single"
CALLS = {
    "eval": "eval arithmetic --limit 2 --max-tokens 60 --strategy best_of_n(n=4) --run real2.db",
    "eval --show-prompts": "eval arithmetic --limit 2 --show-prompts",
    "sweep": f"sweep {GRID}",
    "sweep --dry-run": f"sweep {GRID} --dry-run",
    "sweep --show-prompts": f"sweep {GRID} --show-prompts",
    "curve": "curve a.db b.db --axis samples",
    "compare": "compare a.db b.db",
    "report": "report a.db b.db --out page.html",
    "fit": "fit small=a.db large=c.db",
    "traces RUN.db": "traces real.db",
    "traces RUN.db PROBLEM": "traces real.db arithmetic-2026-0000",
    "traces RUN.db PROBLEM --trace ID": "traces real.db arithmetic-2026-0000 --trace 0.0",
    "traces RUN.db PROBLEM --tree": "traces tree.db arithmetic-2026-0000 --tree",
    "traces RUN.db PROBLEM --timeline": "traces tree.db arithmetic-2026-0000 --timeline",
    "grade RUN.db": "grade a.db --grader math(percent=False)",
    "grade RUN.db --against math-verify": "grade b.db --against math-verify",
    "grade --gold A --prediction B": "grade --gold 1 --prediction 2",
    "grade --gold A --prediction B --explain": "grade --gold 1 --prediction 2 --explain",
    "import": "import a.jsonl imported.db",
    "export": "export b.db b.jsonl",
    "suites": "suites",
    "strategies": "strategies",
    "graders": "graders",
    "importers": "importers",
    "allocators": "allocators",
    "allocate": "allocate a.db --samples 2 --orders 2",
    "models": "models",
}


def test_the_document_has_every_command_and_every_object() -> None:
    commands = {call.split()[0] for call in COMMANDS}
    assert commands == {entry.name for entry in entries(ROLES["command"])}
    assert set(COMMANDS) == {*CALLS, "serve"}
    named = {word for fields in OBJECTS.values() for kind in fields.values() for word in re.findall(r"[A-Z]\w+", kind)}
    assert set(OBJECTS) == named | set(COMMANDS.values())


def test_every_command_takes_json() -> None:
    group: Any = typer.main.get_command(app)
    for entry in entries(ROLES["command"]):
        command = group.get_command(None, entry.name)
        assert "--json" in [name for parameter in command.params for name in parameter.opts], entry.name


@pytest.mark.parametrize("call", CALLS)
def test_what_a_command_prints_is_what_the_document_says(
    call: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    if "math-verify" in call:
        pytest.importorskip("math_verify", reason="math-verify is not installed")
    if call == "import":
        assert CliRunner().invoke(app, ["export", "a.db", "a.jsonl"]).exit_code == 0
    done = CliRunner().invoke(app, [*CALLS[call].split(), "--json"])
    assert done.exit_code == 0, done.output
    assert done.stdout.count("\n") == 1
    assert faults(json.loads(done.stdout), COMMANDS[call], call) == []


@pytest.mark.slow
def test_laws_are_what_the_document_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["curve", "a.db", "--laws", "--method", "pass", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert faults(said, "Curves") == []
    assert (
        set()
        < {law["law"] for law in said["curves"][0]["laws"]}
        <= {"power", "beta", "saturating", "logarithmic", "ceiling"}
    )


def test_serve_says_what_the_document_says(capsys: pytest.CaptureFixture[str]) -> None:
    from widthwise.cli.serve import _say_ready

    _say_ready(True, "http://127.0.0.1:1/v1", ["best"])
    assert faults(json.loads(capsys.readouterr().out), COMMANDS["serve"]) == []


def test_a_command_that_fails_prints_no_object(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["compare", "nothing.db", "--json"])
    assert done.exit_code == 2
    assert done.stdout == ""


def test_a_sweep_writes_its_table_beside_its_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import csv, parquet

    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["sweep", *GRID.split(), "--json"])
    [found] = json.loads(done.stdout)["suites"]
    assert found["files"] == [f"s/arithmetic.{ending}" for ending in ("csv", "parquet", "svg", "html")]
    assert all(Path(file).stat().st_size for file in found["files"])
    whole, spelled = parquet.read_table("s/arithmetic.parquet"), csv.read_csv("s/arithmetic.csv")
    assert whole.to_pydict() == found["points"]
    assert spelled.column_names == whole.column_names
    assert spelled["accuracy"].to_pylist() == pytest.approx(found["points"]["accuracy"])
    assert found["points"]["strategy"] == ["best_of_n(n=budget)"] * 2 + ["single()"]


def test_a_fault_is_found() -> None:
    """The check itself: an extra field, a missing field, and a field of another kind."""
    report = {"report": "a", "bytes": 1, "runs": ["b"]}
    assert faults(report, "Report") == []
    assert faults({**report, "more": 1}, "Report") == [" has more besides"]
    assert faults({"report": "a", "bytes": 1}, "Report") == [" lacks runs"]
    assert faults({**report, "bytes": True}, "Report") == [".bytes is True, no whole"]
    assert faults({**report, "runs": [1]}, "Report") == [".runs[] is 1, no text"]
