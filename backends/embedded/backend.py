"""The ``embedded:`` backend: a small numpy engine for Llama-type checkpoints that runs on any machine."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.backends.embedded import blas
from widthwise.backends.embedded.checkpoint import Checkpoint
from widthwise.backends.embedded.engine import Engine
from widthwise.backends.embedded.llama import BUCKET, Llama
from widthwise.backends.embedded.llama_config import LlamaConfig
from widthwise.backends.embedded.probe import LabelProbe, MeanProbe, Probe
from widthwise.backends.embedded.token_sequence import TokenSequence
from widthwise.backends.embedding import cut_to
from widthwise.backends.model_facts import facts_in
from widthwise.backends.notes import Notes
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import Capabilities, Delta, Request, Usage
from widthwise.core.brief import Brief
from widthwise.core.errors import BackendError, reason_of
from widthwise.core.rewards.reading import Read, Reading

_log = logging.getLogger(__name__)

# How many turns consumers get after a step that served some of them: a delta may pass through a few tasks and queues
# before its consumer asks for the next one, and consumers that ask in time are batched with the others.
_TURNS = 8
_KV_CACHE_BYTES = 256 * 2**20


class EmbeddedBackend(Brief):
    """Samples from a Llama-type checkpoint (see ``ARCHITECTURES``) in a Hugging Face folder.

    It runs on one core, inside the caller's event loop.

    Callers may come from several threads: one event loop steps the engine for all. A forked process gets an engine of
    its own.

    A request advances only while its next delta is awaited, by ``request.chunk`` tokens at a time. Tokens and
    log-probabilities depend, bit for bit, on the request alone: not on concurrency, batch neighbours, cache hits,
    ``max_num_seqs`` or ``chunk``.

    ``max_num_seqs`` sequences are decoded at once; the others wait. ``kv_cache_bytes`` limits keys and values, working
    and cached; the default is 256 MiB. ``max_model_len`` may shorten the model's context. If neither is given, the
    context is the model's own, or as much of it as its keys and values leave room for. Raises BackendError for a folder
    that does not hold such a checkpoint.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_num_seqs: int = 256,
        kv_cache_bytes: int | None = None,
        max_model_len: int | None = None,
    ) -> None:
        folder = Path(path).expanduser()
        if not folder.is_dir():
            raise BackendError(f"there is no folder {folder}; name the folder of a Hugging Face checkpoint")
        if max_num_seqs < 1:
            raise BackendError(f"max_num_seqs must be at least 1, not {max_num_seqs}")
        pinned = blas.pin_to_one_thread()
        config = LlamaConfig.from_folder(folder)
        checkpoint = Checkpoint(folder)
        self.name = f"embedded:{path}"
        kv_bytes = _KV_CACHE_BYTES if kv_cache_bytes is None else kv_cache_bytes
        self.max_model_len = _context(config, max_model_len)
        self.facts = facts_in(folder, str(path))
        self.tokenizer = tokenizer_from(folder)
        self.capabilities = Capabilities(deterministic=True, max_logprobs=config.vocab_size, prompt_logprobs=True)
        self._digest, self._parameters = checkpoint.digest, checkpoint.parameters
        self._notes = Notes()
        if kv_cache_bytes is None and max_model_len is None:
            self.max_model_len = self._fitting(config, kv_bytes)
        model = Llama(config, checkpoint, self.max_model_len)
        if not pinned:
            self._notes.warn("could not hold numpy's matrix library to one thread, because it is not OpenBLAS")
        self._reproducible = model.rows_are_independent()
        if not self._reproducible:
            self._notes.warn("on this machine, the last bits of numpy's matrix products depend on the batch")
        self._engine = Engine(model, self.tokenizer, max_num_seqs=max_num_seqs, kv_bytes=kv_bytes)
        self._awaited: dict[TokenSequence, asyncio.Future[Delta]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._process = os.getpid()
        self._lock = threading.RLock()

    @cached_property
    def _opening(self) -> list[int]:
        """The ids put before a text to be embedded, so that no text is empty."""
        return self.tokenizer.chat([{"role": "user", "content": ""}])[:1]

    def _fitting(self, config: LlamaConfig, kv_bytes: int) -> int:
        """The model's context, or as much of it as the keys and values of one sequence may take."""
        a_token = 2 * 4 * config.layers * config.kv_heads * config.head_dim
        fits = kv_bytes // a_token // BUCKET * BUCKET
        if fits >= config.max_len:
            return config.max_len
        self._notes.warn(
            f"the context is limited by kv_cache_bytes to {fits} tokens instead of the model's {config.max_len}; "
            f"for all of it set kv_cache_bytes={config.max_len * a_token}"
        )
        return fits

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        self._begin_in_this_process()
        sequence = self._submitted(self._engine.submit, request)
        try:
            while True:
                delta = await self._next(sequence)
                yield delta
                if delta.finish:
                    return
        finally:
            self._forget(sequence)

    reuses_prefixes = True

    async def read(self, reading: Reading) -> Read:
        """Log-probabilities of ``reading.labels``, which depend bit for bit on the reading alone."""
        if not reading.labels:
            raise BackendError(f"{self.name} has no head except the vocabulary's; run it with vllm: instead")
        probe = LabelProbe(self._engine.model, reading.positions, reading.labels)
        usage = await self._probed(reading.ids, probe)
        return Read(probe.values, usage)

    async def embed(self, texts: Iterable[str]) -> tuple[FloatArray, int]:
        """Mean-pooled hidden states of unit length, ``float32 [texts, width]``, and how many tokens were read.

        A text that does not fit the context loses its end.
        """
        encoded = [self._opening + self.tokenizer.encode(text) for text in texts]
        sequences = cut_to(self.max_model_len - 2, encoded, self.name)
        probes = [(np.array(ids, np.int64), MeanProbe()) for ids in sequences]
        usages = await asyncio.gather(*(self._probed(*each) for each in probes))
        return np.stack([probe.value for _, probe in probes]), sum(usage.prompt_computed for usage in usages)

    async def _probed(self, ids: IntArray, probe: Probe) -> Usage:
        """Compute all of ``ids`` in the engine's batch, and show them to ``probe``."""
        self._begin_in_this_process()
        sequence = self._submitted(self._engine.read, ids, probe)
        try:
            delta = await self._next(sequence)
        finally:
            self._forget(sequence)
        assert delta.usage is not None
        return delta.usage

    def describe(self) -> Mapping[str, Any]:
        return {
            "backend": "embedded",
            "model": self.name.removeprefix("embedded:"),
            "model_digest": self._digest,
            "parameters": self._parameters,
            "max_model_len": self.max_model_len,
            "engine": "widthwise numpy",
            "numpy": np.__version__,
            "blas": blas.version(),
            "bit_reproducible": self._reproducible,
            "notes": list(self._notes),
        }

    async def close(self) -> None:
        """Abort all requests; tasks that await one get a BackendError. Closing twice is fine."""
        self._closed = True
        self._fail(f"{self.name} was closed")
        task, self._task = self._task, None
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _next(self, sequence: TokenSequence) -> Delta:
        if self._closed:
            raise BackendError(f"{self.name} was closed; open it again")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Delta] = loop.create_future()
        with self._lock:
            self._awaited[sequence] = future
            self._engine.ask(sequence)
            self._see_to_steps(loop)
        return await future

    def _see_to_steps(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make sure that the engine is stepped: by the running event loop that does so, else by a task in ``loop``.

        When an event loop ends, so does its task; a new task continues where it stopped.
        """
        if self._task is None or self._task.done() or not self._task.get_loop().is_running():
            self._task = loop.create_task(self._run())

    def _begin_in_this_process(self) -> None:
        """After a fork, the child has the model, but none of the parent's requests, tasks and locks."""
        if self._process == os.getpid():
            return
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._awaited, self._task = {}, None
        self._engine.reset()

    def _submitted(self, submit: Callable[..., TokenSequence], *asked: Any) -> TokenSequence:
        try:
            with self._lock:
                return submit(*asked)
        except MemoryError as error:
            raise BackendError(f"the embedded engine failed with {_told(error)}") from error

    def _forget(self, sequence: TokenSequence) -> None:
        if self._process == os.getpid():
            with self._lock:
                self._awaited.pop(sequence, None)
                self._engine.abort(sequence)

    async def _run(self) -> None:
        """Step while any caller awaits tokens, including callers in other threads' event loops."""
        served: list[TokenSequence] = []
        try:
            while True:
                await self._let_consumers_run(served)
                with self._lock:
                    if not self._engine.busy:
                        self._task = None
                        return
                    served = self._stepped()
        except asyncio.CancelledError:  # this event loop ends: another one takes over
            self._hand_over()
            raise

    def _stepped(self) -> list[TokenSequence]:
        """One step of the engine; the sequences that may be asked for more."""
        try:
            return [sequence for sequence, delta in self._engine.step() if self._serve(sequence, delta)]
        except Exception as error:  # whatever it was, no caller may be left waiting
            _log.debug("the embedded engine failed", exc_info=True)
            self._fail(f"the embedded engine failed with {_told(error)}", error)
            return []

    def _hand_over(self) -> None:
        """Let another event loop take over if a caller in one still waits."""
        with self._lock:
            self._task, here = None, asyncio.get_running_loop()
            others = {future.get_loop() for future in self._awaited.values()} - {here}
            for loop in others:
                with suppress(RuntimeError):  # that one has ended too
                    loop.call_soon_threadsafe(self._go_on, loop)
                    return

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._see_to_steps(loop)

    async def _let_consumers_run(self, served: list[TokenSequence]) -> None:
        await asyncio.sleep(0)
        for _ in range(_TURNS):
            if all(sequence in self._awaited for sequence in served):
                return
            await asyncio.sleep(0)

    def _serve(self, sequence: TokenSequence, delta: Delta) -> bool:
        """Hand a delta to its consumer; returns whether the sequence may be asked for more."""
        _settle(self._awaited.pop(sequence), delta)
        return delta.finish is None

    def _fail(self, reason: str, cause: Exception | None = None) -> None:
        with self._lock:
            awaited, self._awaited = self._awaited, {}
            self._engine.reset()
            for future in awaited.values():
                error = BackendError(reason)
                error.__cause__ = cause
                _settle(future, error)


def _told(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "MemoryError: lower --concurrency, max_num_seqs or kv_cache_bytes"
    return reason_of(error)


def _settle(future: asyncio.Future[Delta], outcome: Delta | BackendError) -> None:
    """Give a future its result or its error, in the event loop that it belongs to."""

    def settle() -> None:
        if future.done():
            return
        if isinstance(outcome, BackendError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    if future.get_loop().is_running() and future.get_loop() is not asyncio._get_running_loop():
        with suppress(RuntimeError):  # it has ended meanwhile: nothing waits
            future.get_loop().call_soon_threadsafe(settle)
    else:
        settle()


def _context(config: LlamaConfig, asked: int | None) -> int:
    if asked is None:
        return config.max_len
    if not 2 <= asked <= config.max_len:
        raise BackendError(f"max_model_len must be from 2 to {config.max_len}, the model's own context, not {asked}")
    return asked
