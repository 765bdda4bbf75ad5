"""vLLM in process: the main backend.

The engine core is a child process that imports the main script again: a script that makes a ``VLLMBackend``
must do so under ``if __name__ == "__main__":``. The ``widthwise`` command line does.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import numpy as np

from widthwise.backends.hf_tokenizer import HFTokenizer, as_ids
from widthwise.backends.loop_thread import LoopThread
from widthwise.backends.seeds import long_seed
from widthwise.backends.vllm_options import engine_args
from widthwise.backends.vllm_stats import prompt_stats, token_stats
from widthwise.backends.watchdog import Watchdog
from widthwise.core.backend import Capabilities, Delta, Request, Tokenizer, TokenStats, Usage
from widthwise.core.errors import BackendError, PromptTooLong
from widthwise.core.stopping import StopMatcher

# A dead engine is started again this often before it finishes a request; one that kills it each time must not
# do so for ever.
_MAX_RESTARTS = 3


class VLLMBackend:
    """``AsyncLLM`` with token ids in and out.

    ``model`` is a folder or a hub id; ``engine_args`` are vLLM's engine arguments under vLLM's names
    (``tensor_parallel_size=8``). The constructor returns when the engine is ready; it raises ``UsageError``
    for an unknown argument and ``BackendError`` where vLLM is missing or does not start.
    """

    _engine: Any  # AsyncLLM: the one that runs now

    def __init__(self, model: str, **engine_args_: Any) -> None:
        self.name = f"vllm:{model}"
        self._model = str(model)
        self._given = engine_args_
        self._args = engine_args(self._model, engine_args_)
        self._requests = itertools.count()
        self._restarts = 0
        self._closed = False
        self._thread = LoopThread("widthwise-vllm")
        self._restart_lock = asyncio.Lock()
        try:
            self._thread.call(self._start())
        except BaseException:
            self._thread.stop()
            raise
        config = self._engine.vllm_config.model_config
        self.max_model_len: int | None = int(config.max_model_len)
        tokenizer = HFTokenizer.wrapping(self._engine.get_tokenizer(), _eos_ids(config))
        self.tokenizer: Tokenizer = tokenizer
        self._has_template = tokenizer.template is not None
        self.capabilities = Capabilities(
            max_logprobs=config.max_logprobs if config.max_logprobs >= 0 else config.get_vocab_size(),
            prompt_logprobs=True,
        )

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        return self._thread.stream(self._deltas(request))

    def describe(self) -> Mapping[str, Any]:
        import vllm

        notes = ["tokens of a seed may change with the batch it runs in, unless the engine is batch-invariant"]
        if not self._has_template:
            notes.append("the model has no chat template: conversations are plain text joined by blank lines")
        return {
            "backend": "vllm",
            "model": self._model,
            "engine": f"vllm {vllm.__version__}",
            "engine_args": dict(self._given),
            "max_model_len": self.max_model_len,
            "notes": notes,
        }

    async def close(self) -> None:
        """Abort what runs, then stop the engine; returns within seconds even if the engine hangs."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._thread.end_streams()
        try:
            self._thread.call(self._stop(), timeout=20)
        except TimeoutError:
            self._end_processes()
        self._thread.stop()
        self._engine = None  # its finaliser fails when it runs as late as the interpreter's exit

    # Everything below runs in the engine's thread, except `_end_processes`, which may run in any.

    async def _start(self) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        others = set(multiprocessing.active_children())
        try:
            self._engine = AsyncLLM.from_engine_args(self._args)
        except Exception as error:
            raise BackendError(
                f"vLLM could not start with {self._model!r}: {error} The log above has the cause; a script "
                "must make the backend under `if __name__ == '__main__':`"
            ) from error
        self._processes = [p for p in multiprocessing.active_children() if p not in others]
        self._watchdog = Watchdog([p.pid for p in self._processes if p.pid is not None])

    async def _stop(self) -> None:
        with suppress(Exception):
            self._engine.shutdown()
        self._end_processes()

    def _end_processes(self) -> None:
        for process in self._processes:
            process.join(timeout=10)
            if process.is_alive():
                process.kill()
        self._watchdog.dismiss()

    async def _live_engine(self) -> Any:
        """The engine, started again if it died."""
        async with self._restart_lock:
            if self._engine.errored:
                if self._restarts >= _MAX_RESTARTS:
                    raise BackendError(f"the vLLM engine died {self._restarts + 1} times; its log has the cause")
                self._restarts += 1
                await self._stop()
                await self._start()
            return self._engine

    async def _deltas(self, request: Request) -> AsyncGenerator[Delta, None]:
        self._check(request)
        engine = await self._live_engine()
        request_id = f"widthwise-{next(self._requests)}"
        prompt = {"prompt_token_ids": request.prompt.tolist()}
        params = self._sampling_params(request)
        matcher = StopMatcher(self.tokenizer, request.params)
        first = True
        try:
            async with aclosing(engine.generate(prompt, params, request_id, priority=request.priority)) as outputs:
                async for output in outputs:
                    delta = _delta(output, request, matcher, with_usage=first)
                    first = False
                    yield delta
                    if delta.finish is not None and not output.finished:
                        return  # a stop string, matched here as vLLM's front end would; the request is aborted
            self._restarts = 0
        except Exception as error:
            raise _explained(error) from error

    def _check(self, request: Request) -> None:
        length = len(request.prompt)
        if length == 0:
            raise BackendError("the prompt is empty")
        if self.max_model_len is not None and length >= self.max_model_len:
            raise PromptTooLong(
                f"a prompt of {length} tokens leaves no room in the model's context of {self.max_model_len}"
            )

    def _sampling_params(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = request.params
        return SamplingParams(
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=params.top_k,
            min_p=params.min_p,
            seed=long_seed(request.seed),
            stop_token_ids=sorted({*params.stop_token_ids, *self.tokenizer.eos_ids}),
            logprobs=params.logprobs,
            prompt_logprobs=params.prompt_logprobs,
            flat_logprobs=True,
            # Stop strings are matched here. vLLM's detokeniser would spell out every alternative token, which
            # costs up to two thirds of the throughput.
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            # A stop string must be seen at once, or what is sampled behind it is wasted.
            stream_interval=1 if params.stop else max(1, request.chunk),
            skip_clone=True,
        )


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


def _eos_ids(model_config: Any) -> list[int]:
    """What the model's generation settings name as ends of sequence, besides the tokenizer's own."""
    return as_ids(model_config.try_get_generation_config().get("eos_token_id"))


def _explained(error: Exception) -> Exception:
    """vLLM's errors as the project's; those of this module pass unchanged."""
    from vllm.exceptions import GracefulHTTPError, VLLMClientError
    from vllm.v1.engine.exceptions import EngineDeadError

    if isinstance(error, BackendError):
        return error
    if isinstance(error, EngineDeadError):
        return BackendError("the vLLM engine died; its log has the cause", retryable=True)
    if isinstance(error, VLLMClientError):
        return BackendError(f"vLLM refused the request: {error}")
    if isinstance(error, GracefulHTTPError):
        return BackendError(f"vLLM's queue is full: {error}", retryable=True)
    return BackendError(f"vLLM failed: {error}", retryable=True)
