"""What a trace says: the text after its thinking, up to its end, without control tokens."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from tests.core.scripted import PlainGrader
from widthwise.core.prompting.saying import BEGUN, END_UNKNOWN, AnswerInThinking, Saying
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.session.answers import stated
from widthwise.core.trace.trace import Segment, SegmentOrigin, Trace
from widthwise.models.thinking_marks import HARMONY, THINK, tagged

FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
ANALYSIS = "<|channel|>analysis<|message|>"
PLAIN = Saying(ends=("<|im_end|>",), controls=frozenset({"<|im_start|>", "<|python_tag|>"}))


def trace(*segments: tuple[SegmentOrigin, str], prompt: str = "1+1?\n", **metadata: object) -> Trace:
    node = Trace((0,), Segment("prompt", np.array([1]), prompt))
    for number, (origin, text) in enumerate(segments):
        finish = "stop" if origin == "sampled" else None
        segment = Segment(origin, np.array([1]), text, finish=finish, metadata=metadata)
        node = Trace((0, *[0] * (number + 1)), segment, node)
    return node


def sampled(text: str, prompt: str = "1+1?\n", **metadata: object) -> Trace:
    return trace(("sampled", text), prompt=prompt, **metadata)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ANSWER: 42<|im_end|>", "ANSWER: 42"),
        ("ANSWER: 42<|im_end|>\n", "ANSWER: 42"),
        ("42<|im_end|>\n<|im_start|>user\nAnd 7?<|im_end|>", "42"),  # a server that did not stop
        ("<|python_tag|>42", "42"),
        ("42</s>", "42"),
        ("42 </s></s>\n", "42 "),
        ("<s>old</s> new", "<s>old</s> new"),  # a web page
        ("42<|eot_id|>", "42"),  # an end token of another family, which only a recording can contain
        ("4 < 2 <|x|> 3", "4 < 2 <|x|> 3"),
        ("<think>8</think>7<|im_end|>", "7"),
        ("<think>8<|im_end|>", ""),
        ("[THINK]8[/THINK]7", "7"),
        (f"{ANALYSIS}8{FINAL}7<|return|>", "7"),
        ("", ""),
    ],
)
def test_what_is_said(text: str, said: str) -> None:
    assert PLAIN.said(sampled(text)) == said
    assert PLAIN.parts(text, "never") == [part for part in [said] if part]


def test_an_end_that_is_only_quoted_is_none() -> None:
    """The tokens show whether an end is real; where they are missing, a note of them does."""
    saying = Saying(ends=("<|im_end|>",), end_ids=frozenset({9}))
    text = "It ends in <|im_end|>. = 4<|im_end|>"
    ids = {"quoted": [1, 2, 9], "meant": [1, 9, 2, 9], "cut": [1, 2, 3]}
    ended = Trace((0, 0), Segment("sampled", np.array([1, 9]), "= 4<|im_end|>"), sampled("").parent)
    traces = {name: Trace((0, 0), Segment("sampled", np.array(i), text), sampled("").parent) for name, i in ids.items()}
    said = {"quoted": "It ends in . = 4", "meant": "It ends in ", "cut": "It ends in . = 4"}
    assert {name: saying.said(trace) for name, trace in traces.items()} == said
    for name, trace in traces.items():
        noted = saying.noted(trace)
        assert (noted is trace) == (name == "meant")
        assert Saying().said(noted) == said[name]
    assert saying.noted(ended) is ended


def test_what_was_inserted_after_an_end_is_read_too() -> None:
    grown = trace(("sampled", "hm<|im_end|>"), ("inserted", " so \\boxed{"), ("sampled", "7}<|im_end|>\nno"))
    assert PLAIN.said(grown) == "hm so \\boxed{7}"
    assert PLAIN.last(grown) == (0, "7}")


@pytest.mark.parametrize(("thinking", "opening"), [(THINK, "<think>"), (tagged("THINK", "[]"), "[THINK]")])
def test_a_prompt_or_a_recording_may_have_opened_the_thinking(thinking: Thinking, opening: str) -> None:
    saying = Saying(thinking)
    assert saying.said(sampled("\\boxed{8}")) == "\\boxed{8}"
    assert saying.said(sampled("\\boxed{8}", prompt=f"1+1?{opening}\n")) == ""
    assert saying.said(sampled("\\boxed{8}", **{BEGUN: True})) == ""
    assert saying.said(sampled("8" + thinking.close + "7", **{BEGUN: True})).strip() == "7"


def test_thinking_that_is_closed_across_segments() -> None:
    grown = trace(("sampled", "<think>8"), ("inserted", THINK.close), ("sampled", "7<|im_end|>"))
    assert (PLAIN.said(grown).strip(), PLAIN.last(grown)) == ("7", (0, "7"))
    thinks = trace(("inserted", "<think>a</think>"), ("sampled", "b<think>8"))
    assert (PLAIN.said(thinks), PLAIN.last(thinks), PLAIN.is_open(thinks)) == ("", (9, ""), True)
    later = trace(("sampled", "<think>8</think>yes<|im_end|>"))
    assert PLAIN.last(later) == (16, "yes")


@pytest.mark.parametrize(
    ("counted", "closed", "cut"),
    [("never", "4", None), ("last", "4", None), ("text", "4", "8"), (None, "4", None), ("nonsense", "4", None)],
)
@pytest.mark.parametrize(
    ("saying", "opening", "close"),
    [(Saying(THINK), "<think>", "</think>"), (Saying(HARMONY), ANALYSIS, FINAL)],
)
def test_what_thinking_counts_is_the_graders_setting(
    saying: Saying, opening: str, close: str, counted: str | None, closed: str | None, cut: str | None
) -> None:
    class Settled(PlainGrader):
        settings = {} if counted is None else {"thinking": counted}

    assert stated(sampled(f"{opening}= 8{close}= 4"), Settled(), saying) == closed
    assert stated(sampled(f"{opening}= 8"), Settled(), saying) == cut
    unsaid = {"ended": "8" if counted == "text" else None, "cut": "8" if counted in ("last", "text") else None}
    ended = sampled(f"{opening}= 8{close}I give up")
    assert _read_by_the_rules(ended, saying, counted) == unsaid["ended"]
    for cut in (ended.ended("length", ""), ended.annotated({END_UNKNOWN: True})):
        assert _read_by_the_rules(cut, saying, counted) == unsaid["cut"]
    for_it = trace(("sampled", f"{opening}= 8"), ("inserted", saying.thinking.close), ("sampled", "I give up"))
    assert _read_by_the_rules(for_it, saying, counted) == ("8" if counted == "text" else None)


def _read_by_the_rules(trace: Trace, saying: Saying, counted: str | None) -> str | None:
    """Reads the parts of the text in order, as a grader with this setting does."""
    known: AnswerInThinking = counted if counted in get_args(AnswerInThinking) else "never"  # type: ignore[assignment]
    parts = Saying().parts(saying.readable(trace, known), known)
    return next((found for part in parts if (found := PlainGrader().extract(part)) is not None), None)


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("<think>8</think>7<|im_end|>", "<think>8</think>7"),
        ("<think>8<|im_end|>", "<think>8"),
        (f"{ANALYSIS}8{FINAL}7<|return|>", "8\n\n7"),
        ("7<|im_end|>", "7"),
    ],
)
def test_a_response_has_the_thinking_and_no_control_tokens(text: str, response: str) -> None:
    saying = Saying(HARMONY if "channel" in text else THINK, ("<|return|>", "<|im_end|>"))
    assert saying.response(sampled(text)) == response


@pytest.mark.parametrize("counted", get_args(AnswerInThinking))
@pytest.mark.parametrize("text", ["<think>= 8</think>= 7<|im_end|>", "<think>= 8", "= 7", "<think>= 8</think>none"])
def test_a_text_alone_is_read_as_a_trace_is(counted: AnswerInThinking, text: str) -> None:
    def first(parts: list[str]) -> str | None:
        return next((found for part in parts if (found := PlainGrader().extract(part)) is not None), None)

    readable = PLAIN.readable(sampled(text).ended("length", ""), counted)
    assert PLAIN.readable_text(text, counted) == readable
    assert PLAIN.readable_text(text, counted, ended=True) == PLAIN.readable(sampled(text), counted)
    assert first(PLAIN.parts(readable, counted)) == first(PLAIN.parts(text, counted))


@pytest.mark.parametrize(
    ("thinking", "written", "closing"),
    [
        (THINK, "<think>so", "\n</think>\n\n"),
        (THINK, "<think>so\n", "</think>\n\n"),
        (THINK, "<think>so\n</think>", "\n\n"),
        (HARMONY, f"{ANALYSIS}so", FINAL),
        (HARMONY, f"{ANALYSIS}so<|end|>", FINAL.removeprefix("<|end|>")),
        (Saying().thinking, "[THINK]so", "\n[/THINK]\n\n"),
        (Saying().thinking, "<think>a</think>[THINK]so", "\n[/THINK]\n\n"),
    ],
)
def test_what_closes_thinking(thinking: Thinking, written: str, closing: str) -> None:
    assert thinking.closing_of(written) == closing
