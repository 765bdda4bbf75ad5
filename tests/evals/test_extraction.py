"""Reading answers out of texts."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.evals.grading.extraction import COUNTDOWN, INTEGER, MATH, WORD_PROBLEM, Policy, extract


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"first \boxed{1}, then we see that it is \boxed{2}", "2"),
        (r"\boxed{\boxed{7}}", r"\boxed{7}"),
        (r"\fbox{3}", "3"),
        (r"\boxed {4}", "4"),
        (r"\boxed 5", "5"),
        (r"\\boxed{6}", "6"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"a stray { and then \boxed{8}", "8"),
        (r"\boxed{9} but then it was cut off in \boxed{\frac{1", "9"),
        (r"\boxed{\text{ANSWER: 199}}", "199"),
        ("The final answer is $12$. I hope it is correct.", "12"),
        ("**Final answer:** 42", "42"),
        ("Final Answer\n\nANSWER: 46", "46"),
        ("the answer is 8, no, the answer is 9.", "9"),
        ("The final answer is:\n\n\\[ 15 \\]", "15"),
        ("The answer is 3.5 metres. Or is it", "3.5 metres"),
    ],
)
def test_a_stated_answer_is_read(text: str, answer: str) -> None:
    assert extract(text, MATH) == answer


@pytest.mark.parametrize(
    "text", ["", "so x must be 5", r"\boxed{", r"\boxed{}", r"\boxed{\frac{1}{2}", "A: the set", "\0"]
)
def test_nothing_is_guessed(text: str) -> None:
    assert extract(text, MATH) is None


def test_neighbouring_boxes_are_one_list() -> None:
    assert extract(r"\boxed{-2} \quad \text{and} \quad \boxed{1}.", MATH) == "-2, 1"
    assert extract(r"$x = \boxed{3}$ and $y = \boxed{4}$", MATH) == "3, 4"
    assert extract(r"\boxed{1} papers and \boxed{2} bins", MATH) == "1, 2"
    assert extract(r"\boxed{1} no no no no no \boxed{2}", MATH) == "2"
    assert extract(r"\boxed{1}, \boxed{2}", Policy(MATH.readers)) == "2"


def test_the_answer_follows_the_thinking() -> None:
    assert extract(r"maybe \boxed{1}</think> It is \boxed{2}", MATH) == "2"
    assert extract(r"it is \boxed{1}</think> I am done", MATH) == "1"
    assert extract(r"let me think: \boxed{1} is wrong, so", MATH) == "1"


def test_an_integer_policy_passes_over_other_things() -> None:
    assert extract(r"\boxed{70} = \boxed{m+n}", INTEGER) == "70"
    assert extract(r"\boxed{12} and finally" + "\n\u2003ANSWER: 081", INTEGER) == "081"
    assert extract(r"\boxed{70^\circ}", INTEGER) == r"70^\circ"
    assert extract(r"\boxed{\frac{1}{2}}", INTEGER) is None
    assert extract("ANSWER: X", INTEGER) is None


def test_word_problems_and_countdown() -> None:
    assert extract("13 * 2 = $<<13*2=26>>26\nA: 26", WORD_PROBLEM) == "26"
    assert extract("so it costs\n#### 1,080", WORD_PROBLEM) == "1,080"
    assert extract("Steps:\n...\nAnswer: (10 - 6) * (5 + 1) = 24", COUNTDOWN) == "(10 - 6) * (5 + 1) = 24"
    assert extract("(6 / (9 - 7)) * 8 = 24", COUNTDOWN) == "(6 / (9 - 7)) * 8 = 24"
    assert extract("Answer: None", COUNTDOWN) is None


@pytest.mark.parametrize(
    "piece",
    ["\\boxed{", "{", "}", "\\", "\\boxed{1}", "\\boxed{1} and ", "the answer is ", "ANSWER: \n", "#### ", "A: x\n",
     "</think>", " ", "\n", "\0", "$", "\\boxed ", "1", "answer", "final answer is: {{{"],
)  # fmt: skip
@pytest.mark.parametrize("policy", [MATH, INTEGER, WORD_PROBLEM, COUNTDOWN])
def test_a_hostile_megabyte_takes_linear_time(piece: str, policy: Policy) -> None:
    text = piece * (1_000_000 // len(piece))
    begin = time.process_time()
    extract(text, policy)
    assert time.process_time() - begin < 10


@given(st.text(alphabet="\\boxed{}$ answer is:\n1a#</think>,", max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for policy in (MATH, INTEGER, WORD_PROBLEM, COUNTDOWN):
        answer = extract(text, policy)
        assert answer is None or answer == answer.strip() != ""
