"""What a run file says about its model's format: its traces are read later as they were read live."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.core.scripted import Scripted
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.saying import Saying
from widthwise.core.prompting.thinking import USUAL
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.runner import regraded, run, setting_for
from widthwise.evals.store.exchange import import_recordings
from widthwise.evals.store.recorded_saying import marks_in, record_of, saying_in
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suite import Suite
from widthwise.models.thinking_marks import THINK, tagged
from widthwise.opening import open_backend

PROBLEM = Problem("p", "3+4?", "7")
SUITE = Suite("sums", (PROBLEM,), MathGrader(), "here")
PONDER = tagged("ponder")
TEXTS = [r"<ponder>\boxed{8}</ponder>\boxed{7}", r"<ponder>\boxed{8}", r"\boxed{7}"]


def ran(path: Path, setting: Setting) -> None:
    with Store.begin(path, {"model": setting.backend.name}, [PROBLEM]) as store:
        asyncio.run(run(SUITE, parse_strategy("best_of_n(n=3) | majority_vote()"), setting, store))


def answers(path: Path) -> list[str | None]:
    with Store.read(path) as store:
        return [leaf.answer for leaf in store.outcome("p").leaves]


def test_marks_that_are_not_usual_are_kept(tmp_path: Path) -> None:
    ran(tmp_path / "a.db", setting_for(SUITE, Scripted(TEXTS), thinking=PONDER))
    assert answers(tmp_path / "a.db") == ["7", None, "7"]
    with Store.read(tmp_path / "a.db") as store:
        outcome, traces = store.outcome("p"), store.traces("p")
        for saying, expected in ((saying_in(store.manifest), ["7", None, "7"]), (Saying(), ["7", "8", "7"])):
            again = asyncio.run(regraded(MathGrader(), outcome, traces, saying))
            assert [leaf.answer for leaf in again.leaves] == expected
    backend = asyncio.run(open_backend(f"replay:{tmp_path / 'a.db'}"))
    ran(tmp_path / "b.db", setting_for(SUITE, backend))
    assert answers(tmp_path / "b.db") == ["7", None, "7"]


def test_an_import_is_graded_as_it_was_read(tmp_path: Path) -> None:
    """The prompts of these samples opened the thinking, and are missing here: one sample was cut inside it."""
    samples = [{"text": r"\boxed{8}? </think> \boxed{7}"}, {"text": r"\boxed{8}?"}]
    row = {"problem_id": "p", "problem": "3+4?", "answer": "7", "samples": samples}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    import_recordings(tmp_path / "a.jsonl", tmp_path / "a.db")
    with Store.read(tmp_path / "a.db") as store:
        outcome, traces = store.outcome("p"), store.traces("p")
        again = asyncio.run(regraded(MathGrader(), outcome, traces, saying_in(store.manifest)))
    assert [(leaf.answer, leaf.correct) for leaf in again.leaves] == [("7", True), (None, None)]
    backend = asyncio.run(open_backend(f"replay:{tmp_path / 'a.jsonl'}"))
    with Store.begin(tmp_path / "b.db", {"model": "r1"}, [PROBLEM]) as store:
        asyncio.run(run(SUITE, parse_strategy("best_of_n(n=2) | majority_vote()"), setting_for(SUITE, backend), store))
    assert answers(tmp_path / "b.db") == ["7", None]


@pytest.mark.parametrize(("finish", "answer"), [(None, "8"), ("length", "8"), ("stop", None)])
def test_what_is_only_thought_counts_where_the_rest_was_cut(tmp_path: Path, finish: str | None, answer: Any) -> None:
    sample = {"text": r"<think>So \boxed{8}</think> I think"} | ({"finish": finish} if finish else {})
    row = {"problem_id": "p", "problem": "3+4?", "answer": "7", "samples": [sample]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    import_recordings(tmp_path / "a.jsonl", tmp_path / "a.db")
    with Store.read(tmp_path / "a.db") as store:
        again = asyncio.run(regraded(MathGrader(), store.outcome("p"), store.traces("p"), saying_in(store.manifest)))
    assert [leaf.answer for leaf in again.leaves] == [answer]
    backend = asyncio.run(open_backend(f"replay:{tmp_path / 'a.jsonl'}"))
    with Store.begin(tmp_path / "b.db", {"model": "r1"}, [PROBLEM]) as store:
        asyncio.run(run(SUITE, parse_strategy("single()"), setting_for(SUITE, backend), store))
        outcome, traces = store.outcome("p"), store.traces("p")
        assert [leaf.answer for leaf in outcome.leaves] == [answer]
        again = asyncio.run(regraded(MathGrader(), outcome, traces, saying_in(store.manifest)))
        assert [leaf.answer for leaf in again.leaves] == [answer]


@pytest.mark.parametrize("saying", [Saying(), Saying(THINK, ("<end>",), frozenset({"<end>", "<x>"}))])
def test_the_record_says_all(saying: Saying) -> None:
    manifest = {"saying": record_of(saying)}
    read = saying_in(manifest)
    assert (read.thinking.marks, read.thinking.close) == (saying.thinking.marks, saying.thinking.close)
    assert (read.ends, read.controls) == (saying.ends, saying.controls)
    assert (marks_in(manifest) is None) == (saying.thinking is USUAL)
    assert saying_in({}) == Saying()


@pytest.mark.parametrize(
    "wrong",
    [
        {"marks": [["", "</think>"]]},
        {"marks": [["<think>"]]},
        {"marks": 7},
        {"ends": "no list"},
        {"controls": ["x" * 1000]},
        {"controls": ["x"] * 30_000},
        {"close": 3},
    ],
)
def test_a_record_that_no_run_has_written_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not say how its model thinks"):
        saying_in({"saying": record_of(Saying(THINK)) | wrong})
    with pytest.raises(UsageError, match="does not say how its model thinks"):
        saying_in({"saying": ["nothing"]})
