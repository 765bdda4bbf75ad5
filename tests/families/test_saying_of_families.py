"""Answers of each family, in its real tokens: read after the thinking, whether live, stored, replayed or regraded."""

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
from widthwise.evals.suites.suite import Suite
from widthwise.opening import open_backend

PROBLEM = Problem("p", "What is 3 + 4?", "7")
SUITE = Suite("sums", (PROBLEM,), MathGrader(), "here", "Box it.")
VOTE = "best_of_n(n=4) | majority_vote()"
every_family = pytest.mark.parametrize("name", sorted(FAMILIES))
every_thinker = pytest.mark.parametrize("name", THINKERS)

EIGHT, SEVEN = "It may be \\boxed{8}.", "ANSWER: 7"


def session(backend: Speaking) -> Session:
    return Session(PROBLEM, setting_for(SUITE, backend))


def talking(checkpoints: Checkpoints, name: str) -> Speaking:
    """Two samples that think 8 and say 7, one that is cut while thinking, and one without an answer."""
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
    """The answers are the same live, in the run's file, regraded, exported, imported and replayed."""
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


@every_family
async def test_conclude_closes_the_thinking_first(checkpoints: Checkpoints, name: str) -> None:
    """It uses the family's own tokens; what is said next is the answer, and the trace itself stays as it was."""
    script = Script(checkpoints, name)

    def reply(prompt: str, index: int) -> str:
        return "7}" + script.end if "answer is" in prompt else script.thought(EIGHT, prompt) or "Hm. " * 9

    backend = Speaking(script.folder, reply)
    s = session(backend)
    [cut] = await s.sample(s.root, max_tokens=6)
    assert (s.is_thinking(cut), s.answer(cut)) == (name in THINKERS, None)
    asked = s.conclude(cut)
    inserted = asked.segment
    answer_now = setting_for(SUITE, backend).format.answer_now
    if name in THINKERS:
        thinking = script.profile.thinking
        assert thinking is not None
        assert inserted.text == thinking.close + answer_now.lstrip()
        assert inserted.token_ids.tolist() == script.tokenizer.encode(inserted.text)
        marks = {*script.tokenizer.controls.values()} & {*script.tokenizer.encode(thinking.close)}
        assert len(marks) == (4 if name == "gpt-oss" else 0)
        assert marks <= {*inserted.token_ids.tolist()}
    else:
        assert inserted.text == answer_now
    assert not s.is_thinking(asked)
    [reply] = await s.sample(asked, judging=True)
    assert reply.token_ids[: len(asked.token_ids)].tolist() == asked.token_ids.tolist()
    assert s.answer(reply) == "7"
    assert s.answer(cut) is None


@every_thinker
async def test_thinking_that_was_closed_is_not_closed_again(checkpoints: Checkpoints, name: str) -> None:
    script = Script(checkpoints, name)
    s = session(Speaking(script.folder, lambda prompt, index: script.whole(EIGHT, "So, hm", prompt)))
    [whole] = await s.sample(s.root)
    assert (
        s.conclude(whole).segment.text == setting_for(SUITE, Speaking(script.folder, lambda p, i: "")).format.answer_now
    )


@every_thinker
async def test_solutions_responses_and_lengths(checkpoints: Checkpoints, name: str) -> None:
    script = Script(checkpoints, name)
    s = session(Speaking(script.folder, lambda prompt, index: script.whole(EIGHT, SEVEN, prompt)))
    [trace] = await s.sample(s.root)
    assert s.solution(trace).strip() == SEVEN
    assert EIGHT in s.response(trace)
    assert not any(control in s.response(trace) for control in script.tokenizer.controls)
    closed = trace.completion.index(SEVEN)
    spelled = script.tokenizer.decode(trace.segment.token_ids[: s.thinking_tokens(trace)])
    assert closed - 2 <= len(spelled) <= closed  # the mark, perhaps with the whitespace in its last token
    assert s.thought_length(trace) == s.thinking_tokens(trace)
