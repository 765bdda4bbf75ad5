"""The ledger's sequential tokens are the time a strategy takes on an engine with enough seats."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import numpy as np
import pytest

from tests.core.scripted import PlainGrader, Scripted
from tests.core.virtual_time import VirtualTime
from widthwise.core.backend import SamplingParams, TokenStats
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.pruner import Decision
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Sampler, as_strategy
from widthwise.core.trace.trace import Trace
from widthwise.models.thread_grammars import GRAMMARS
from widthwise.samplers.best_of_n import BestOfN

FORMAT = PromptFormat(
    "chatter",
    template="{problem}",
    prompts={
        "each_draft": "[{n}: {text}]",
        "refine": "refine {problem} {drafts}",
        "summarise": "summarise {drafts} {limit}",
        "refine_summary": "refine {problem} ({summary})",
        "select": "select {k} of {count} {drafts}",
        "verify": "verify {draft}",
        "compare": "compare {first} {second}",
        "same_answer": "same_answer {first} {second}",
        "consistency": "choose {count} {drafts}",
        "choose": "choose {count} {drafts}",
        "synthesise": "synthesise {count} {drafts}",
        "outlines": "outlines {count} {task}",
        "outline": "outline {outline} {task}",
    },
    verdicts=("yes", "no"),
    answer_now=" = ",
    grammars=GRAMMARS,
    threads="threadweaver",
)

STRATEGIES = [
    "single()",
    "best_of_n(n=8) | majority_vote()",
    "best_of_n(n=8, width=1) | majority_vote()",
    "best_of_n(n=8, width=3) | weighted_vote()",
    "best_of_n(n=12, width=1) | esc(window=4)",
    "best_of_n(n=12, width=5) | esc(window=4)",
    "best_of_n(n=12) | stop_when_decided()",
    "best_of_n(n=12, width=2) | stop_when_decided()",
    "best_of_n(n=12, width=4) | adaptive_consistency()",
    "best_of_n(n=12, width=4) | anytime()",
    "best_of_n(n=8) | short(m=2, every=1)",
    "best_of_n(n=8, width=3) | short(m=2, every=4)",
    "best_of_n(n=12) | deepconf(warmup=4, window=8, every=4)",
    "best_of_n(n=12, width=3) | deepconf(warmup=4, window=8, every=4, consensus=None)",
    "best_of_n(n=8) | too_long(factor=1.5, least=2, every=4)",
    "best_of_n(n=16, width=3) | too_long(factor=1.0, least=2, every=16)",
    "best_of_n(n=8, width=2) | repetition(times=3, tokens=6, every=4)",
    "best_of_n(n=8) | deepprune(at=8, keep=3, compared=2)",
    "best_of_n(n=8, width=3) | deepprune(at=8, keep=3, compared=2)",
    "best_of_n(n=8) | deepprune(at=8, keep=3, judge=answer_probe(max_tokens=4))",
    "best_of_n(n=6) | generative_verification(k=2)",
    "best_of_n(n=6, width=2) | knockout(k=2)",
    "best_of_n(n=6) | league(opponents=2)",
    "best_of_n(n=6) | pivot_tournament(k=2)",
    "best_of_n(n=6) | self_verification(k=2, comparisons=2, band=0.4)",
    "best_of_n(n=6) | universal_self_consistency(k=2)",
    "best_of_n(n=6) | confidence_gate(otherwise=knockout(k=1), probability=0.9)",
    "best_of_n(n=6) | gen_select(window=4, draws=3)",
    "best_of_n(n=9, width=4) | gen_select(window=2, draws=2, decide='tournament')",
    "best_of_n(n=6) | gen_synthesis(window=3, draws=4)",
    "outlined(n=4, free=1) | majority_vote()",
    "outlined(n=4, worker=best_of_n(n=3, width=1)) | majority_vote()",
    "parallel_distill_refine(drafts=(4, 2, 1)) | majority_vote()",
    "parallel_distill_refine(drafts=(4, 2), distill='top_k', k=2) | majority_vote()",
    "parallel_distill_refine(drafts=(4, 2), distill='per_sample', k=2, worker=best_of_n(n=2)) | majority_vote()",
    "sequential_refinement(rounds=3, chains=3) | majority_vote()",
    "sequential_refinement(rounds=2, chains=2, worker=best_of_n(n=3, width=2)) | majority_vote()",
    "recursive_self_aggregation(population=4, group=2, loops=3) | majority_vote()",
    "threads(n=3) | majority_vote()",
    "threads(n=3, width=2) | majority_vote()",
    "threads(n=2, join='first') | majority_vote()",
    "parallel_distill_refine(drafts=(3, 1), worker=threads()) | majority_vote()",
    "beam_search(n=8, beam_width=2, max_depth=5) | majority_vote()",
    "dvts(n=8, beam_width=2, max_depth=5) | majority_vote()",
    "rebase(n=8, max_depth=5) | weighted_vote(by='score')",
    "ets(n=8, max_depth=5) | weighted_vote(by='score')",
    "tree_search(n=6, select=distinct_steps() | top_k(k=3), max_depth=5) | generative_verification(k=1)",
    "best_of_n(n=9, width=4) | stop_when_decided() | short(m=3, every=1) | knockout(k=1)",
]
ONE_BY_ONE = ("best_of_n(n=8, width=1) | majority_vote()", "best_of_n(n=12, width=1) | esc(window=4)")
"""Strategies in which nothing runs in parallel."""


def chatter(prompt: str, index: int) -> str:
    """A reply that fits the question; its length differs from request to request."""
    chance = random.Random(f"{prompt} {index}")
    word = prompt.partition(" ")[0]
    talk = "x" * chance.randrange(1, 30)
    if prompt.endswith((" = ", "same_answer")):
        return str(chance.randrange(3))
    if word in ("verify", "same_answer"):
        return f"{talk}\n\n{chance.choice(['yes', 'no'])}" if word == "verify" else chance.choice(["yes", "no"])
    if word in ("compare", "select", "choose"):
        return f"{talk}\n\n{chance.choice('12')}"
    if word == "outlines":
        return f"1. {talk}\n2. add\n3. multiply"
    return _solution(prompt, chance, talk)


def _solution(prompt: str, chance: random.Random, talk: str) -> str:
    if prompt.endswith(":"):
        return f" {talk}</Thread>"
    if "<Outline" not in prompt and chance.random() < 0.3:
        return f"{talk}<Outlines><Outline>1: add</Outline><Outline>2: multiply</Outline></Outlines>"
    steps = "".join("y" * chance.randrange(1, 9) + "\n\n" for _ in range(chance.randrange(3)))
    return f"{steps}{talk} = {chance.randrange(3)}"


class Chatter(VirtualTime):
    """A model whose confidence depends on its tokens; ``max_logprobs`` serves the rules that use confidence."""

    def __init__(self) -> None:
        super().__init__(chatter, max_logprobs=20)

    def stats(self, ids: Sequence[int], k: int) -> TokenStats:
        likely = -np.array([1 + id % 7 for id in ids], np.float32) / 8
        top = np.repeat(likely[:, None], k, axis=1) if k else None
        return TokenStats(likely, None if top is None else np.zeros(top.shape, np.int64), top)


class Rewards:
    name = "rewards"
    kind = "process"

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return [StepScores(tuple(len(step) % 10 / 10 for step in s.steps), tokens=1) for s in solutions]


class Embedder:
    name = "embedder"

    async def embed(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        angles = np.array([len(text) for text in texts], np.float32)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1), 1


def setting(backend: Scripted) -> Setting:
    return Setting(
        Scheduler(backend, max_requests=100_000),
        PlainGrader(),
        FORMAT,
        params=SamplingParams(),
        reward_model=Rewards(),
        embedder=Embedder(),  # type: ignore[arg-type]
        width=100_000,
    )


@pytest.mark.parametrize("text", STRATEGIES)
async def test_the_ledgers_sequential_tokens_are_the_time_it_takes(text: str) -> None:
    backend = Chatter()
    result = await parse_strategy(text).solve(Problem("p1", "1+1?", "2"), setting(backend))
    assert result.ledger.sampled > 0
    assert result.ledger.sequential == backend.now
    if text in ONE_BY_ONE:
        assert result.ledger.sequential == result.ledger.sampled
    assert not result.errors


async def checked_one_by_one(session: Session) -> list[Trace]:
    """Has every trace judged before it lets the next one start."""
    traces = []
    async for trace in session.stream(session.root, 5, width=1):
        await session.sample(session.ask("verify", draft=trace.completion), 2, judging=True)
        traces.append(trace)
    return traces


async def two_at_once(session: Session) -> list[Trace]:
    """Two tasks of its own, and a last trace once both are done."""

    async def twice(root: Trace) -> list[Trace]:
        return [*await session.sample(root), *await session.sample(root, 2, width=1)]

    first, second = await asyncio.gather(twice(session.root), twice(session.root))
    return [*first, *second, *await session.sample(session.root)]


@pytest.mark.parametrize("strategy", [checked_one_by_one, two_at_once])
async def test_functions_of_ones_own_wait_for_what_they_waited_for(strategy: Sampler) -> None:
    backend = Chatter()
    result = await as_strategy(strategy).solve(Problem("p1", "1+1?", "2"), setting(backend))
    assert result.ledger.sequential == backend.now
    assert result.ledger.sequential < result.ledger.total or strategy is checked_one_by_one


async def once_one_is_there(session: Session, live: Sequence[Trace], finished: Sequence[Trace], total: int) -> Decision:
    """Stops the other traces when the first one finishes."""
    return Decision(stop=frozenset(t.id for t in live)) if len(finished) == 1 else Decision()


async def test_a_stopped_trace_leaves_its_place_when_it_is_stopped_not_when_it_last_delivered() -> None:
    texts = ["x" * 60 + " = 1", "x" * 14 + " = 1", "x" * 26 + " = 1"]  # after 19 ticks the first has delivered 16
    backend = VirtualTime(lambda _, index: texts[index])
    strategy = as_strategy(BestOfN(3, width=2)) | once_one_is_there
    result = await strategy.solve(Problem("p1", "1+1?", "2"), setting(backend))
    assert [t.finish for t in result.traces] == ["pruned", "stop", "stop"]
    assert result.ledger.sequential == backend.now == 19 + 31
