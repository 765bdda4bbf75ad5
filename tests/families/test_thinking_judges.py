"""Judges, outlines and notes of a thinking model: read after its thinking; if cut off inside it, they say nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.core.scripted import PlainGrader, Replying
from widthwise.core.backend import Capabilities, SamplingParams
from widthwise.core.problem import Problem
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.result import Result
from widthwise.models.formats import GENERIC
from widthwise.models.thinking_marks import THINK

CUT = "cut off in their thinking"
LONG = "<think>" + "yes. 1\n" * 20


async def solved(strategy: str, judge: str, **fields: Any) -> tuple[Result, Replying]:
    """The result if samples answer 2 and 3, and all other requests get the reply ``judge``."""

    def reply(prompt: str, index: int) -> str:
        if "\n\n" in prompt or "yes or no" in prompt:
            return judge
        return f"<think>no\n1. secret</think>It is = {2 + index % 2}"

    backend = Replying(reply)
    backend.capabilities = Capabilities(deterministic=True, max_logprobs=5)
    setting = Setting(Scheduler(backend), PlainGrader(), GENERIC, params=SamplingParams(), thinking=THINK)
    return await parse_strategy(strategy).solve(Problem("p1", "1+1?", "2"), replace(setting, **fields)), backend


JUDGED = {
    "best_of_n(n=2) | generative_verification(k=1)": "<think>no</think>Sure.\nyes",
    "best_of_n(n=2) | knockout(k=1)": "<think>2</think>1",
    "best_of_n(n=2) | universal_self_consistency()": "<think>2</think>1",
    "best_of_n(n=2) | gen_select(draws=2)": "<think>Judgment: 2</think>The first.\nJudgment: 1",
    "best_of_n(n=2) | gen_synthesis(draws=2)": "<think>= 3</think>So = 2",
    "outlined(n=2)": "<think>1. bad\n2. worse</think>1. good\n2. better",
    "parallel_distill_refine(drafts=(2, 1))": "<think>secret</think>Notes: = 2",
    "parallel_distill_refine(drafts=(2, 1), distill='top_k', by='self', k=1)": "<think>[1]</think>[2] = 2",
}


@pytest.mark.parametrize("strategy", JUDGED)
async def test_replies_are_read_after_the_thinking_and_drafts_are_quoted_without_theirs(strategy: str) -> None:
    result, backend = await solved(strategy, JUDGED[strategy])
    assert not result.notes
    asked = [backend.tokenizer.decode(request.prompt) for request in backend.requests]
    assert any("\n\n" in prompt for prompt in asked)
    assert not any(word in prompt for prompt in asked for word in ("secret", "bad", "worse", "<think>"))


@pytest.mark.parametrize("strategy", JUDGED)
async def test_a_reply_that_is_cut_off_in_its_thinking_says_nothing_and_is_counted(strategy: str) -> None:
    result, _ = await solved(strategy, LONG, judge_tokens=20)
    assert any(CUT in note.text for note in result.notes)
    assert result.answer in ("2", "3")


@pytest.mark.parametrize("strategy", JUDGED)
async def test_a_judge_has_room_for_its_thinking_though_samples_have_little(strategy: str) -> None:
    padded = JUDGED[strategy].replace("<think>", "<think>" + "hm " * 40)
    result, _ = await solved(strategy, padded, params=SamplingParams(max_tokens=60))
    assert not result.notes


async def test_a_verdict_of_one_token_is_asked_for_behind_finished_thinking() -> None:
    strategy = "best_of_n(n=3) | deepprune(at=36, judge=same_answer(logprobs=1))"
    _, backend = await solved(strategy, "yes")
    asked = [backend.tokenizer.decode(r.prompt) for r in backend.requests if r.params.max_tokens == 1]
    assert asked
    assert all(prompt.endswith(THINK.left_out("")) for prompt in asked)
    assert not any("\0" in prompt for prompt in asked)  # the end token is not part of a solution's text
    _, backend = await solved(strategy, "yes", thinking=None)
    assert not any(THINK.left_out("") in backend.tokenizer.decode(r.prompt) for r in backend.requests)


@pytest.mark.parametrize(("show", "shown"), [(True, True), (False, False)])
async def test_a_draft_that_was_cut_in_its_thinking_is_shown_where_thinking_is(show: bool, shown: bool) -> None:
    strategy = f"sequential_refinement(rounds=2, show_thinking={show})"
    _, backend = await solved(strategy, "so = 2", params=SamplingParams(max_tokens=14))
    second = backend.tokenizer.decode(backend.requests[-1].prompt)
    assert ("no\n1. s" in second) == shown
    assert ("Attempt 1" in second) == shown
