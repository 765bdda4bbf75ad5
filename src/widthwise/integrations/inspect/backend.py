"""A backend over one of Inspect's models: it answers whole conversations, which Inspect counts and limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from importlib.metadata import version
from typing import Any

import numpy as np
from inspect_ai.model import ContentReasoning, GenerateConfig, Model, ModelOutput
from inspect_ai.util import LimitExceededError

from widthwise.backends.engine_seeds import short_seed
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Capabilities, Delta, FinishReason, Request, SamplingParams, Usage
from widthwise.core.conversation import Conversation
from widthwise.core.errors import AccessRefused, BackendError, UsageError, reason_of
from widthwise.core.prompting.profile import ModelFacts
from widthwise.integrations.inspect.conversation import from_messages

_NAMES = {"stop": "stop_seqs"}
_UNKNOWN = ("min_p", "repetition_penalty", "stop_token_ids", "prompt_logprobs")
"""Sampling parameters that Inspect does not have."""
_FINISHES: Mapping[str, FinishReason] = {"max_tokens": "length", "model_length": "length"}


class InspectBackend:
    """Inspect's ``model``. Sampling parameters that are neither ``given`` nor requested by a part stay Inspect's own.

    Tokens are pieces of text, as many as Inspect reports. ``exceeded`` is the limit that Inspect has found reached;
    from then on no request is answered.
    """

    def __init__(self, model: Model, given: Mapping[str, Any]) -> None:
        self.model = model
        self.name = f"inspect:{model}"
        self.capabilities = Capabilities(
            token_ids=False,
            seeds=False,
            logprobs=False,
            cached_tokens=False,
            stop_token_ids=False,
            continues=False,
        )
        self.tokenizer = PieceTokenizer()
        self.max_model_len: int | None = None
        self.facts = ModelFacts(str(model), apart=True)
        self.exceeded: LimitExceededError | None = None
        self._given = frozenset(given)

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        asked = request.conversation
        if asked is None or asked.is_open:
            raise BackendError("a model of Inspect answers whole conversations and cannot continue a text")
        if self.exceeded is not None:
            raise AccessRefused(str(self.exceeded))
        try:
            output = await self.model.generate(from_messages(asked.messages), config=self._config(request))
        except LimitExceededError as error:
            self.exceeded = error
            raise AccessRefused(str(error)) from error
        except Exception as error:  # a provider may raise anything when Inspect has given up
            raise BackendError(f"{self.model} failed: {reason_of(error)[:300]}") from error
        yield self._delta(output, asked, request.params)

    def describe(self) -> Mapping[str, Any]:
        return {"backend": "inspect", "model": str(self.model), "inspect_ai": version("inspect_ai"), "notes": []}

    async def close(self) -> None:
        """The model belongs to Inspect, which closes it."""

    def _config(self, request: Request) -> GenerateConfig:
        params, plain = request.params, SamplingParams()
        changed = {f.name: getattr(params, f.name) for f in fields(params) if f.name != "logprobs"}
        said = {n: v for n, v in changed.items() if v != getattr(plain, n) or n in self._given}
        for name in _UNKNOWN:
            if said.pop(name, None):
                raise UsageError(
                    f"Inspect's models take no {name}: leave it out, or name one of our models (model=...)"
                )
        renamed = {_NAMES.get(name, name): list(v) if isinstance(v, tuple) else v for name, v in said.items()}
        return GenerateConfig.model_validate({"seed": short_seed(request.seed), **renamed})

    def _delta(self, output: ModelOutput, asked: Conversation, params: SamplingParams) -> Delta:
        """The whole answer; a model that says nothing has reached its end."""
        usage, prompt = output.usage, 0
        if output.empty:
            raise BackendError(f"{self.model} gave no answer: {output.error or 'its output is empty'}")
        if usage is not None:
            prompt = usage.input_tokens + (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
        counted = usage.output_tokens if usage is not None else None
        ids = self.tokenizer.intern(_as_many(self._pieces(output, asked), counted))
        cached = (usage.input_tokens_cache_read or 0) if usage is not None else 0
        finish = _FINISHES.get(output.stop_reason, "stop")
        return Delta(np.asarray(ids, np.int64), finish=finish, usage=Usage(cached, prompt - cached))

    def _pieces(self, output: ModelOutput, asked: Conversation) -> list[str]:
        content, (opening, close) = output.message.content, asked.marks
        parts = content if not isinstance(content, str) else []
        thought = "\n\n".join(p.reasoning for p in parts if isinstance(p, ContentReasoning) and not p.redacted)
        said = output.message.text
        over = bool(said) or output.stop_reason not in _FINISHES
        text = f"{opening}{thought}{close if over else ''}{said}" if thought else said
        return self.tokenizer.pieces(self.tokenizer.encode(text))


def _as_many(pieces: list[str], tokens: int | None) -> list[str]:
    """The pieces as so many tokens: with empty ones appended, or the last ones merged."""
    if not tokens or tokens == len(pieces):
        return pieces
    if tokens > len(pieces):
        return [*pieces, *[""] * (tokens - len(pieces))]
    return [*pieces[: tokens - 1], "".join(pieces[tokens - 1 :])]
