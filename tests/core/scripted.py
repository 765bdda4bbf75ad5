"""A backend that replies with a test's own texts, so that the session can be tested token by token."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from widthwise.core.backend import Capabilities, Delta, Request, SamplingParams, TokenStats, Usage
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.problem import Grader, Partition, Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.retry import Retry
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.trace.stopping import StopMatcher


class Characters:
    """One token per character; its id is the code point."""

    eos_ids = frozenset({0})
    bos_id: int | None = None
    controls: Mapping[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def decode(self, ids: Any) -> str:
        return "".join(chr(i) for i in ids)

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        return self.encode("".join(m["content"] for m in messages) + "\n")


class Scripted:
    """Serves ``texts[index]``, followed by one end-of-sequence token.

    If the prompt already contains part of the text, it continues from there. ``faults`` maps the number of an attempt
    to the error that it raises and the number of deltas that it delivers first. With ``deterministic=False`` it pushes
    a delta on every turn of the event loop. ``most`` is the token limit per request that it reports.
    """

    max_model_len = None

    def __init__(
        self,
        texts: Sequence[str],
        *,
        deterministic: bool = True,
        max_logprobs: int = 0,
        most: int | None = None,
        faults: Mapping[int, tuple[int, Exception]] | None = None,
    ) -> None:
        self.name = "scripted"
        self.capabilities = Capabilities(deterministic=deterministic, max_logprobs=max_logprobs)
        self.tokenizer: Any = Characters()
        self.requests: list[Request] = []
        self.generated = 0
        self.closed = 0
        self._texts = texts
        self._most = most
        self._faults = faults or {}

    def longest(self, request: Request) -> int | None:
        return self._most

    def rest(self, request: Request) -> str:
        """The text that remains after a prompt."""
        said = self.tokenizer.decode(request.prompt).rpartition("\n")[2]
        return self._texts[request.index % len(self._texts)][len(said) :]

    def ids(self, request: Request) -> list[int]:
        """The tokens of the remaining text, including its end token."""
        return self.tokenizer.encode(self.rest(request) + "\0")

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        attempt = len(self.requests)
        self.requests.append(request)
        deliver, error = self._faults.get(attempt, (-1, None))
        ids = self.ids(request)
        matcher, finish, start = StopMatcher(self.tokenizer, request.params), None, 0
        limit = request.params.max_tokens or len(ids)
        try:
            while finish is None:
                await asyncio.sleep(0)
                if error is not None and deliver == 0:
                    raise error
                deliver -= 1
                part = ids[start : min(start + request.chunk, limit)]
                stop = matcher.feed(part)
                part = part[: stop.keep] if stop else part
                start += len(part)
                self.generated += len(part)
                finish = "stop" if stop else "length" if start >= limit else None
                assert part or finish, "the script ends without an end"
                yield Delta(
                    np.array(part, np.int64),
                    stats=self.stats(part, request.params.logprobs or 0),
                    finish=finish,  # type: ignore[arg-type]
                    stop_reason=stop.reason if stop else None,
                    usage=Usage(0, len(request.prompt)) if start == len(part) else None,
                )
        finally:
            self.closed += 1

    def stats(self, ids: Sequence[int], k: int) -> TokenStats:
        """Every token has the log-probability -0.5; subclasses may be more confident of some tokens."""
        return TokenStats(np.full(len(ids), -0.5, np.float32))

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "scripted"}

    async def close(self) -> None: ...


class Replying(Scripted):
    """Replies with ``reply(text of the prompt, number of the sibling)``."""

    def __init__(self, reply: Callable[[str, int], str], **options: Any) -> None:
        super().__init__([], **options)
        self._reply = reply

    def rest(self, request: Request) -> str:
        return self._reply(self.tokenizer.decode(request.prompt), request.index)


class PlainGrader(Grader):
    """An answer is what follows ``=``; answers agree when their numbers do."""

    name = "plain"
    settings: ClassVar[dict[str, Any]] = {}

    def for_problem(self, problem: Problem) -> Grader:
        return self

    def extract(self, text: str) -> str | None:
        found = re.findall(r"=\s*(-?[\d.]+)", text)
        return found[-1] if found else None

    async def partition(self, answers: Sequence[str]) -> Partition:
        return Partition.of(map(float, answers))

    async def correct(self, problem: Problem, answer: str) -> bool:
        return problem.answer is not None and float(problem.answer) == float(answer)

    async def valid(self, problem: Problem, answer: str) -> bool:
        return float(answer) >= 0


def session(
    backend: Any,
    *,
    width: int = 256,
    attempts: int = 4,
    seed: int = 0,
    format: PromptFormat | None = None,
    reward_model: Any = None,
    embedder: Any = None,
    patience: float = 5.0,
    **options: Any,
) -> Session:
    """A session on one small problem against ``backend``; ``options`` are those of ``Session``."""
    setting = Setting(
        Scheduler(backend, retry=Retry(attempts=attempts, first_delay=0.0)),
        PlainGrader(),
        format or PromptFormat("plain"),
        params=SamplingParams(),
        seed=seed,
        width=width,
        reward_model=reward_model,
        embedder=embedder,
        patience=patience,
    )
    return Session(Problem("p1", "1+1?", "2"), setting, **options)
