"""Samples that are copies: how many different samples they are worth, and where that is reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.evals.store.copies import Copies, copies_field, effective_number

LONG = "x" * 2000


@pytest.mark.parametrize(
    ("texts", "worth"),
    [
        (["a"] * 16, 1.0),
        ([str(i) for i in range(16)], 16.0),
        ([str(i % 4) for i in range(16)], 4.0),
        (["a"] * 10 + ["b"] * 6, 16.0),  # a few words each: equal by chance
        ([LONG] * 10 + [LONG + "b"] * 6, 16**2 / (100 + 36)),
        ([LONG] * 2 + [f"{LONG}{i}" for i in range(14)], 16**2 / (4 + 14)),
        (["a"], 1.0),
        ([], 0.0),
    ],
)
def test_what_samples_are_worth(texts: list[str], worth: float) -> None:
    assert effective_number(texts) == pytest.approx(worth)
    assert (copies_field(texts) == {}) == (worth == len(texts))


def test_several_problems() -> None:
    copies = Copies.of([(16, 1.0)] * 100 + [(1, 1.0)])
    assert (copies.samples, copies.effective, copies.alike, copies.problems) == (16, 1, 100, 100)
    assert copies.note.startswith("in 100 of 100 problems all samples have the same text, and the 16.0 samples")
    assert Copies.of([(16, 16.0)] * 9 + [(16, 8.0)]).note == "", "a twentieth less is no matter"
    assert Copies.of([]).note == ""


def called(*arguments: str) -> Any:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generations as lm-eval leaves them: one seed for every repeat."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "problem_id": f"p{i}",
            "problem": f"What is {i} plus 1?",
            "answer": str(i + 1),
            "samples": [{"text": f"It is \\boxed{{{i + 1 + i % 2}}}."}] * 16,
        }
        for i in range(8)
    ]
    Path("one-seed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


NOTE = "in 8 of 8 problems all samples have the same text"


@pytest.mark.usefixtures("recorded")
def test_curve_import_eval_and_compare_say_so() -> None:
    def said(*arguments: str) -> str:
        return " ".join(called(*arguments).output.split())

    assert NOTE in said("curve", "one-seed.jsonl")
    assert NOTE in said("import", "one-seed.jsonl", "run.db")
    assert NOTE in said("curve", "run.db")
    replay = ("eval", "--data", "one-seed.jsonl", "--model", "replay:one-seed.jsonl", "--run", "vote.db")
    assert NOTE in said(*replay, "--strategy", "best_of_n(n=16) | majority_vote()")
    assert NOTE in said("compare", "vote.db")
    summary = json.loads(called(*replay, "--strategy", "best_of_n(n=16) | majority_vote()", "--json").stdout)
    assert summary["copies"] == {"samples": 16.0, "effective": 1.0, "alike": 8, "problems": 8}
    assert json.loads(called("compare", "vote.db", "--json").stdout)["runs"][0]["copies"]["effective"] == 1.0
