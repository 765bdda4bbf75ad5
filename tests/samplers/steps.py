"""A backend that writes solutions step by step, from a table of prefixes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.core.scripted import Scripted, session
from widthwise.core.backend import Delta, Request, TokenStats, Usage
from widthwise.core.problem import Problem
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.session.session import Session
from widthwise.core.trace.stopping import StopMatcher


class Steps(Scripted):
    """Continues a completion with ``write(completion, index)``.

    An end-of-sequence token follows unless the text ends with a blank line.
    """

    def __init__(self, write: Callable[[str, int], str], *, deterministic: bool = True) -> None:
        super().__init__([""], deterministic=deterministic)
        self._write = write

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.requests.append(request)
        said = self.tokenizer.decode(request.prompt).partition("\n")[2]
        text = self._write(said, request.index)
        if text == "fault":
            raise ValueError("the engine fell over")
        ids = self.tokenizer.encode(text if text.endswith("\n\n") else text + "\0")
        stop = StopMatcher(self.tokenizer, request.params).feed(ids)
        limit = request.params.max_tokens or len(ids)
        keep = min(stop.keep if stop else len(ids), limit)
        cut = keep < (stop.keep if stop else len(ids) + 1) or stop is None
        self.generated += keep
        await asyncio.sleep(0)
        yield Delta(
            np.array(ids[:keep], np.int64),
            stats=TokenStats(np.full(keep, -0.5, np.float32)),
            finish="length" if cut else "stop",
            stop_reason=stop.reason if stop and not cut else None,
            usage=Usage(0, len(request.prompt)),
        )


class Rewards:
    """Scores each step with a function; the function's exceptions are not caught."""

    name = "rewards"
    kind = "process"

    def __init__(self, of: Callable[[str], float]) -> None:
        self._of = of

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return [StepScores(tuple(map(self._of, solution.steps)), tokens=1) for solution in solutions]


def searching(write: Callable[[str, int], str], reward_model: Any = None, **options: Any) -> Session:
    """A session on a backend that writes this way."""
    deterministic = options.pop("deterministic", True)
    return session(Steps(write, deterministic=deterministic), reward_model=reward_model, **options)


def by_table(table: Mapping[str, Sequence[str]]) -> Callable[[str, int], str]:
    """Write the table's entry for the completion so far, its children in turn; "= 2" if there is none."""

    def write(said: str, index: int) -> str:
        texts = table.get("|".join(step for step in said.split("\n\n") if step), ["= 2"])
        return texts[index % len(texts)]

    return write
