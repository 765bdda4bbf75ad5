"""A vLLM engine in process: how it starts, dies, is restarted and stops.

The engine core is a child process that imports the main script again: a script that starts one must do so under ``if
__name__ == "__main__":``. The ``widthwise`` command line does.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import multiprocessing
from collections.abc import Mapping
from typing import Any

from widthwise.backends.loop_thread import LoopThread
from widthwise.backends.model_facts import facts_in
from widthwise.backends.tokenizers.files import folder_of
from widthwise.backends.tokenizers.huggingface import HFTokenizer, as_ids
from widthwise.backends.vllm.options import engine_args
from widthwise.backends.vllm.scratch import SCRATCH
from widthwise.backends.vllm.stall_watch import StallWatch
from widthwise.backends.watchdog import Watchdog
from widthwise.core.backend import Tokenizer
from widthwise.core.brief import Brief
from widthwise.core.errors import BackendError, PromptTooLong

_log = logging.getLogger(__name__)

# A dead engine is restarted at most this often before it finishes a request; a request that kills it each time must not
# do so for ever.
_MAX_RESTARTS = 3


class VLLMEngine(Brief):
    """``AsyncLLM`` in a thread of its own; subclasses say what to ask it for.

    ``model`` is a folder or a hub id; ``engine_args`` are vLLM's engine arguments under vLLM's names
    (``tensor_parallel_size=8``). The constructor returns when the engine is ready; it raises ``UsageError`` for an
    unknown argument and ``BackendError`` if vLLM is missing or does not start.

    An engine that dies is restarted. So is one that is stuck: that has given nothing to any of the waiting requests for
    ``stall_timeout`` seconds (ten minutes).
    """

    _engine: Any  # AsyncLLM: the one that runs now

    def __init__(self, model: str, *, stall_timeout: float = 600.0, **engine_args_: Any) -> None:
        self.name = f"vllm:{model}"
        self._model = str(model)
        self._given = engine_args_
        self._args = engine_args(self._model, engine_args_)
        self._requests = itertools.count()
        self._restarts = 0
        self._closed = False
        self._thread = LoopThread("widthwise-vllm")
        self._restart_lock = asyncio.Lock()
        self._stall_timeout = stall_timeout
        self._watch = StallWatch(stall_timeout, self._end_stuck)
        try:
            self._thread.call(self._start())
            self._thread.begin(self._watch.run())
        except BaseException:
            self._thread.stop()
            raise
        config = self._engine.vllm_config.model_config
        self.max_model_len: int | None = int(config.max_model_len)
        tokenizer = HFTokenizer.wrapping(self._engine.get_tokenizer(), _eos_ids(config))
        self.tokenizer: Tokenizer = tokenizer
        self.facts = facts_in(folder_of(self._model), self._model)
        self._has_template = tokenizer.template is not None

    def describe(self) -> Mapping[str, Any]:
        import vllm

        return {
            "backend": "vllm",
            "model": self._model,
            "engine": f"vllm {vllm.__version__}",
            "engine_args": dict(self._given),
            "max_model_len": self.max_model_len,
            "notes": [],
        }

    async def close(self) -> None:
        """Abort what is running, then stop the engine; returns within seconds even if the engine hangs."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._thread.end_streams()
        try:
            self._thread.call(self._stop(), timeout=20)
        except TimeoutError:
            _log.warning("the vLLM engine did not stop within 20 seconds; killing its processes")
            self._end_processes()
        self._thread.stop()
        self._engine = None  # its finaliser fails if it runs as late as the interpreter's exit

    # Everything below runs in the engine's thread, except `_end_processes`, which may run in any.

    async def _start(self) -> None:
        from vllm.v1.engine.async_llm import AsyncLLM

        others = set(multiprocessing.active_children())
        try:
            with SCRATCH.begin(self):
                self._engine = AsyncLLM.from_engine_args(self._args)
        except Exception as error:
            raise BackendError(
                f"vLLM could not start with {self._model!r}: {error} The log above has the cause; a script "
                "must make the backend under `if __name__ == '__main__':`"
            ) from error
        self._processes = [p for p in multiprocessing.active_children() if p not in others]
        self._watchdog = Watchdog([p.pid for p in self._processes if p.pid is not None], SCRATCH.path)

    async def _stop(self) -> None:
        try:
            self._engine.shutdown()
        except Exception:
            _log.debug("the vLLM engine did not shut down in order", exc_info=True)
        self._end_processes()

    def _end_processes(self) -> None:
        for process in self._processes:
            process.join(timeout=10)
            if process.is_alive():
                _log.warning("the vLLM process %s did not end and is killed", process.pid)
                process.kill()
        self._watchdog.dismiss()
        SCRATCH.end(self)

    def _end_stuck(self) -> None:
        _log.warning(
            "the vLLM engine has given nothing for %g seconds: it is stuck, and is killed and restarted",
            self._stall_timeout,
        )
        for process in self._processes:
            process.kill()

    async def _live_engine(self) -> Any:
        """The engine, restarted if it died."""
        async with self._restart_lock:
            if self._engine.errored:
                if self._restarts >= _MAX_RESTARTS:
                    raise BackendError(f"the vLLM engine died {self._restarts + 1} times; its log has the cause")
                self._restarts += 1
                _log.warning("the vLLM engine died and is restarted (%d of %d)", self._restarts, _MAX_RESTARTS)
                await self._stop()
                await self._start()
            return self._engine

    def _next_id(self) -> str:
        return f"widthwise-{next(self._requests)}"

    def _check(self, length: int, room: int = 1) -> None:
        """Raise if a prompt of this length leaves no ``room`` for what is to be sampled after it."""
        if length == 0:
            raise BackendError("the prompt is empty")
        if self.max_model_len is not None and length + room > self.max_model_len:
            raise PromptTooLong(
                f"a prompt of {length} tokens leaves no room in the model's context of {self.max_model_len}"
            )


def _eos_ids(model_config: Any) -> list[int]:
    """What the model's generation settings name as ends of sequence, besides the tokenizer's own."""
    return as_ids(model_config.try_get_generation_config().get("eos_token_id"))


def explained(error: Exception) -> Exception:
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
