"""The score that a judge writes, and the judge as a reward model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.core.scripted import Replying
from widthwise.core.backend import SamplingParams
from widthwise.core.problem import Problem
from widthwise.core.prompting.stated_score import stated_score
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.rewards.language_reward import LanguageRewardModel
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.rewards.stating import Stating
from widthwise.models.reward_formats import STATED
from widthwise.models.thinking_marks import HARMONY, THINK

STATED_SEVEN = (
    "7",
    "Score: 7",
    "It holds.\n\n**Score:** 7/10",
    "Score: **7**",
    "Final score = 7 out of 10.",
    "The score is 7, since 3 + 4 = 7.",
    "Score (0-10): 7",
    "$\\boxed{7}$",
    "Score: \\boxed{7}\n",
    "step 3 deserves 2.\nScore: 7.0",
)
NO_SCORE = (
    "",
    "Score:",
    "Score: seven",
    "Score: 11",
    "Score: -1",
    "Score: 1" + "0" * 400,
    "Score: 7/5",
    "Score: 70%",
    "70%",
    "Score: 7-8",
    "Score: 7 or 8",
    "Score: 3, then score: 8",
    "It is right, 7",
    "Score: 7\nThat is all.",
    "The answer is 7",
    "7.5.3",
    "nan",
)


@pytest.mark.parametrize("reply", STATED_SEVEN)
def test_a_score_is_read_where_the_reply_ends(reply: str) -> None:
    assert stated_score(reply, 0, 10) == 7


@pytest.mark.parametrize("reply", NO_SCORE)
def test_no_score_is_guessed(reply: str) -> None:
    assert stated_score(reply, 0, 10) is None


def test_a_long_reply_is_read_at_once() -> None:
    assert stated_score("score " * 200_000, 0, 10) is None
    assert stated_score("1" * 200_000, 0, 10) is None


def judge(reply: Callable[[str, int], str], *, thinking: Thinking | None = None, **options: int) -> Stating:
    params = SamplingParams(max_tokens=options.pop("tokens", 4096))
    return Stating(Replying(reply), *STATED.scale, params, thinking, **options)


async def scored(judge: Stating, solution: str = "1+1 = 2") -> StepScores:
    model = LanguageRewardModel(judge, replace(STATED, thinking=judge.thinking))
    [scores] = await model.score(Problem("p1", "1+1?"), [Solution((solution,))])
    return scores


async def test_the_score_of_a_reply_lies_between_nought_and_one() -> None:
    said = "Right.\nScore: 9"
    scores = await scored(judge(lambda prompt, _: said if "1+1 = 2" in prompt else ""))
    assert scores.steps == pytest.approx((0.9,))
    asked = len(STATED.laid_out(Replying(lambda *_: "").tokenizer, Problem("p1", "1+1?"), ["1+1 = 2"]).ids)
    assert scores.tokens == asked + len(said) + 1  # what the judge read and wrote, including its end token


@pytest.mark.parametrize(
    ("thinking", "reply"),
    [
        (THINK, "<think>Score: 2</think>Score: 8"),
        (HARMONY, "<|channel|>analysis<|message|>Score: 2<|end|><|start|>assistant<|channel|>final<|message|>Score: 8"),
    ],
)
async def test_it_is_read_behind_the_thinking(thinking: Thinking, reply: str) -> None:
    assert (await scored(judge(lambda *_: reply, thinking=thinking))).steps == pytest.approx((0.8,))


@pytest.mark.parametrize(
    ("reply", "tokens", "said"),
    [
        ("<think>Score: 2", 4096, "without a score from 0 to 10"),
        ("<think>Hm. Score: 2</think>Score: 8", 12, "cut off in its thinking after 12 tokens"),
        ("<think></think>Score: 10", 23, "cut off before its score after 23 tokens"),
        ("<think></think>I cannot tell.", 4096, "without a score from 0 to 10"),
    ],
)
async def test_no_score_is_unscored_and_no_failure(reply: str, tokens: int, said: str) -> None:
    scores = await scored(judge(lambda *_: reply, thinking=THINK, tokens=tokens))
    assert scores.steps is None
    assert scores.abstained
    assert said in str(scores.error)
    assert scores.tokens > min(len(reply), tokens)


async def test_several_replies_are_averaged_and_silent_ones_do_not_count() -> None:
    replies = ["Score: 4", "Hm.", "Score: 8"]
    one = judge(lambda _, index: replies[index], samples=3)
    assert (await scored(one)).steps == pytest.approx((0.6,))
    seeds = [request.seed for request in one.backend.requests]  # type: ignore[attr-defined]
    assert len(set(seeds)) == 3
    await scored(one)
    assert [request.seed for request in one.backend.requests][3:] == seeds  # type: ignore[attr-defined]
