"""What a trace thinks and what it says."""

from __future__ import annotations

import pytest

from widthwise.core.prompting.thinking import Thinking
from widthwise.models.thinking_marks import HARMONY, THINK, tagged

ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("text", "begun", "thought", "said"),
    [
        ("<think>a</think>b", False, "<think>a</think>", "b"),
        ("a</think>b", True, "a</think>", "b"),
        ("a", True, "a", ""),
        ("a", False, "", "a"),
        ("<think>a", False, "<think>a", ""),
        ("<think>a</think>b<think>c", False, "<think>a</think>b<think>c", ""),
        ("<think>a</think>b<think>c</think>d", False, "<think>a</think>b<think>c</think>", "d"),
        ("<think>\n\n</think>\n\n7", False, "<think>\n\n</think>", "\n\n7"),
    ],
)
def test_what_is_said_stands_behind_the_last_mark(text: str, begun: bool, thought: str, said: str) -> None:
    assert (THINK.thought(text, begun), THINK.said(text, begun)) == (thought, said)
    assert THINK.is_open(text, begun) == (said == "" and thought == text)


def test_channels() -> None:
    assert HARMONY.said(f"{ANALYSIS}8{FINAL}7<|return|>") == "7<|return|>"
    assert HARMONY.said(f"{ANALYSIS}8<|end|>") == ""
    assert HARMONY.said(f"{ANALYSIS}8<|end|><|start|>assistant<|channel|>commentary<|message|>hm<|end|>") == ""


@pytest.mark.parametrize("thinking", [THINK, HARMONY, tagged("THINK", "[]")])
def test_closing_and_leaving_out(thinking: Thinking) -> None:
    begun = thinking.marks[0][0] + "a"
    assert thinking.is_open(begun)
    assert not thinking.is_open(begun + thinking.close)
    assert thinking.said(begun + thinking.close + "7").strip() == "7"
    assert thinking.said(thinking.empty + "7").strip() == "7"


@pytest.mark.parametrize(
    ("prompt", "begun"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("assistant\n<think>\n\n</think>\n\n", False),
        ("<think> is a tag", False),
    ],
)
def test_a_prompt_may_open_the_thinking(prompt: str, begun: bool) -> None:
    assert THINK.begun(prompt) == begun
