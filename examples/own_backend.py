"""A backend of your own: anything that turns token ids into sampled tokens. This one always says the same."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import numpy as np

import widthwise as ww
from widthwise.core.backend import NO_OPTIONS, Capabilities, ChatOptions, Delta, Request, Usage


class Characters:
    """One token a character."""

    eos_ids = frozenset({0})
    controls: Mapping[str, int] = {}
    bos_id: int | None = None

    def encode(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def decode(self, ids: Any) -> str:
        return "".join(chr(int(i)) for i in ids if i)

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        return self.encode("".join(message["content"] for message in messages) + "\n")


class Parrot:
    name = "parrot"
    max_model_len = None
    tokenizer = Characters()
    capabilities = Capabilities(deterministic=True)

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        ids = np.array([*self.tokenizer.encode("The answer is \\boxed{42}."), 0], np.int64)
        yield Delta(ids, finish="stop", usage=Usage(0, len(request.prompt)))

    def describe(self) -> Mapping[str, Any]:
        return {"backend": "parrot", "notes": []}

    async def close(self) -> None: ...


result = ww.solve("What is six times seven?", ww.BestOfN(3) | ww.MajorityVote(), model=Parrot())
print("answer", result.answer, "with", result.election.classes[0].weight, "votes")
