"""Verdicts, read strictly from judges' replies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.scripted import Characters
from widthwise.core.backend import TokenStats
from widthwise.core.prompting.verdict import choice, concluded, printed, program, verdict, word
from widthwise.core.trace.trace import Segment

WORDS = ("yes", "no")


def said(text: str, words: tuple[str, str] = WORDS) -> float | None:
    return verdict(Segment("sampled", np.array(Characters().encode(text), np.int64), text), text, Characters(), words)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("yes", 1.0),
        ("No.", 0.0),
        ("Step 1 is right.\n\nVerdict: **Yes**\n", 1.0),
        ("no\n\nOn second thoughts:\nyes", 1.0),
        ("No, 3 + 4 is 7.", 0.0),
        ("The final answer is right: \\boxed{yes}", 1.0),
        ("There is no error, so yes", 1.0),
        ("", None),
        ("yes\nbut I am not sure", None),
        ("I found no errors", None),
        ("No errors", None),
        ("yes or no", None),
        ("not yes", None),
        ("eyes", None),
        ("+", None),
    ],
)
def test_words(text: str, right: float | None) -> None:
    assert said(text) == right


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sure", "sure"),
        ("It goes on well.\n**Likely.**", "likely"),
        ("Impossible, since 7 is odd.", "impossible"),
        ("unlikely", None),
        ("I am not sure", None),
        ("likely or impossible", None),
        ("sure\nsurely", None),
        ("", None),
    ],
)
def test_one_of_several_words(text: str, found: str | None) -> None:
    assert word(text, ("sure", "likely", "impossible")) == found


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("12 + 7 = 19\n\n+", 1.0),
        ("12 - 7 = 5\n\n-\n", 0.0),
        ("12 + 7", None),
        ("12 +", None),
        ("yes", None),
        ("+-", None),
        ("+\n12 + 7 = 19", None),
    ],
)
def test_signs_stand_alone(text: str, right: float | None) -> None:
    assert said(text, ("+", "-")) == right


def test_spellings_of_a_verdict_are_taken_together() -> None:
    """P(yes) = .5 (Y .3, y .2) against P(no) = .1 (N): 5/6. A token that begins neither word is ignored."""
    text = "Sum: 4\nYes"
    ids = np.array(Characters().encode(text), np.int64)
    top_ids = np.tile([ord(c) for c in "YyNx "], (len(ids), 1))
    tops = np.log(np.tile([0.3, 0.2, 0.1, 0.35, 0.05], (len(ids), 1))).astype(np.float32)
    tops[: text.index("Y")] = np.log(0.2)
    segment = Segment("sampled", ids, text, stats=TokenStats(np.zeros(len(ids), np.float32), top_ids, tops))
    assert verdict(segment, text, Characters(), WORDS) == pytest.approx(5 / 6)


def test_choices() -> None:
    assert choice("They differ at step 2.\n\nSolution 1 is better: **1**", 2) == 1
    assert choice("[2]", 2) == 2
    for text in ("", "none", "1 or 2", "3", "0", "1.5", "99999999999", "2\nnot sure"):
        assert choice(text, 2) is None


def test_programs() -> None:
    assert program("First\n```python\nx = 1\n```\nbetter:\n```\ny = 2\n```\n") == "y = 2\n"
    for text in ("", "print(True)", "```python\nprint(True)"):
        assert program(text) is None
    assert [printed(o) for o in ("True\n", "x\nFalse\n\n", "true", "", "True!", "1\n")] == [True, False, *[None] * 4]


def test_thinking_is_left_out() -> None:
    assert concluded("<think>a</think>\nb", "</think>") == "\nb"
    assert concluded("no thinking", "</think>") == "no thinking"
    assert concluded("cut</think> ", "</think>") == "cut</think> "


@settings(deadline=None)
@given(st.text(max_size=300), st.sampled_from([WORDS, ("+", "-")]))
def test_any_text_is_read(text: str, words: tuple[str, str]) -> None:
    found = said(text, words)
    assert found in (None, 0.0, 1.0)
    assert choice(text, 9) in (None, *range(1, 10))
    assert printed(text) in (None, True, False)
    program(text)


def test_long_replies_are_read_in_one_pass() -> None:
    for piece in ("`", "```\n", "```x\n", "yes ", "1", " ", "\n", "or yes"):
        text = piece * 200_000
        assert said(text) in (None, 1.0)
        assert choice(text, 9) in (None, 1)
        program(text)
