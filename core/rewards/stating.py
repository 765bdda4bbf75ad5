"""A chat model that writes down a score: it may think and reason, and the end of its reply is read."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from widthwise.core.backend import Backend, Request, SamplingParams, Tokenizer, Usage
from widthwise.core.prompting.saying import Saying
from widthwise.core.prompting.stated_score import stated_score
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.rewards.reading import Read, Reading

TOKENS = 4096
"""How long a reply may get by default, thinking included."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, and why it ended; ``begun``: the prompt has opened its thinking."""

    text: str
    tokens: int
    finish: str | None
    begun: bool


@dataclass(frozen=True)
class Stating:
    """A ``Reader`` whose values are scores stated by the model ``backend``: the mean of ``samples`` replies.

    A score is a number from ``least`` to ``most`` at the end of what follows the thinking. A reply without one does not
    count, nor does a reply that was cut off (``params.max_tokens``). If no reply counts, the reading is silent.
    """

    backend: Backend
    least: float
    most: float
    params: SamplingParams = field(default_factory=lambda: SamplingParams(max_tokens=TOKENS))
    thinking: Thinking | None = None
    samples: int = 1

    reuses_prefixes = False

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def tokenizer(self) -> Tokenizer:
        return self.backend.tokenizer

    async def read(self, reading: Reading) -> Read:
        """The score as the only value, ``float32 [1, 1]``; no value at all if no reply states one."""
        replies = await asyncio.gather(*(self._reply(reading, number) for number in range(self.samples)))
        stated = [score for reply in replies if (score := self._stated(reply)) is not None]
        values = np.array([[np.mean(stated)]] if stated else np.empty((0, 1)), np.float32)
        written = sum(reply.tokens for reply in replies)
        return Read(values, Usage(0, len(reading.ids)), written, None if stated else self._silence(replies[0]))

    @property
    def identity(self) -> Mapping[str, Any] | None:
        return getattr(self.backend, "identity", None)

    def describe(self) -> Mapping[str, Any]:
        sampling = {"temperature": self.params.temperature, "top_p": self.params.top_p, "top_k": self.params.top_k}
        return {**self.backend.describe(), "samples": self.samples, "tokens": self.params.max_tokens, **sampling}

    async def close(self) -> None:
        await self.backend.close()

    async def _reply(self, reading: Reading, number: int) -> Reply:
        asked = reading.conversation
        if asked is not None and self.thinking is not None:
            asked = replace(asked, marks=self.thinking.around)
        seed = _seed(reading, number)
        request = Request(reading.ids, self.params, seed, reading.problem, number, conversation=asked)
        ids, finish = [np.empty(0, np.int64)], None
        async for delta in self.backend.generate(request):
            ids.append(delta.token_ids)
            finish = delta.finish or finish
        written = np.concatenate(ids)
        begun = self.thinking is not None and self.thinking.begun(self.tokenizer.decode(reading.ids))
        return Reply(self.tokenizer.decode(written), len(written), finish, begun)

    def _stated(self, reply: Reply) -> float | None:
        return stated_score(self._said(reply), self.least, self.most) if reply.finish == "stop" else None

    def _said(self, reply: Reply) -> str:
        return Saying.of(self.thinking, self.tokenizer).readable_text(reply.text, "never", reply.begun)

    def _silence(self, reply: Reply) -> str:
        """Why a reply states no score."""
        if reply.finish == "stop":
            return f"the judge {self.name} ended its reply without a score from {self.least:g} to {self.most:g}"
        thinking = self.thinking is not None and self.thinking.is_open(reply.text, reply.begun)
        where = "in its thinking" if thinking else "before its score"
        return f"the judge {self.name} was cut off {where} after {reply.tokens} tokens (tokens=N gives it more)"


def _seed(reading: Reading, number: int) -> int:
    """Depends only on the reading: a solution has the same score whatever is scored beside it."""
    shown = f"{reading.problem}\x1f{number}\x1f".encode() + reading.ids.tobytes()
    return int.from_bytes(hashlib.blake2b(shown, digest_size=8).digest(), "little") >> 1
