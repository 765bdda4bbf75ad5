"""Commands that messages suggest: whatever a path or a name contains, it is one word of the shell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import widthwise as ww
from tests.evals.made_runs import made_run
from widthwise.cli.app import app
from widthwise.core.session.setting import unknown_model
from widthwise.evals.store.store import Store

RUN = "Bob's runs/a b.db"
SAMPLED = {"problem_id": "p", "problem": "1?", "answer": "1", "samples": [{"text": "1", "answer": "1"}]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(RUN).parent.mkdir()


def said_by(*words: str) -> str:
    return " ".join(CliRunner().invoke(app, words).output.split())


def command_in(said: str) -> Sequence[str]:
    """The words of the command in backticks."""
    found = re.search("`(widthwise .*?)`", said)
    assert found, said
    return shlex.split(found[1])


def test_a_run_with_a_failed_problem_is_listed_by_the_command_that_compare_suggests() -> None:
    made_run(Path(RUN), [["1"]] * 2)
    with Store.edit(Path(RUN)) as store:
        failed = replace(store.outcome("p1"), state="error", errors=("the server is out of order",))
        store.finish(failed, store.traces("p1"))
    suggested = command_in(said_by("compare", RUN, str(made_run(Path("b.db"), [["1"]] * 2))))
    assert suggested == ["widthwise", "traces", RUN]
    assert "out of order" in said_by(*suggested[1:])


def test_problems_that_failed_are_listed_by_the_command_that_eval_suggests() -> None:
    Path("recorded.jsonl").write_text(json.dumps(SAMPLED))
    asked = ["eval", "--data", "recorded.jsonl", "--model", "replay:recorded.jsonl", "--strategy", "best_of_n(n=2)"]
    assert command_in(said_by(*asked, "--run", RUN)) == ["widthwise", "traces", RUN]


def test_what_must_be_graded_or_imported_first_is_named() -> None:
    made_run(Path(RUN), [["1"]], graded=False)
    with pytest.raises(ww.UsageError) as error:
        ww.curve(RUN)
    assert command_in(str(error.value)) == ["widthwise", "grade", RUN]
    assert command_in(said_by("report", "a b.jsonl")) == ["widthwise", "import", "a b.jsonl", "RUN.db"]


def test_a_run_that_can_only_be_an_alternative_is_named() -> None:
    made_run(Path(RUN), [["1", "2"]] * 2, strategy="rebase(n=2)")
    with pytest.raises(ww.UsageError) as error:
        ww.allocate(RUN, samples=[1])
    assert str(error.value).endswith(f"--alternative {shlex.quote(RUN)}")


def test_columns_and_models_are_named() -> None:
    Path("rows.jsonl").write_text(json.dumps({"question": "1?", "Final Answer": 1, "gold": 2}))
    assert "--column answer='Final Answer' (" in said_by("eval", "--data", "rows.jsonl", "--strategy", "single()")
    assert str(unknown_model("my model", ())).endswith("--model 'my model'=...")
    runs = [f"{name}={made_run(Path(f'{name}.db'), [['1', '1'], ['2', '1']])}" for name in ("my model", "other")]
    assert "--price 'my model'=PROMPT,COMPLETION" in said_by("fit", *runs, "--price", "other=1,4")
