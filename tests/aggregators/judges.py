"""A model that replies to judges' questions as a test specifies, and a session to ask it in."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.core.scripted import PlainGrader, Scripted
from widthwise.core.backend import Capabilities, Delta, Request, TokenStats, Usage
from widthwise.core.errors import BackendError
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.retry import Retry
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.trace.trace import Segment, Trace
from widthwise.models.formats import GENERIC

SURE = 0.95
"""The probability of every token that a judge samples."""

Says = Callable[[str, int], str | None]
"""The reply to a prompt, given the sample's number; None fails permanently."""


class Judge(Scripted):
    """Replies ``says(prompt, index)``.

    ``right`` is the probability of the first of ``words`` against the second at every token; None records no
    alternatives.
    """

    def __init__(self, says: Says, *, right: float | None = None, words: str = "Yn") -> None:
        super().__init__([""])
        self.capabilities = Capabilities(deterministic=True, max_logprobs=0 if right is None else 2)
        self._says, self._right, self._words = says, right, list(map(ord, words))

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.requests.append(request)
        said = self._says(self.tokenizer.decode(request.prompt), request.index)
        if said is None:
            raise BackendError("the judge is out")
        limit = request.params.max_tokens or len(said) + 1
        ids = np.array(self.tokenizer.encode(said + "\0")[:limit], np.int64)
        self.generated += len(ids)
        stats = TokenStats(np.full(len(ids), math.log(SURE), np.float32))
        if self._right is not None:
            tops = np.log([[self._right, 1 - self._right]] * len(ids)).astype(np.float32)
            stats = replace(stats, top_ids=np.array([self._words] * len(ids)), top_logprobs=tops)
        finish: Any = "stop" if len(ids) > len(said) else "length"
        yield Delta(ids, stats=stats, finish=finish, usage=Usage(0, len(request.prompt)))


def asked(judge: Judge, *, format: PromptFormat = GENERIC, seed: int = 0, **options: Any) -> Session:
    """A session whose model is ``judge``; ``options`` are those of ``Session``."""
    setting = Setting(Scheduler(judge, retry=Retry(attempts=1)), PlainGrader(), format, seed=seed)
    return Session(Problem("p1", "1+1?", "2"), setting, **options)


def trace(i: int, text: str, *, finish: Any = "stop", sequential: int = 0, tops: Any = None, **metadata: Any) -> Trace:
    """A finished trace; ``tops`` ``[tokens, k]`` are the log-probabilities of its most likely tokens."""
    ids = np.arange(1, 1 + (max(len(text), 1) if tops is None else len(tops)))
    stats = None
    if tops is not None:
        top = np.array(tops, np.float32)
        stats = TokenStats(top[:, 0], np.zeros(top.shape, np.int64), top)
    return Trace((0, i), Segment("sampled", ids, text, stats=stats, finish=finish, metadata=metadata), None, sequential)


def certain(mean: float, k: int = 20) -> list[list[float]]:
    """One token with the given mean confidence over its ``k`` most likely tokens."""
    return [[-mean] * k]
