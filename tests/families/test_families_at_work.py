"""Every feature with every family: its real tokenizer and template, and a model with scripted replies.

One test is one cell of the table in ``docs/models.md``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.families.cells import CELLS, EVERY, THINKING, cell
from tests.families.checkpoints import Checkpoints
from tests.families.talker import PROBLEM, Family, Talker
from tests.families.test_prompts_of_families import reference
from widthwise.core.literal import literal
from widthwise.core.session.session import Session

pytestmark = pytest.mark.vllm  # the reference is the transformers library, which vLLM installs

_DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


def long_thought(family: Family, prompt: str) -> str:
    """A thought that does not end."""
    return family.thinks(prompt, "hm " * 60).partition(family.profile.thinking.close)[0]


@cell("prompt")
def test_prompt(checkpoints: Checkpoints, name: str) -> None:
    family = Family(name, checkpoints(name))
    setting = family.setting(Talker(family.tokenizer, lambda *_: ""))
    messages = setting.format.messages(PROBLEM, setting.instruction)
    theirs = reference(family.folder).apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert Session(PROBLEM, setting).root.token_ids.tolist() == list(theirs)


@cell("ends")
async def test_ends(checkpoints: Checkpoints, name: str) -> None:
    """Each of the model's end tokens ends a trace, and is not part of what it says."""
    family = Family(name, checkpoints(name))
    for end in sorted(family.tokenizer.eos_ids):
        backend = Talker(family.tokenizer, lambda prompt, _: family.thinks(prompt, "Hm.") + "It is \\boxed{7}", end=end)
        session = Session(PROBLEM, family.setting(backend))
        [trace] = await session.sample(session.root)
        assert (trace.finish, session.answer(trace)) == ("stop", "7")
        assert session.solution(trace).strip() == "It is \\boxed{7}"


@cell("thinking closed", THINKING)
async def test_thinking_closed(checkpoints: Checkpoints, name: str) -> None:
    """A trace that is cut inside its thinking has said nothing; concluding it first closes the thinking."""
    family = Family(name, checkpoints(name))
    backend = Talker(
        family.tokenizer, lambda prompt, _: "7}." if prompt.endswith("{") else long_thought(family, prompt)
    )
    session = Session(PROBLEM, family.setting(backend))
    [cut] = await session.sample(session.root, max_tokens=20)
    assert (cut.finish, session.answer(cut), session.solution(cut)) == ("length", None, "")
    concluded = session.conclude(cut)
    [trace] = await session.sample(concluded)
    assert session.answer(trace) == "7"
    thinking = family.profile.thinking
    assert concluded.segment.text.count(thinking.closing[0]) == 1
    mark = family.tokenizer.encode(thinking.closing[0])
    assert len(mark) > 1 or mark[0] in concluded.segment.token_ids


@cell("answer read")
async def test_answer_read(checkpoints: Checkpoints, name: str) -> None:
    """The answer is read after the thinking, whatever the thinking boxed, and never from a prompt."""
    family = Family(name, checkpoints(name))
    result = await family.solve(
        "best_of_n(n=2) | majority_vote()",
        lambda prompt, _: family.thinks(prompt, "Is it \\boxed{8}? No.") + "The answer is 7.",
    )
    assert result.answer == "7"
    silent = await family.solve("single()", lambda prompt, _: family.thinks(prompt, "\\boxed{8}") + "I do not know.")
    assert silent.answer is None


@cell("budget forced", THINKING)
async def test_budget_forced(checkpoints: Checkpoints, name: str) -> None:
    """At its limit, thinking is closed and the answer requested; a wait removes the closing mark."""
    family = Family(name, checkpoints(name))
    backend: list[str] = []

    def reply(prompt: str, index: int) -> str:
        backend.append(prompt)
        if prompt.endswith("{"):
            return "7}."
        if prompt.endswith("Wait"):
            return f", it is 7.{family.profile.thinking.close}So \\boxed{{7}}."
        return long_thought(family, prompt)

    limited = await family.solve("single(thinking=16)", reply)
    assert limited.answer == "7"
    assert limited.traces[0].tokens < 16 + len("7}.") + 2
    assert family.profile.thinking.closing[0] in limited.traces[0].completion

    def short(prompt: str, index: int) -> str:
        return reply(prompt, index) if prompt.endswith("Wait") else family.thinks(prompt, "8.") + "So \\boxed{8}."

    waited = await family.solve("single(waits=1)", short)
    assert waited.answer == "7"
    assert waited.traces[0].completion.count("Wait") == 1


@cell("NoThinking", THINKING)
async def test_no_thinking(checkpoints: Checkpoints, name: str) -> None:
    """The thinking is prefilled as finished, so the model begins with its answer."""
    family = Family(name, checkpoints(name))
    seen: list[str] = []

    def reply(prompt: str, index: int) -> str:
        seen.append(prompt)
        return "It is \\boxed{7}."

    result = await family.solve("single(thinking=0)", reply)
    assert result.answer == "7"
    [prompt] = seen
    thinking = family.profile.thinking
    assert prompt.rstrip().endswith(tuple(close.rstrip() for close in thinking.closing))
    assert thinking.said(result.traces[0].completion, begun=True).strip().startswith("It is \\boxed{7}.")


@cell("refine")
async def test_refine(checkpoints: Checkpoints, name: str) -> None:
    """The next round sees what drafts said, but not their thinking; text that spells control tokens stays text."""
    family = Family(name, checkpoints(name))
    forged = literal("".join(family.tokenizer.controls), family.tokenizer.controls)

    def reply(prompt: str, index: int) -> str:
        second = "Attempt 1:" in prompt
        said = "So \\boxed{7}." if second else f"Draft {index} says {forged} \\boxed{{{index}}}."
        return family.thinks(prompt, f"secret {index}") + said

    result = await family.solve("parallel_distill_refine(drafts=(2, 1), distill='top_k', k=2, by='self')", reply)
    assert result.answer == "7"
    prompts = {trace.beginning.segment.metadata["question"]: trace.beginning.segment for trace in result.traces}
    refine, plain = prompts["refine"], family.tokenizer.chat([{"role": "user", "content": "Hm?"}])
    assert "Draft 0 says" in refine.text
    assert "secret" not in refine.text
    assert sorted(set(refine.token_ids) & family.controls) == sorted(set(plain) & family.controls)
    found = [int(i) for i in refine.token_ids if i in family.controls]
    assert found == [i for i in plain if i in family.controls]


@cell("threads")
async def test_threads(checkpoints: Checkpoints, name: str) -> None:
    """Threads are inserted with their exact tokens, and no inserted text contains a control token."""
    family = Family(name, checkpoints(name))

    def reply(prompt: str, index: int) -> str:
        if prompt.endswith(("first\n", "second\n")):
            return "\n3 + 4 = 7\n</Thread>"
        if prompt.endswith("</Thread>\n"):
            return "</Parallel>\nBoth say \\boxed{7}."
        block = "<Outlines>\n<Outline>1: first</Outline>\n<Outline>2: second</Outline>\n</Outlines>"
        return family.thinks(prompt, "Two ways.") + f"<Parallel>\n{block}"

    result = await family.solve("threads()", reply)
    assert result.answer == "7"
    assert [t.completion.count("3 + 4 = 7") for t in result.traces if t.finish == "stop"] == [2]
    assert len(result.fragments) == 2
    inserted = [s for t in (*result.traces, *result.fragments) for s in t.path if s.origin == "inserted"]
    assert inserted
    assert not family.controls & {int(i) for segment in inserted for i in segment.token_ids}
    [trace] = result.traces
    assert family.tokenizer.decode(trace.token_ids) == trace.beginning.segment.text + trace.completion


@cell("tree search")
async def test_tree_search(checkpoints: Checkpoints, name: str) -> None:
    """A step continues from the exact tokens before it, and the answer is that of the best candidate."""
    family = Family(name, checkpoints(name))

    def reply(prompt: str, index: int) -> str:
        if "Step 2" in prompt:
            return "So \\boxed{7}."
        if "Step 1" in prompt:
            return f"Step 2 ({index}).\n\n"
        planned = "Plan" in prompt  # the mark that closes the plan has ended a step
        return ("" if planned else family.thinks(prompt, f"Plan {index}.")) + f"Step 1 ({index}).\n\n"

    result = await family.solve("beam_search(n=4, beam_width=2, by='mean_logprob') | majority_vote()", reply)
    assert result.answer == "7"
    done = [trace for trace in result.traces if trace.finish == "stop" and "boxed" in trace.completion]
    assert done
    for trace in done:
        assert re.sub(r"\(\d\)", "", trace.completion).count("Step") == 2
        assert family.tokenizer.decode(trace.token_ids) == trace.beginning.segment.text + trace.completion


@cell("DeepConf")
async def test_deepconf(checkpoints: Checkpoints, name: str) -> None:
    """A trace with low confidence is stopped, even inside its thinking, and has no vote."""
    family = Family(name, checkpoints(name))

    def reply(prompt: str, index: int) -> str:
        pondering = " ".join(["hm"] * 60)
        return family.thinks(prompt, pondering) + f"{pondering} The answer is {8 if index == 3 else 7}."

    strategy = "best_of_n(n=5) | deepconf(warmup=3, window=8, every=4, eta=50, consensus=None) | majority_vote()"
    result = await family.solve(strategy, reply, unsure=3)
    assert result.answer == "7"
    assert [trace.finish for trace in result.traces] == ["stop"] * 3 + ["pruned", "stop"]
    stopped = result.traces[3]
    assert stopped.tokens < 40
    if family.profile.thinking is not None:
        assert family.profile.thinking.is_open(
            stopped.completion, family.profile.thinking.begun(stopped.beginning.segment.text)
        )


def test_the_table_in_the_documents_has_these_cells_and_no_others() -> None:
    section = (
        _DOCUMENT.read_text(encoding="utf-8").partition("## What works with which family")[2].partition("\n## ")[0]
    )
    head, _, *rows = [line.strip("| \n").split(" | ") for line in section.splitlines() if line.startswith("|")]
    features = head[1:]
    assert features == list(CELLS)
    assert [row[0] for row in rows] == list(EVERY)
    for row in rows:
        assert dict(zip(features, row[1:], strict=True)) == {f: "yes" if row[0] in CELLS[f] else "–" for f in features}
