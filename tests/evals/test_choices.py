"""Reading choices, grading them, and votes on them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evals.choice_spellings import BARE, BOXED, FURTHER, NOT_STATED, PLANETS, STATED
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.evals.grading.choice import ChoiceGrader

PROBLEM = Problem("p", "Which planet has oceans?", "C", {"options": list(PLANETS)})
GRADER = ChoiceGrader()
BOUND = GRADER.for_problem(PROBLEM)


@pytest.mark.parametrize(("text", "letter"), [*BARE, *BOXED, *STATED, *FURTHER])
def test_a_choice_is_read_as_a_careful_reader_does(text: str, letter: str) -> None:
    assert BOUND.extract(text) == letter


@pytest.mark.parametrize("text", NOT_STATED)
def test_no_choice_is_invented(text: str) -> None:
    assert BOUND.extract(text) is None


@pytest.mark.parametrize(
    ("text", "options", "letter"),
    [
        (r"\boxed{\frac{1}{2}}", ["1/3", "0.5", "2"], "B"),
        (r"The answer is $\frac12$.", ["1/3", "\\frac{1}{2}", "2"], "B"),
        (r"\boxed{0.5}", ["1/2", "0.5"], "B"),
        (r"\boxed{0.50}", ["1/2", "0.5"], None),
        ("The answer is O.", ["AB", "B", "O", "A"], "C"),
        ("The answer is B.", ["AB", "B", "O", "A"], "B"),
        ("The answer is AB.", ["AB", "B", "O", "A"], "A"),
        ("Answer: none of the above", ["1", "2", "None of the above"], "C"),
        ("The answer is 5 m/s.", ["5 km/h", "5 m/s"], "B"),
        ("The answer is 5.", ["5 km/h", "5 m/s"], None),
        ("The answer is I and III only.", ["I only", "I and III only"], "B"),
        ("The answer is (J).", [str(i) for i in range(10)], "J"),
        ("The answer is I.", [str(i) for i in range(10)], "I"),
        ("I think it is hard. Answer: I", [str(i) for i in range(10)], "I"),
        ("The answer is I think 7.", [str(i) for i in range(10)], None),
        ("The answer is blue.", ["Blue", "blue "], None),
        ("Answer: A. blue", ["red", "blue"], None),
        ("Answer: A. red", ["red", "blue"], "A"),
    ],
)
def test_an_options_text_is_a_choice_where_one_option_has_it(text: str, options: list[str], letter: str | None) -> None:
    assert ChoiceGrader().for_problem(Problem("p", "?", "A", {"options": options})).extract(text) == letter


async def test_votes_go_by_letter() -> None:
    said = ["The answer is C.", r"\boxed{Earth}", "**C. Earth**", "It is B.\n\nB", "(c)"]
    answers = [BOUND.extract(text) for text in said]
    assert answers == ["C", "C", "C", "B", "C"]
    partition = await BOUND.partition([answer or "" for answer in answers])
    assert partition.classes == [[0, 1, 2, 4], [3]]
    assert not partition.undecided


async def test_verdicts() -> None:
    assert await GRADER.correct(PROBLEM, "C")
    assert await GRADER.correct(PROBLEM, "(C) Earth")
    assert await GRADER.correct(PROBLEM, "earth")
    for wrong in ("B", "Venus", "B or C", "", "K", "Earth and Mars"):
        assert not await GRADER.correct(PROBLEM, wrong)
    assert await GRADER.valid(PROBLEM, "D")
    assert not await GRADER.valid(PROBLEM, "Pluto")
    assert (await GRADER.verdict(PROBLEM, "Pluto")).rule == "no choice"
    for answer in ("Earth", None, "E"):
        with pytest.raises(UsageError, match="problem p is not multiple choice: its reference answer is"):
            await GRADER.correct(Problem("p", "?", answer, PROBLEM.metadata), "A")


_PIECES = ["A", "B", "(C)", "c", " is ", " or ", "the answer is ", "Answer: ", "\n", "\\boxed{", "}", "Earth", ".", ",",
           "?", " not ", "**", "I choose ", "option ", "the correct option is ",
           "E", "x", "$", "<think>", "</think>"]  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_what_is_read_is_an_option_whatever_the_text(text: str) -> None:
    assert BOUND.extract(text) in (None, *"ABCD")
    assert GRADER.extract(text) in (None, *"ABCDEFGHIJ")


@given(st.permutations(range(4)), st.sampled_from(range(4)))
@settings(deadline=None)
def test_an_options_text_is_read_whatever_its_letter(order: list[int], chosen: int) -> None:
    options = [PLANETS[i] for i in order]
    judge = ChoiceGrader().for_problem(Problem("p", "?", "A", {"options": options}))
    letter = "ABCD"[options.index(PLANETS[chosen])]
    said = f"The answer is {PLANETS[chosen]}.", f"So it is \\boxed{{{letter}}}", f"({letter}) {PLANETS[chosen]}"
    assert [judge.extract(text) for text in said] == [letter] * 3


@pytest.mark.parametrize(
    "text",
    ["the answer is " * 40_000, "A or " * 60_000, "I choose " * 30_000, "(" * 200_000, "\\boxed{A" * 30_000,
     "Option A " * 30_000, "A is " * 40_000, "* " * 100_000, "option " * 40_000, "\n" * 200_000 + "B", "B. " * 70_000],
)  # fmt: skip
def test_long_texts_take_no_more_than_their_length(text: str) -> None:
    assert BOUND.extract(text) in (None, *"ABCD")
