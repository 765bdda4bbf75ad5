"""A model of a family that says a test's own texts, in the family's tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.families.test_prompts_of_families import ours
from widthwise.backends.model_facts import facts_in
from widthwise.core.backend import Capabilities, Delta, Request, SamplingParams, TokenStats, Usage
from widthwise.core.chat_options import ChatOptions
from widthwise.core.problem import Problem
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.result import Result
from widthwise.core.trace.stopping import StopMatcher
from widthwise.evals.suites.hub import MATH
from widthwise.models.formats import BOXED
from widthwise.models.profiles import profile_of

PROBLEM = Problem("p1", "What is 3 + 4?", "7")
Reply = Callable[[str, int], str]
"""Maps a prompt's text and the number of a sample to its reply; control tokens spelled in it are real ones."""


class Talker:
    """Says ``reply(prompt, index)`` and an end token; in the sample ``unsure``, other tokens are about as likely."""

    capabilities = Capabilities(deterministic=True, max_logprobs=20)
    max_model_len: int | None = None

    def __init__(self, tokenizer: Any, reply: Reply, *, end: int | None = None, unsure: int | None = None) -> None:
        self.name = "talker"
        self.tokenizer = tokenizer
        self.requests: list[Request] = []
        self._reply = reply
        self._end = min(tokenizer.eos_ids) if end is None else end
        self._unsure = unsure

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self.requests.append(request)
        said = self._reply(self.tokenizer.decode(request.prompt), request.index)
        ids = [*self.tokenizer.encode(said), self._end]
        matcher, finish, start = StopMatcher(self.tokenizer, request.params), None, 0
        limit = request.params.max_tokens or len(ids)
        while finish is None:
            part = ids[start : min(start + request.chunk, limit)]
            stop = matcher.feed(part)
            part = part[: stop.keep] if stop else part
            start += len(part)
            finish = "stop" if stop else "length" if start >= limit else None
            yield Delta(
                np.array(part, np.int64),
                stats=self._stats(len(part), request),
                finish=finish,  # type: ignore[arg-type]
                stop_reason=stop.reason if stop else None,
                usage=Usage(0, len(request.prompt)) if start == len(part) else None,
            )

    def _stats(self, tokens: int, request: Request) -> TokenStats:
        k = request.params.logprobs or 0
        others = -1.0 if request.index == self._unsure else -9.0  # a confident model gives other tokens little
        tops = np.full((tokens, k), others, np.float32)
        return TokenStats(np.full(tokens, -0.5, np.float32), np.zeros((tokens, k), np.int64), tops)

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "talker"}

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Family:
    """A family's checkpoint: how to ask it, and how it writes its replies."""

    name: str
    folder: Path

    @property
    def tokenizer(self) -> Any:
        return ours(self.folder)

    @property
    def profile(self) -> Any:
        return profile_of(facts_in(self.folder, self.name))

    @property
    def controls(self) -> frozenset[int]:
        """The ids that no text may contain."""
        return frozenset(self.tokenizer.controls.values())

    def thinks(self, prompt: str, thought: str) -> str:
        """``thought`` as the family writes it after ``prompt``; empty for a family that does not think."""
        thinking = self.profile.thinking
        if thinking is None:
            return ""
        return ("" if thinking.begun(prompt) else thinking.marks[0][0]) + thought + thinking.close

    def setting(self, backend: Any, **params: Any) -> Setting:
        profile = self.profile
        scheduler = Scheduler(backend)
        settings = {"params": SamplingParams(**params), "chat": ChatOptions(), "thinking": profile.thinking}
        return Setting(scheduler, MATH, profile.format, instruction=BOXED, **settings)

    async def solve(self, strategy: str, reply: Reply, *, unsure: int | None = None, **params: Any) -> Result:
        """The result of a strategy with a model that answers with ``reply``."""
        backend = Talker(self.tokenizer, reply, unsure=unsure)
        return await parse_strategy(strategy).solve(PROBLEM, self.setting(backend, **params))
