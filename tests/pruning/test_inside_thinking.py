"""Pruning and stopping while traces think: rules look at the thinking, and votes count what is said after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.core.scripted import PlainGrader, Replying
from widthwise import AnswerProbe, BestOfN, DeepConf, DeepPrune, EarlyExit, MajorityVote, Repetition, Short
from widthwise.core.backend import TokenStats
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.retry import Retry
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.result import Result
from widthwise.core.strategy.strategy import as_strategy
from widthwise.core.trace.trace import Trace
from widthwise.models.thinking_marks import THINK

PROMPT = "1+1?\n"
FORMAT = PromptFormat(
    "plain", template="{problem}", answer_now="\n\nNow =", prompts={"same_answer": "{first}{second}?"}
)


class Thinker(Replying):
    """Writes ``texts``; when asked for its answer, it says its latest thought. It is uncertain of ``unsure`` tokens."""

    def __init__(self, texts: Sequence[str], unsure: str = "~", **options: Any) -> None:
        super().__init__(self._said, max_logprobs=20, **options)
        self._scripts = texts
        self._unsure = unsure

    def _said(self, prompt: str, index: int) -> str:
        written = prompt.partition(PROMPT)[2]
        if written.endswith("Now ="):
            return f" {written.rpartition('maybe ')[2][:1]}"
        script = next(text for text in self._scripts[index % len(self._scripts) :] if text.startswith(written))
        return script[len(written) :]

    def stats(self, ids: Sequence[int], k: int) -> TokenStats:
        logprobs = np.array([-3.0 if chr(i) == self._unsure else -0.01 for i in ids], np.float32)
        tops = np.repeat(np.where(logprobs < -1, -1.0, -8.0)[:, None], k, axis=1).astype(np.float32)
        return TokenStats(logprobs, np.zeros((len(ids), k), np.int64), tops)


async def solved(strategy: Any, backend: Thinker, thinking: Thinking | None = THINK, **setting: Any) -> Result:
    scheduler = Scheduler(backend, retry=Retry(attempts=1))
    shared = Setting(scheduler, PlainGrader(), FORMAT, thinking=thinking, **setting)
    return await as_strategy(strategy).solve(Problem("p", "1+1?\n", "2"), shared)


def texts_of(result: Result) -> list[str]:
    return [trace.completion for trace in result.traces]


LONG = "<think>" + "maybe 2 " * 20 + "</think>= 2"


CLOSED = "\n</think>\n\n"


async def test_a_trace_whose_probes_agree_states_its_answer_early() -> None:
    script = "<think>" + "maybe 4 " * 2 + "maybe 2 " * 20 + "</think>= 2"
    result = await solved(BestOfN(1) | EarlyExit(every=8, stable=3) | MajorityVote(), Thinker([script]))
    [trace] = result.traces
    # Its probes: no answer at 8 tokens, 4 at 16 and 24, 2 at 32, 40 and 48.
    assert trace.completion == script[:48] + CLOSED + "Now = 2\0"
    assert (result.answer, trace.finish) == ("2", "stop")
    assert (result.ledger.judging, result.ledger.sampled, result.ledger.discarded) == (6 * 3, 48 + 3, 0)
    assert result.ledger.samples == 1
    assert result.ledger.sequential > result.ledger.sampled  # waiting for the last probe counts


@pytest.mark.parametrize("deterministic", [True, False])
async def test_traces_exit_each_at_its_own_time(deterministic: bool) -> None:
    texts = [LONG, "<think>" + "maybe 4 maybe 2 " * 12 + "</think>= 2", "<think>maybe 2 </think>" + "x" * 60 + "= 2"]
    backend = Thinker(texts, deterministic=deterministic)
    result = await solved(BestOfN(3) | EarlyExit(every=8, stable=2) | MajorityVote(), backend)
    early, never, spoken = texts_of(result)
    assert early.endswith(CLOSED + "Now = 2\0")
    assert len(early) < len(LONG)
    assert (never, spoken) == (texts[1] + "\0", texts[2] + "\0")
    assert result.answer == "2"


async def test_a_model_that_does_not_think_apart_may_exit_too() -> None:
    script = "maybe 2 " * 20 + "= 2"
    result = await solved(BestOfN(1) | EarlyExit(every=8, stable=2), Thinker([script]), thinking=None)
    assert texts_of(result) == [script[:16] + "\n\nNow = 2\0"]


async def test_confidence_is_that_of_the_thinking() -> None:
    sure, unsure = LONG, "<think>" + "maybe 4 " * 4 + "~" * 60 + "</think>= 4"
    rule = DeepConf(warmup=2, eta=90, window=8, k=1, every=4, consensus=None)
    result = await solved(BestOfN(4) | rule | MajorityVote(), Thinker([sure, sure, unsure, sure]))
    assert [t.finish for t in result.traces] == ["stop", "stop", "pruned", "stop"]
    stopped = result.traces[2]
    assert "~" in stopped.completion
    assert "</think>" not in stopped.completion
    assert result.answer == "2"


async def test_what_is_cut_while_it_thinks_votes_nothing() -> None:
    cut = "<think>so = 4 " + "x" * 100
    result = await solved(BestOfN(3, max_tokens=80) | MajorityVote(), Thinker([cut, cut, "<think>= 4</think>= 2"]))
    assert ([t.finish for t in result.traces], result.answer) == (["length", "length", "stop"], "2")


async def test_probes_of_answers_close_the_thinking() -> None:
    texts = [LONG, LONG.replace("maybe", " maybe"), "<think>" + "maybe 4 " * 20 + "</think>= 4", LONG + " "]
    backend = Thinker(texts)
    rule = DeepPrune(at=24, keep=1, judge=AnswerProbe(max_tokens=4))
    result = await solved(BestOfN(4) | rule | MajorityVote(), backend)
    assert sorted(t.finish or "" for t in result.traces) == ["pruned", "pruned", "pruned", "stop"]
    assert all("</think>" not in t.completion for t in result.traces if t.finish == "pruned")
    asked = [text for r in backend.requests if (text := backend.tokenizer.decode(r.prompt)).endswith("Now =")]
    assert len(asked) == 3  # the fourth began like the first, so no question is needed
    assert all(text.endswith(CLOSED + "Now =") for text in asked)
    assert result.answer == "2"


async def test_a_circle_of_thoughts_is_one() -> None:
    result = await solved(BestOfN(1) | Repetition(every=8), Thinker(["<think>" + "no, wait " * 60 + "</think>= 2"]))
    assert (result.traces[0].finish, "</think>" in result.traces[0].completion) == ("pruned", False)


async def test_the_shortest_is_who_thinks_least() -> None:
    wordy = "<think>a</think>" + "well " * 20 + "= 2"
    result = await solved(BestOfN(3) | Short(m=1, every=4) | MajorityVote(), Thinker([LONG, wordy, "<think>b"]))
    assert [t.finish for t in result.traces] == ["pruned", "stop", "stop"]
    assert result.answer == "2"
    with_ended = await solved(BestOfN(2) | Short(m=1, every=4) | MajorityVote(), Thinker(["<think>b", wordy]))
    assert with_ended.answer == "2"  # a trace that ends inside its thinking does not count as the shortest


class Counting:
    """Scores every step 0.5, and records what it was given."""

    name, kind = "counting", "process"

    def __init__(self) -> None:
        self.given: list[tuple[str, ...]] = []

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        self.given += [solution.steps for solution in solutions]
        return [StepScores((0.5,) * len(solution.steps)) for solution in solutions]


@pytest.mark.parametrize("whole", [False, True])
async def test_steps_are_those_of_what_is_said(whole: bool) -> None:
    async def scored(session: Session) -> list[Trace]:
        traces = await session.sample(session.root, 3)
        said, thinking, _ = await session.score(traces, whole=whole)
        assert said.steps == ((0.5,) if whole else (0.5, 0.5))
        assert (thinking.steps, thinking.reduced("last")) == (None, None)
        assert "steps of thinking are not scored" in str(thinking.error)
        return traces

    model = Counting()
    texts = ["<think>one\n\ntwo</think>three\n\n= 2", "<think>one\n\ntwo = 4", "<think>a"]
    result = await solved(scored, Thinker(texts), reward_model=model)
    assert model.given == [("three\n\n= 2",) if whole else ("three", "= 2")]
    assert result.errors == ()
    assert [note.text for note in result.notes if "thinking" in note.text] == [
        "the reward model scores what follows the thinking, and this trace is still thinking"
    ]


def test_probes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EarlyExit(stable=0)
