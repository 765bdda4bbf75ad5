"""Reading answers from texts. ``data/stated_answers.txt`` says what each text states."""

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.core.errors import UsageError
from widthwise.evals.grading.extraction import COUNTDOWN, INTEGER, MATH, WORD_PROBLEM, Policy, extract, read
from widthwise.evals.grading.graders import MathGrader
from widthwise.evals.grading.values import read_choice

POLICIES = {"math": MATH, "integer": INTEGER, "word": WORD_PROBLEM, "countdown": COUNTDOWN}


def _stated() -> dict[tuple[str, str], list[tuple[str, str | None]]]:
    """(text, the answer it states) by kind and policy."""
    found: dict[tuple[str, str], list[tuple[str, str | None]]] = defaultdict(list)
    section = None
    path = Path(__file__).parent / "data" / "stated_answers.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("=== "):
            kind, policy = line.removeprefix("=== ").split(" | ")
            section = (kind, policy)
        elif section and line:
            text, answer = line.rsplit(" => ", 1)
            found[section].append((text.replace("⏎", "\n"), None if answer == "-" else answer))
    return found


@pytest.mark.parametrize(("kind", "policy"), _stated())
def test_what_texts_state(kind: str, policy: str) -> None:
    cases = _stated()[kind, policy]
    assert {text: extract(text, POLICIES[policy]) for text, _ in cases} == dict(cases)


def test_a_reading_says_where_it_was_found() -> None:
    reading = read("First \\boxed{1}.\nANSWER: 5, as required", MATH)
    assert reading is not None
    assert (reading.answer, reading.reader, reading.statement) == ("5", "answer line", "5, as required")
    assert reading.at == len("First \\boxed{1}.\n")


THOUGHT = r"maybe \boxed{1}</think> It is "


@pytest.mark.parametrize(
    ("text", "last", "never", "as_text"),
    [
        (THOUGHT + r"\boxed{2}", "2", "2", "2"),
        (THOUGHT + "done.", "1", None, "1"),
        (r"<think> It is \boxed{1} but", None, None, "1"),
        (r"It is \boxed{1} but", "1", "1", "1"),
        (r"ANSWER: 3</think> \boxed{x} </think> I am done", "x", None, "x"),
        (r"The answer is 4.</think> The answer is unclear", "4", None, "4"),
    ],
)
def test_what_a_thinking_part_counts(text: str, last: str | None, never: str | None, as_text: str | None) -> None:
    assert read_answers(text) == [last, never, as_text]


def read_answers(text: str) -> list[str | None]:
    return [MathGrader().changed(thinking=value).extract(text) for value in ("last", "never", "text")]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("So it is 5 or 6.", "6"),
        ("x = -3", "-3"),
        ("It costs $1,200.50", "1,200.50"),
        ("none", None),
        ("at last 2.5.", "2.5"),
        (r"12 and \boxed{7}", "7"),
        ("The answer is 8. Bye, 9", "8"),
    ],
)
def test_the_last_number_counts_where_it_is_asked_for(text: str, number: str | None) -> None:
    grader = MathGrader().changed(last_number=True)
    assert grader.extract(text) == number
    assert MathGrader().extract(text) == (number if "boxed" in text or "answer" in text else None)


def test_an_argument_that_there_is_not_is_refused() -> None:
    for arguments, message in (
        ({"last": True}, "no argument 'last'; it has thinking, last_number"),
        ({"last_number": 1}, "last_number of the math grader is a bool"),
        ({"thinking": "often"}, "thinking is one of never, last, text"),
        ({"relative": float("inf")}, "finite"),
    ):
        with pytest.raises(UsageError, match=message):
            MathGrader().changed(**arguments)


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ("B", ("B", "")),
        ("(B)", ("B", "")),
        (r"\textbf{(B) } 12", ("B", "12")),
        (r"\text{(B)}", ("B", "")),
        ("B. 12 apples", ("B", "12 apples")),
        ("B) 7", ("B", "7")),
        ("D: none of the above", ("D", "none of the above")),
        (r"\mathrm{(A)}\ 40", ("A", "40")),
        ("option (C)", ("C", "")),
        ("A or B", None),
        ("(A) and (B)", None),
        ("(A) or 5", None),
        ("A, C", None),
        ("(A) 1 (B) 2", None),
        ("A = 5", None),
        ("A(x)", None),
        ("AB", None),
        ("(A) is wrong", None),
        ("x", None),
        ("(5)", None),
        ("", None),
    ],
)
def test_choices(answer: str, choice: tuple[str, str] | None) -> None:
    assert read_choice(answer) == choice


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    ["\\boxed{", "{", "}", "\\", "\\boxed{1}", "\\boxed{1} and ", "the answer is ", "ANSWER: \n", "#### ", "A: x\n",
     "</think>", " ", "\n", "\0", "$", "\\boxed ", "1", "answer", "final answer is: {{{", "<answer>", "</answer>",
     "\\boxed{\\", "answer is: $", "the final ", "\\f{", "> ", "> answer\n", "**", "\\boxed{5", "Answer:\n\n", "(",
     "the answer is 5, so ", "\\boxed{}", "no wait ", "\\text{"],
)  # fmt: skip
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_hostile_texts_are_read(piece: str, policy: Policy) -> None:
    """Reading takes linear time: a quadratic step would take many minutes here."""
    text = piece * (100_000 // len(piece))
    for hostile in (text, "\\boxed{5} " + text, "The answer is " + text):
        answer = extract(hostile, policy)
        assert answer is None or len(answer) <= 2_000


@pytest.mark.parametrize("policy", [MATH, INTEGER])
def test_boxes_in_boxes_are_read(policy: Policy) -> None:
    for depth in (1, 2, 50, 100_000):
        assert extract("\\boxed{" * depth + "5" + "}" * depth, policy) == "5"


@given(st.text(alphabet="\\boxed{}$ answer is:\n1a#</think>,*A(.", max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for policy in POLICIES.values():
        answer = extract(text, policy)
        assert answer is None or answer == answer.strip() != ""


ENDS = ("<|im_end|>", "</s>", "<|eot_id|>\n", "<end_of_turn>", "<|im_end|><|endoftext|>", "<|return|>")


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("text", ["ANSWER: 42", "The answer is \\boxed{42}", "The final answer is 42", "#### 42"])
@pytest.mark.parametrize("policy", [MATH, INTEGER])
def test_a_token_that_ends_the_sequence_is_no_part_of_the_answer(text: str, end: str, policy: Policy) -> None:
    assert extract(text + end, policy) == "42"
