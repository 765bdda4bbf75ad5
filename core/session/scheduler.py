"""Between sessions and the backend: bounded concurrency, order of service, retries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, nullcontext
from dataclasses import replace

import numpy as np

from widthwise.core.backend import Backend, Delta, Request, Tokenizer
from widthwise.core.errors import BackendError
from widthwise.core.retry import Retry
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.stopping import Stop, StopMatcher

_log = logging.getLogger(__name__)


class Scheduler:
    """Hands every ready request to the backend at once; the engine's continuous batching does the rest.

    There are no rounds and no barriers between problems. ``max_requests`` limits the requests in flight; waiting
    requests are served in the order of their calls, so that branches with the same prefix go together. A deterministic
    backend gets no such limit, because it advances requests only on demand.
    """

    def __init__(self, backend: Backend, *, max_requests: int = 1024, retry: Retry | None = None) -> None:
        self.backend = backend
        self.retry = retry or Retry()
        self._slots = None if backend.capabilities.deterministic else asyncio.Semaphore(max_requests)

    async def generate(self, request: Request, ledger: Ledger) -> AsyncIterator[Delta]:
        """Stream ``request``; a temporary failure is retried from the last token received.

        Tokens received before a failure were really generated: they are kept, and the next attempt continues after
        them. Raises ``BackendError`` when the attempts are used up without progress.
        """
        failures, sent, progress = 0, 0, _now()
        resumed: StopMatcher | None = None
        while True:
            received: list[int] = []
            try:
                async with (
                    self._slots or nullcontext(),
                    aclosing(self.backend.generate(request)) as deltas,  # type: ignore[type-var]
                ):
                    async for delta in deltas:
                        progress = _now()
                        received.extend(delta.token_ids.tolist())
                        if resumed is not None and (stop := resumed.feed(delta.token_ids.tolist())) is not None:
                            yield _stopped(delta, stop)
                            return
                        yield delta
                return
            except BackendError as error:
                begins_anew = not self.backend.capabilities.continues
                failures = error.attempts + (0 if received and not begins_anew else failures)
                sent += error.attempts
                if not error.retryable or self.retry.over(failures, sent, _now() - progress):
                    raise
                _log.warning("sending a request of problem %s again: %s", request.problem, error)
            ledger.retries += 1
            if (end := self._end(request, received)) is not None:
                yield end
                return
            if begins_anew:
                if received:
                    yield Delta(np.empty(0, np.int64), anew=True)
                await asyncio.sleep(self.retry.delay(failures))
                continue
            if received and request.params.stop and resumed is None:
                # A stop string may begin before the failure and end after it: the backend sees only its second half.
                resumed = StopMatcher(self.backend.tokenizer, request.params)
                resumed.feed(received)
            request = _rest(request, received, self.backend.tokenizer)
            await asyncio.sleep(self.retry.delay(failures))

    def _end(self, request: Request, received: list[int]) -> Delta | None:
        """The last delta, if every token had arrived and only the end of the stream was lost."""
        stop = StopMatcher(self.backend.tokenizer, request.params).feed(received)
        if stop is not None:
            return Delta(np.empty(0, np.int64), finish="stop", stop_reason=stop.reason)
        if request.params.max_tokens is not None and len(received) >= request.params.max_tokens:
            return Delta(np.empty(0, np.int64), finish="length")
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()


def _rest(request: Request, received: list[int], tokenizer: Tokenizer) -> Request:
    """The request for what is missing after the ``received`` tokens."""
    if not received:
        return request
    limit = request.params.max_tokens
    params = replace(request.params, max_tokens=None if limit is None else limit - len(received), prompt_logprobs=None)
    prompt = np.concatenate([request.prompt, np.array(received, np.int64)])
    asked = request.conversation and request.conversation.continued(tokenizer.decode(received))
    return replace(request, prompt=prompt, params=params, conversation=asked)


def _stopped(delta: Delta, stop: Stop) -> Delta:
    """``delta`` up to its stop."""
    stats = None if delta.stats is None else delta.stats.part(slice(stop.keep))
    return replace(delta, token_ids=delta.token_ids[: stop.keep], stats=stats, finish="stop", stop_reason=stop.reason)
