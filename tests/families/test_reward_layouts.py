"""Reward layouts on real tokenizers: the same ids as from the reference code of each family."""

from __future__ import annotations

from typing import Any

import pytest

from tests.families.checkpoints import Checkpoints
from tests.families.test_prompts_of_families import ours, reference
from widthwise.core.problem import Problem
from widthwise.models.formats import BOXED
from widthwise.models.reward_formats import LLAMA_ORM, QWEN_MATH_RM, QWEN_PRM, RLHFLOW, RLHFLOW_ORM, SKYWORK_PRM

pytestmark = pytest.mark.vllm

PROBLEM = Problem("p", "What is $3 + 4 \\cdot 2$?", "11")
STEPS = ("First, $4 \\cdot 2 = 8$.\nThat is eight.", "Then $3 + 8 = 11$.", "So \\boxed{11}.")


def templated(tokenizer: Any, messages: list[dict[str, str]], **options: Any) -> list[int]:
    return list(tokenizer.apply_chat_template(messages, return_dict=False, **options))


def test_skywork(checkpoints: Checkpoints) -> None:
    theirs = reference(checkpoints("qwen3"))
    ids = theirs.encode(PROBLEM.text + "\n")
    marks = []
    for line in "\n\n".join(STEPS).split("\n"):
        ids += [*theirs.encode(line), theirs.encode("\n")[-1]]
        marks.append(len(ids) - 1)
    laid = SKYWORK_PRM.laid_out(ours(checkpoints("qwen3")), PROBLEM, "\n\n".join(STEPS).split("\n"))
    assert laid.ids.tolist() == ids
    assert list(laid.positions) == marks
    assert len(marks) == 6


def test_skywork_begins_with_the_tokenizers_bos(checkpoints: Checkpoints) -> None:
    tokenizer = ours(checkpoints("llama3"))
    assert SKYWORK_PRM.laid_out(tokenizer, PROBLEM, STEPS).ids[0] == tokenizer.bos_id == 128000


def test_qwens_outcome_model(checkpoints: Checkpoints) -> None:
    conversation = [
        {"role": "system", "content": BOXED},
        {"role": "user", "content": PROBLEM.text},
        {"role": "assistant", "content": "\n\n".join(STEPS)},
    ]
    ids = templated(reference(checkpoints("qwen2.5-math")), conversation, add_generation_prompt=False)
    laid = QWEN_MATH_RM.laid_out(ours(checkpoints("qwen2.5-math")), PROBLEM, STEPS)
    assert laid.ids.tolist() == ids
    assert laid.positions == (len(ids) - 1,)


def test_qwens_process_model(checkpoints: Checkpoints) -> None:
    """Its tag is not a token of this vocabulary, so the test compares the text: a tag after every step."""
    tokenizer = ours(checkpoints("qwen2.5-math"))
    text = tokenizer.decode(QWEN_PRM.laid_out(tokenizer, PROBLEM, STEPS).ids)
    begun = (
        f"<|im_start|>system\n{BOXED}<|im_end|>\n<|im_start|>user\n{PROBLEM.text}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert text == begun + "".join(f"{step}<extra_0>" for step in STEPS)


@pytest.mark.parametrize("kind", ["process", "outcome"])
def test_rlhflow(checkpoints: Checkpoints, kind: str) -> None:
    steps = STEPS if kind == "process" else ("\n\n".join(STEPS),)
    theirs, conversation, marks = reference(checkpoints("llama3")), [], []
    for n, step in enumerate(steps):
        conversation.append({"role": "user", "content": f"{PROBLEM.text} {step}" if n == 0 else step})
        marks.append(len(templated(theirs, conversation, add_generation_prompt=True)) - 1)
        conversation.append({"role": "assistant", "content": "+"})
    ids = templated(theirs, conversation[:-1], add_generation_prompt=True)
    laid = (RLHFLOW if kind == "process" else RLHFLOW_ORM).laid_out(ours(checkpoints("llama3")), PROBLEM, STEPS)
    assert laid.ids.tolist() == ids
    assert list(laid.positions) == marks


def test_outcome_models_on_llama_3(checkpoints: Checkpoints) -> None:
    conversation = [
        {"role": "user", "content": PROBLEM.text},
        {"role": "assistant", "content": "\n\n".join(STEPS)},
    ]
    ids = templated(reference(checkpoints("llama3")), conversation, add_generation_prompt=False)
    assert LLAMA_ORM.laid_out(ours(checkpoints("llama3")), PROBLEM, STEPS).ids.tolist() == ids
