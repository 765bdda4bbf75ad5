"""Budgets for thinking in the tokens of real families: it is closed, told to wait, or left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.families.checkpoints import Checkpoints
from tests.families.speaking import THINKERS, Script, Speaking
from widthwise.core.problem import Problem
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.runner import setting_for
from widthwise.evals.suites.suite import Suite

PROBLEM = Problem("p", "What is 3 + 4?", "7")
SUITE = Suite("sums", (PROBLEM,), MathGrader(), "Box it.")
THOUGHT, SAID = "Three and four.\n\nThat may be eight, or not", "It is \\boxed{8}."
every_thinker = pytest.mark.parametrize("name", [*THINKERS, "magistral"])


def folder(checkpoints: Checkpoints, name: str, tmp_path: Path) -> Path:
    """A family's checkpoint. Magistral's is Mistral's with a prompt that shows how to think; its marks are text."""
    if name != "magistral":
        return checkpoints(name)
    made = tmp_path / "magistral"
    shutil.copytree(checkpoints("mistral"), made)
    file = made / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config["chat_template"] = "{{ bos_token }}Think first: [THINK]your thoughts[/THINK]" + config["chat_template"]
    file.write_text(json.dumps(config))
    return made


class Thinking(Speaking):
    """Thinks and says 8; told to wait, thinks again and says 7; asked for its answer, 7; without thinking, 5."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, self.reply)
        self.script = Script(lambda name: path, path.name)
        self.root = ""

    def reply(self, prompt: str, index: int) -> str:
        said, end = prompt.removeprefix(self.root), self.script.end
        if said.endswith("\\boxed{"):
            return f"7}}{end}"
        if said.endswith("Wait"):
            return f", no: seven.{self.script.profile.thinking.close}It is \\boxed{{7}}.{end}"  # type: ignore[union-attr]
        whole = self.script.whole(THOUGHT, SAID, self.root)
        return whole.removeprefix(said) if whole.startswith(said) else f"It is \\boxed{{5}}.{end}"


async def drawn(path: Path, **options: Any) -> tuple[Session, Trace, Thinking]:
    backend = Thinking(path)
    session = Session(PROBLEM, setting_for(SUITE, backend, thinking=backend.profile.thinking))
    backend.root = session.root.segment.text
    [trace] = await session.sample(session.root, **options)
    await session.settle()
    sampled = [t for t in session.traces.values() if t.segment.origin == "sampled"]
    assert session.ledger.sampled == sum(len(t.segment) for t in sampled)
    assert all(session.traces[t.id] is t for t in trace.lineage)
    return session, trace, backend


@every_thinker
async def test_thinking_is_closed_in_the_familys_tokens(checkpoints: Checkpoints, tmp_path: Path, name: str) -> None:
    path = folder(checkpoints, name, tmp_path)
    whole = (await drawn(path))[1]
    for limit in (4, 9):
        session, trace, backend = await drawn(path, thinking=limit)
        _, thought, closing, said = trace.path
        assert thought.token_ids.tolist() == whole.segment.token_ids[:limit].tolist()
        close = backend.script.profile.thinking.close  # type: ignore[union-attr]
        assert closing.text.strip().startswith(close.strip()) == (closing.token_ids.tolist() != [])
        assert closing.token_ids.tolist() == backend.tokenizer.encode(closing.text)
        special = {id for text, id in backend.tokenizer.controls.items() if text in close}
        assert special <= set(closing.token_ids.tolist())
        assert said.text == f"7}}{backend.script.end}"
        assert (session.answer(trace), session.thinking_tokens(trace)) == ("7", limit)
        assert backend.requests[-1].prompt.tolist() == trace.token_ids[: -len(said)].tolist()


@every_thinker
async def test_thinking_that_fits_is_not_touched(checkpoints: Checkpoints, tmp_path: Path, name: str) -> None:
    path = folder(checkpoints, name, tmp_path)
    session, trace, _ = await drawn(path, thinking=200)
    assert trace.completion == (await drawn(path))[1].completion
    assert session.answer(trace) == "8"


@every_thinker
async def test_a_closing_mark_gives_way_to_a_word(checkpoints: Checkpoints, tmp_path: Path, name: str) -> None:
    path = folder(checkpoints, name, tmp_path)
    session, trace, backend = await drawn(path, waits=1)
    close = backend.script.profile.thinking.close  # type: ignore[union-attr]
    opened = backend.script.thought(THOUGHT, backend.root)
    assert trace.completion == f"{opened}\nWait, no: seven.{close}It is \\boxed{{7}}.{backend.script.end}"
    assert session.answer(trace) == "7"
    [taken] = session.fragments
    assert session.ledger.discarded == len(taken.segment) > 0
    assert trace.tokens == session.ledger.sampled - session.ledger.discarded
    wait = next(s for s in trace.path if s.metadata.get("thought") == "again")
    assert not set(wait.token_ids.tolist()) & set(backend.tokenizer.controls.values())


@every_thinker
async def test_thinking_is_prefilled_as_finished(checkpoints: Checkpoints, tmp_path: Path, name: str) -> None:
    path = folder(checkpoints, name, tmp_path)
    session, trace, backend = await drawn(path, thinking=0)
    thinking = backend.script.profile.thinking
    assert thinking is not None
    opened = thinking.begun(backend.root)
    assert trace.completion.count(thinking.marks[0][0]) == (0 if opened else 1)
    assert "Okay, I think I have finished thinking." in trace.completion
    assert (session.answer(trace), session.ledger.samples) == ("5", 1)
    inserted = next(s for s in trace.path if s.origin == "inserted")
    assert inserted.token_ids.tolist() == backend.tokenizer.encode(inserted.text)
