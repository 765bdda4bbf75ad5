"""vLLM's pooling runner in process: heads of reward models, and embeddings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

import numpy as np

from widthwise.backends.embedding import cut_to, unit
from widthwise.backends.vllm.engine import VLLMEngine, explained
from widthwise.backends.vllm.options import require_vllm, set_environment
from widthwise.core.arrays import FloatArray
from widthwise.core.backend import Usage
from widthwise.core.errors import BackendError
from widthwise.core.rewards.reading import Read, Reading

_log = logging.getLogger(__name__)


class VLLMPooling(VLLMEngine):
    """An engine for one pooling task: ``token_classify`` (a reward model's head) or ``embed``.

    Arguments are those of ``VLLMEngine``. Outputs of all tokens are requested and picked here, because vLLM's own STEP
    pooling switches its prefix cache off.
    """

    reuses_prefixes = True

    def __init__(self, model: str, *, task: Literal["token_classify", "embed"], **engine_args_: Any) -> None:
        self._task = task
        super().__init__(model, **{**_runner(task), **engine_args_})
        self._encode = self._engine.get_tokenizer().encode

    async def read(self, reading: Reading) -> Read:
        """The head's raw outputs at each position.

        A cached prefix has none; if it covers a wanted position, the sequence is computed again.
        """
        rows, usage = await self._pooled(reading.ids.tolist(), fresh=False)
        first = len(reading.ids) - len(rows)
        if reading.positions[0] < first:
            _log.debug("%s computes %d tokens again: a cached prefix has no outputs", self.name, len(reading.ids))
            rows, usage = await self._pooled(reading.ids.tolist(), fresh=True)
            first = len(reading.ids) - len(rows)
        if reading.positions[0] < first:
            raise BackendError(f"{self.name} gave {len(rows)} outputs for {len(reading.ids)} tokens")
        return Read(rows[np.array(reading.positions) - first], usage)

    async def embed(self, texts: Sequence[str]) -> tuple[FloatArray, int]:
        """Unit vectors ``float32 [texts, dimensions]``, and how many tokens were read.

        A text that does not fit the context loses its end.
        """
        sequences = cut_to(self.max_model_len, [self._ids(text) for text in texts], self.name)
        pooled = await asyncio.gather(*(self._pooled(ids, fresh=False) for ids in sequences))
        return unit(np.stack([row.reshape(-1) for row, _ in pooled])), sum(u.prompt_computed for _, u in pooled)

    def _ids(self, text: str) -> list[int]:
        """With the special tokens that the embedding model's own tokenizer adds."""
        return [int(i) for i in self._encode(text)] or [0]

    async def _pooled(self, ids: list[int], *, fresh: bool) -> tuple[FloatArray, Usage]:
        async with aclosing(self._thread.stream(self._outputs(ids, fresh))) as outputs:  # type: ignore[type-var]
            async for output in outputs:
                return output
        raise BackendError("vLLM ended the request without an answer", retryable=True)

    async def _outputs(self, ids: list[int], fresh: bool) -> AsyncGenerator[tuple[FloatArray, Usage], None]:
        from vllm import PoolingParams

        self._check(len(ids), room=0)
        engine = await self._live_engine()
        params = PoolingParams(task=self._task, skip_reading_prefix_cache=fresh)
        if self._task == "token_classify":
            params.use_activation = False
        try:
            async with aclosing(engine.encode({"prompt_token_ids": ids}, params, self._next_id())) as outputs:
                async for output in self._watch.over(outputs):
                    cached = output.num_cached_tokens or 0
                    yield output.outputs.data.float().cpu().numpy(), Usage(cached, len(ids) - cached)
            self._restarts = 0
        except Exception as error:
            raise explained(error) from error


def _runner(task: str) -> dict[str, Any]:
    """The engine arguments of a pooling runner; ``convert`` makes one of a generator's checkpoint."""
    require_vllm()
    set_environment()
    from vllm.config import PoolerConfig

    if task == "embed":
        return {"runner": "pooling", "convert": "embed", "pooler_config": PoolerConfig(task="embed")}
    return {"runner": "pooling", "pooler_config": PoolerConfig(task="token_classify", tok_pooling_type="ALL")}
