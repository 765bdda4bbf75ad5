"""Our models as a provider of Inspect's: ``--model widthwise/vllm:Qwen/Qwen3-8B``."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelAPI, ModelOutput, ModelUsage, modelapi
from inspect_ai.model._model import record_and_check_model_usage  # a provider has no public way to count
from inspect_ai.tool import ToolChoice, ToolInfo
from inspect_ai.util import LimitExceededError

from widthwise.core.backend import Backend, Delta, Request
from widthwise.core.errors import AccessRefused, UsageError
from widthwise.engines import open as open_model
from widthwise.integrations.answering import Answering
from widthwise.integrations.inspect.conversation import output_of, to_messages
from widthwise.model import Model as OpenModel

_SAMPLING = {"stop_seqs": "stop"} | {
    name: name for name in ("max_tokens", "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")
}


class WidthwiseAPI(ModelAPI):
    """One of our models, by its name for ``--model`` of ``widthwise``; ``-M`` gives its backend's own arguments."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 (the signature of ModelAPI)
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self.opened: OpenModel = open_model(model_name, **model_args)
        self._single = Answering("single", model=self.opened)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        if tools:
            raise UsageError(f"widthwise/{self.model_name} calls no tools")
        answered = await self._single.answer(
            to_messages(input), "generate", seed=config.seed or 0, sampling=sampling_of(config)
        )
        return output_of(answered, self.model_name)

    def max_connections(self) -> int:
        return 256

    def connection_key(self) -> str:
        return self.model_name

    async def aclose(self) -> None:
        await self.opened.aclose()


@modelapi(name="widthwise")
def provider() -> type[ModelAPI]:
    """The provider ``widthwise``."""
    return WidthwiseAPI


def sampling_of(config: GenerateConfig) -> dict[str, Any]:
    """Inspect's sampling configuration as fields of ``SamplingParams``."""
    said = {ours: getattr(config, theirs) for theirs, ours in _SAMPLING.items()}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in said.items() if v is not None}


class Metered:
    """One of our backends, whose requests count as usage of ``model``, within Inspect's limits.

    ``backend`` is a copy that shares its engine: it has the same class and the same attributes.
    """

    def __init__(self, backend: Backend, model: Model) -> None:
        self._generate: Callable[[Request], AsyncIterator[Delta]] = backend.generate
        self._model = model
        self.exceeded: LimitExceededError | None = None
        self.backend: Backend = copy.copy(backend)
        self.backend.generate = self.generate  # type: ignore[method-assign]

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        if self.exceeded is not None:
            raise AccessRefused(str(self.exceeded))
        usage = ModelUsage(input_tokens=len(request.prompt), total_tokens=len(request.prompt))
        try:
            async with aclosing(self._generate(request)) as deltas:  # type: ignore[type-var]
                async for delta in deltas:
                    usage.output_tokens += len(delta.token_ids)
                    usage.total_tokens += len(delta.token_ids)
                    yield delta
        finally:
            self._count(usage)
        if self.exceeded is not None:
            raise AccessRefused(str(self.exceeded))

    def _count(self, usage: ModelUsage) -> None:
        try:
            record_and_check_model_usage(self._model, usage)
        except LimitExceededError as error:
            self.exceeded = error


def check_loop() -> None:
    """Raises ``UsageError`` if Inspect runs on something other than asyncio."""
    try:
        asyncio.current_task()
    except RuntimeError:
        raise UsageError("strategies run on asyncio: start Inspect with INSPECT_ASYNC_BACKEND=asyncio") from None
