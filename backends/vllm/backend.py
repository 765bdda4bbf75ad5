"""vLLM in process: the main backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import cache, cached_property
from typing import Any

import numpy as np

from widthwise.backends.engine_seeds import long_seed
from widthwise.backends.notes import Notes
from widthwise.backends.vllm.engine import VLLMEngine, explained
from widthwise.backends.vllm.stats import prompt_stats, token_stats
from widthwise.core.backend import Capabilities, Delta, Request, TokenStats, Usage
from widthwise.core.errors import BackendError
from widthwise.core.rewards.reading import Read, Reading
from widthwise.core.trace.stopping import StopMatcher


class VLLMBackend(VLLMEngine):
    """``AsyncLLM`` with token ids in and out; it also reads label tokens.

    A script that makes one must do so under ``if __name__ == "__main__":`` (see ``VLLMEngine``, also for the
    arguments).
    """

    reuses_prefixes = True

    def __init__(self, model: str, **engine_args_: Any) -> None:
        super().__init__(model, **engine_args_)
        config = self._engine.vllm_config.model_config
        self._notes = Notes()
        self._notes.tell("a seed's tokens may change with the batch it runs in, unless the engine is batch-invariant")
        if not self._has_template:
            self._notes.warn("the model has no chat template: conversations are plain text joined by blank lines")
        self.capabilities = Capabilities(
            max_logprobs=config.max_logprobs if config.max_logprobs >= 0 else config.get_vocab_size(),
            prompt_logprobs=True,
        )

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        return self._thread.stream(self._deltas(request))

    async def read(self, reading: Reading) -> Read:
        """One sampled token at each position, of which only the labels' log-probabilities are kept.

        A generator has no pooling runner, and in this way the engine's prefix cache serves all positions but the first.
        """
        if not reading.labels:
            raise BackendError(f"{self.name} was opened as a generator and has no head except the vocabulary's")
        rows = await asyncio.gather(*(self._row(reading, end + 1) for end in reading.positions))
        usage = Usage(sum(u.prompt_cached for _, u in rows), sum(u.prompt_computed for _, u in rows))
        return Read(np.array([row for row, _ in rows], np.float32), usage)

    async def _row(self, reading: Reading, end: int) -> tuple[list[float], Usage]:
        async with aclosing(self._thread.stream(self._labels(reading, end))) as rows:  # type: ignore[type-var]
            async for row in rows:
                return row
        raise BackendError("vLLM ended the request without an answer", retryable=True)

    def describe(self) -> Mapping[str, Any]:
        return {**super().describe(), "notes": list(self._notes)}

    # Everything below runs in the engine's thread.

    async def _labels(self, reading: Reading, end: int) -> AsyncGenerator[tuple[list[float], Usage], None]:
        from vllm import SamplingParams

        self._check(end)
        engine = await self._live_engine()
        prompt = {"prompt_token_ids": reading.ids[:end].tolist()}
        params = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=list(reading.labels), detokenize=False)
        try:
            async with aclosing(engine.generate(prompt, params, self._next_id())) as outputs:
                async for output in self._watch.over(outputs):
                    known = {token: p.logprob for token, p in output.outputs[0].logprobs[0].items()}
                    cached = output.num_cached_tokens or 0
                    yield [known[label] for label in reading.labels], Usage(cached, end - cached)
            self._restarts = 0
        except Exception as error:
            raise explained(error) from error

    async def _deltas(self, request: Request) -> AsyncGenerator[Delta, None]:
        self._check(len(request.prompt))
        engine = await self._live_engine()
        request_id = self._next_id()
        prompt = {"prompt_token_ids": request.prompt.tolist()}
        params = self._sampling_params(request)
        matcher = StopMatcher(self.tokenizer, request.params)
        first = True
        try:
            async with aclosing(engine.generate(prompt, params, request_id, priority=request.priority)) as outputs:
                async for output in self._watch.over(outputs):
                    delta = _delta(output, request, matcher, with_usage=first)
                    first = False
                    yield delta
                    if delta.finish is not None and not output.finished:
                        return  # a stop string, matched here as vLLM's front end would; the request is aborted
            self._restarts = 0
        except Exception as error:
            raise explained(error) from error

    def _sampling_params(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = request.params
        completing = [self._completing(string) for string in params.stop]
        return SamplingParams(
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            min_p=params.min_p,
            repetition_penalty=params.repetition_penalty,
            presence_penalty=params.presence_penalty,
            frequency_penalty=params.frequency_penalty,
            seed=long_seed(request.seed),
            stop_token_ids=sorted({*params.stop_token_ids, *self.tokenizer.eos_ids}.union(*completing)),
            logprobs=params.logprobs,
            prompt_logprobs=params.prompt_logprobs,
            flat_logprobs=True,
            # Stop strings are matched here. vLLM's detokeniser would spell out every alternative token, which
            # costs up to two thirds of the throughput.
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            # A stop string contained in a single token ends the request in the engine (if it takes several tokens, it
            # is noticed a chunk late). Any other must be noticed at once, or what is sampled after it is wasted.
            stream_interval=max(1, request.chunk) if all(completing) else 1,
            skip_clone=True,
        )

    @cached_property
    def _completing(self) -> Callable[[str], frozenset[int]]:
        """Which tokens contain a whole stop string; done once, as it takes seconds for the largest vocabularies."""
        spellings = [self.tokenizer.decode([token]) for token in range(len(self._engine.get_tokenizer()))]
        return cache(lambda string: frozenset(token for token, text in enumerate(spellings) if string in text))


def _delta(output: Any, request: Request, matcher: StopMatcher, *, with_usage: bool) -> Delta:
    completion = output.outputs[0]
    if completion.finish_reason not in (None, "stop", "length"):
        raise BackendError(f"vLLM ended the request: {completion.finish_reason}", retryable=True)
    ids = np.asarray(completion.token_ids, np.int64)
    stop = matcher.feed(completion.token_ids)
    keep = len(ids) if stop is None else stop.keep
    params, cached = request.params, output.num_cached_tokens or 0
    return Delta(
        ids[:keep],
        stats=_stats(completion, params.logprobs, keep),
        finish=completion.finish_reason if stop is None else "stop",
        stop_reason=completion.stop_reason if stop is None else stop.reason,
        usage=Usage(cached, len(request.prompt) - cached) if with_usage else None,
        prompt_stats=prompt_stats(output.prompt_logprobs, params.prompt_logprobs)
        if params.prompt_logprobs is not None and output.prompt_logprobs
        else None,
    )


def _stats(completion: Any, k: int | None, keep: int) -> TokenStats | None:
    if k is None or not completion.logprobs:
        return None
    return token_stats(completion.logprobs[:keep], k)
