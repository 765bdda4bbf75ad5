"""Prompts: places are filled once, braces of hostile text stay, unknown names and places are clear errors."""

from dataclasses import replace

import pytest

from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat, filled

PROBLEM = Problem("p", "What is {draft} in {1, 2}?", "3")
FORMAT = PromptFormat(
    "plain",
    prompts={"verify": "{problem} | {draft} | {instruction}", "each_draft": "[{n}: {text}]", "bad": "{nobody}"},
)


def test_places_are_filled_once_and_braces_of_the_texts_stay():
    (message,) = FORMAT.question("verify", PROBLEM, "Box it.", {"draft": "a {problem} \\boxed{7}"})
    assert message == {
        "role": "user",
        "content": "What is {draft} in {1, 2}? | a {problem} \\boxed{7} | Box it.",
    }


def test_the_turns_before_the_problem_stand_before_everything_that_is_asked():
    earlier = [{"role": "user", "content": "Hi {problem}"}, {"role": "assistant", "content": "Hello."}]
    asked = Problem.asked([*earlier, {"role": "user", "content": "What is 1 + 1?"}])
    system = {"role": "system", "content": "Be brief."}
    brief = replace(FORMAT, system="Be brief.")
    assert brief.messages(asked)[:-1] == [system, *earlier]
    assert brief.question("verify", asked, "", {"draft": "x"})[:-1] == [system, *earlier]


def test_lists_number_their_items_from_one():
    assert FORMAT.listed("draft", ["first ", "{n}"]) == "[1: first][2: {n}]"


def test_an_unknown_question_and_an_empty_place_are_named():
    with pytest.raises(UsageError, match="no prompt 'verfy'; it has: bad, each_draft, verify"):
        FORMAT.question("verfy", PROBLEM, "", {})
    with pytest.raises(UsageError, match=r"the place \{nobody\}"):
        FORMAT.question("bad", PROBLEM, "", {})


def test_the_users_own_prompts_replace_those_of_the_family():
    changed = FORMAT.changed({"verify": "Check {draft}", "solve": "Now: {problem}"})
    assert changed.question("verify", PROBLEM, "", {"draft": "x"})[0]["content"] == "Check x"
    assert changed.messages(PROBLEM)[0]["content"] == "Now: What is {draft} in {1, 2}?"
    with pytest.raises(UsageError, match="no prompt 'other'"):
        FORMAT.changed({"other": "?"})


def test_a_place_is_a_word_of_small_letters():
    assert filled("\\frac{1}{2} {X} {a_b}", a_b="!") == "\\frac{1}{2} {X} !"


def test_the_task_is_the_problem_unless_somebody_says_otherwise():
    plain = PromptFormat("plain", prompts={"threads": "{task} | {problem}"})
    assert plain.question("threads", PROBLEM, "", {})[0]["content"] == f"{PROBLEM.text} | {PROBLEM.text}"
    assert plain.question("threads", PROBLEM, "", {"task": "T"})[0]["content"] == f"T | {PROBLEM.text}"


def test_a_prompt_of_ones_own_has_no_place_that_nobody_fills():
    with pytest.raises(
        UsageError, match=r"'verify' has the place \{count\}, .*\{draft\}, \{instruction\}, \{problem\}"
    ):
        FORMAT.changed({"verify": "{problem} {count}"})


@pytest.mark.parametrize(
    ("steps", "text", "shown"),
    [
        (None, "a\n\nb\n\nc", "a\n\nb\n\nc"),
        (1, "a\n\nb\n\nc\n\n", "c\n\n"),
        (1, "a\n\nb\n\nc", "b\n\nc"),
        (2, "a\n\nb\n\nc", "a\n\nb\n\nc"),
        (1, "begun", "begun"),
        (1, "", ""),
    ],
)
def test_a_judge_of_beginnings_is_shown_their_last_whole_steps(steps: int | None, text: str, shown: str) -> None:
    assert PromptFormat("plain", recent_steps=steps).recent(text) == shown
