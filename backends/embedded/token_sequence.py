"""One request inside the embedded engine."""

from __future__ import annotations

import numpy as np

from widthwise.backends.embedded.probe import Probe
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import Delta, FinishReason, Request, Tokenizer, TokenStats, Usage
from widthwise.core.trace.stopping import Stop, StopMatcher

_EMPTY_IDS = np.empty(0, np.int64)
_EMPTY_LOGPROBS = np.empty(0, np.float32)


class TokenSequence:
    """A request's tokens so far, and which of them its consumer has not received yet.

    ``limit`` is the length at which it ends. ``place`` orders sequences: by priority, then by arrival. With a ``probe``
    nothing is sampled: all of its tokens are computed except the last, which takes the place of a sampled one.
    """

    def __init__(self, request: Request, limit: int, place: tuple[int, int], tokenizer: Tokenizer) -> None:
        self.request = request
        self.limit = limit
        self.place = place
        self.probe: Probe | None = None
        self.usage: Usage | None = None
        # For each token of the prompt but the first: its log-probability, and the most likely ones if asked for.
        self.prompt_logprobs: list[FloatArray] = []
        self.prompt_top: list[tuple[IntArray, FloatArray]] = []
        self._tokens = np.array(request.prompt, np.int64)
        self._length = len(self._tokens)
        self._pending: list[tuple[IntArray, FloatArray]] = []
        self._pending_top: list[tuple[IntArray, FloatArray]] = []
        self._matcher = StopMatcher(tokenizer, request.params)
        # A stop string ends within its own bytes; the matcher needs no more context than that.
        self._context = max((len(s.encode()) for s in request.params.stop), default=0) + 8
        self._matched = self._length
        self._introduced = False

    def __lt__(self, other: TokenSequence) -> bool:
        return self.place < other.place

    def __len__(self) -> int:
        return self._length

    @property
    def tokens(self) -> IntArray:
        """Prompt and sampled tokens."""
        return self._tokens[: self._length]

    @property
    def chunk(self) -> int:
        """How many tokens its consumer's next delta may hold."""
        return min(max(self.request.chunk, 1), self.limit - self._length)

    @property
    def scores_prompt(self) -> bool:
        """Whether log-probabilities of the prompt are still to be computed."""
        return self.request.params.prompt_logprobs is not None and not self._introduced

    @property
    def reusable(self) -> int:
        """How many of its first tokens may come from a cache."""
        if self.probe is not None:
            return self.probe.first
        return 0 if self.scores_prompt else self._length - 1

    def count_prompt(self, cached: int) -> None:
        """Note how much of the prompt was cached when it first started."""
        if self.usage is None:
            self.usage = Usage(cached, self._length - cached - (self.probe is not None))

    def forget_prompt(self) -> None:
        """Drop what was computed of the prompt, because it is computed again."""
        self.prompt_logprobs.clear()
        self.prompt_top.clear()
        if self.probe is not None:
            self.probe.clear()

    def extend(self, tokens: IntArray, logprobs: FloatArray) -> None:
        """Take sampled tokens, to be handed out later."""
        end = self._length + len(tokens)
        if end > len(self._tokens):
            grown = np.empty(min(max(2 * end, 64), self.limit), np.int64)
            grown[: self._length] = self.tokens
            self._tokens = grown
        self._tokens[self._length : end] = tokens
        self._length = end
        self._pending.append((tokens, logprobs))

    def add_top(self, ids: IntArray, logprobs: FloatArray) -> None:
        """Take the most likely tokens ``[1, k]`` at the position of one sampled token."""
        self._pending_top.append((ids, logprobs))

    def stop(self) -> Stop | None:
        """Why the sequence ends with its last token, if it does; to be called for every token that may end it."""
        start = max(self._matched, self._length - self._context)
        self._matched = self._length
        return self._matcher.feed([int(t) for t in self._tokens[start : self._length]])

    def give(self, finish: FinishReason | None, stop: Stop | None) -> Delta:
        """What its consumer has not received yet."""
        params, first = self.request.params, not self._introduced
        logprobs = [p for _, p in self._pending]
        delta = Delta(
            np.concatenate([t for t, _ in self._pending] or [_EMPTY_IDS]),
            stats=_stats(logprobs, self._pending_top, params.logprobs),
            finish=finish,
            stop_reason=stop.reason if stop else None,
            usage=self.usage if first else None,
            prompt_stats=_stats(self.prompt_logprobs, self.prompt_top, params.prompt_logprobs) if first else None,
        )
        self._pending, self._pending_top, self._introduced = [], [], True
        return delta


def _stats(logprobs: list[FloatArray], top: list[tuple[IntArray, FloatArray]], k: int | None) -> TokenStats | None:
    if k is None:
        return None
    joined = np.concatenate(logprobs or [_EMPTY_LOGPROBS])
    if k == 0:
        return TokenStats(joined)
    ids = np.concatenate([i for i, _ in top] or [np.empty((0, k), np.int64)])
    return TokenStats(joined, ids, np.concatenate([p for _, p in top] or [np.empty((0, k), np.float32)]))
