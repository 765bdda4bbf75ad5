"""Answers of each family, from its real tokens: read from what is said, live, stored, replayed and graded again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.families.checkpoints import FAMILIES, Checkpoints
from tests.families.speaking import THINKERS, Script, Speaking
from widthwise.core.problem import Problem
from widthwise.core.session.session import Session
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.runner import regraded, run, setting_for
from widthwise.evals.store.exchange import export_run, import_recordings
from widthwise.evals.store.recorded_saying import saying_in
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suites import Suite
from widthwise.opening import open_backend

PROBLEM = Problem("p", "What is 3 + 4?", "7")
SUITE = Suite("sums", (PROBLEM,), MathGrader(), "Box it.")
VOTE = "best_of_n(n=4) | majority_vote()"
every_family = pytest.mark.parametrize("name", sorted(FAMILIES))
every_thinker = pytest.mark.parametrize("name", THINKERS)

EIGHT, SEVEN = "It may be \\boxed{8}.", "ANSWER: 7"


def session(backend: Speaking) -> Session:
    return Session(PROBLEM, setting_for(SUITE, backend))


def talking(checkpoints: Checkpoints, name: str) -> Speaking:
    """Two samples that think 8 and say 7, one that is cut while it thinks, and one that says nothing of an answer."""
    script = Script(checkpoints, name)

    def reply(prompt: str, index: int) -> str:
        if index == 2 and script.profile.thinking:
            return script.thought(EIGHT + " Hmm" * 40, prompt)
        return script.whole(EIGHT, SEVEN if index < 2 else "I give up.", prompt)

    return Speaking(script.folder, reply)


def read(store: Store) -> list[str | None]:
    return [leaf.answer for leaf in store.outcome("p").leaves]


@every_family
def test_an_answer_is_what_is_said(checkpoints: Checkpoints, tmp_path: Path, name: str) -> None:
    """Live, in the run's file, graded again, exported, imported and replayed: the same answers everywhere."""
    backend, expected = talking(checkpoints, name), ["7", "7", None, None]
    strategy = parse_strategy(VOTE)
    with Store.begin(tmp_path / "run.db", {"model": name, "seed": 0}, [PROBLEM]) as store:
        asyncio.run(run(SUITE, strategy, setting_for(SUITE, backend), store))
        outcome, traces = store.outcome("p"), store.traces("p")
        assert (outcome.answer, outcome.correct, read(store)) == ("7", True, expected)
        again = asyncio.run(regraded(MathGrader(), outcome, traces, saying_in(store.manifest)))
        assert [leaf.answer for leaf in again.leaves] == expected
        export_run(store, tmp_path / "run.jsonl")
    import_recordings(tmp_path / "run.jsonl", tmp_path / "imported.db")
    for source in ("run.db", "run.jsonl", "imported.db"):
        assert replayed(tmp_path / source, tmp_path / f"of-{source}.db") == expected, source


def replayed(recording: Path, file: Path) -> list[str | None]:
    async def work(store: Store) -> None:
        backend = await open_backend(f"replay:{recording}")
        try:
            await run(SUITE, parse_strategy(VOTE), setting_for(SUITE, backend), store)
        finally:
            await backend.close()

    with Store.begin(file, {"model": "replay", "seed": 0}, [PROBLEM]) as store:
        asyncio.run(work(store))
        return read(store)
