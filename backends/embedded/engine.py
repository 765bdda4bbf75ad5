"""The embedded engine's scheduler: which rows a step computes, and where their keys and values are kept."""

from __future__ import annotations

import heapq
import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from widthwise.backends.embedded.admission import Admission
from widthwise.backends.embedded.decode_batch import DecodeBatch
from widthwise.backends.embedded.kv_cache import PrefixCache, shared_length
from widthwise.backends.embedded.kv_pool import KVPool
from widthwise.backends.embedded.llama import BUCKET, AttentionGroup, Llama, bucket
from widthwise.backends.embedded.prefill import PREFILL_ROWS, Prefill
from widthwise.backends.embedded.probe import Probe
from widthwise.backends.embedded.request_check import check
from widthwise.backends.embedded.sampling import log_softmax, most_likely
from widthwise.backends.embedded.token_sequence import TokenSequence
from widthwise.backends.tokenizers.files import CheckpointTokenizer
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import Delta, FinishReason, Request, SamplingParams
from widthwise.core.errors import BackendError


class Engine:
    """Runs sequences step by step; it is synchronous, and a sequence advances only when asked to.

    A sequence first waits, is then prefilled (all of its tokens but the last that are not in the prefix cache), then
    decodes in the pool of its bucket. A sequence that nothing asks for moves from its pool to the prefix cache. The
    last token of a prompt is always computed, because the first sampled token's scores come from it. A sequence that
    lacks what another's prefill computes waits with that prefill, and no prefill begins in a step that is full: so the
    work of admission grows with the sequences, not with sequences times steps.

    Keys and values, working and cached, take at most ``kv_bytes`` between steps. A sequence starts when what it and all
    older ones are expected to need fits (``Admission``). If they need more, cached prefixes are evicted first, then the
    youngest sequences go back to waiting and are computed again.
    """

    def __init__(self, model: Llama, tokenizer: CheckpointTokenizer, *, max_num_seqs: int, kv_bytes: int) -> None:
        self.model = model
        self._tokenizer = tokenizer
        self._seats = max_num_seqs
        self._kv_bytes = kv_bytes
        self._arrivals = 0
        self._ends_of = lru_cache(maxsize=256)(self._ends)
        self.reset()

    def reset(self) -> None:
        """Forget all sequences and all cached prefixes."""
        self._asking: set[TokenSequence] = set()
        self._waiting: list[TokenSequence] = []
        self._prefills: list[Prefill] = []
        self._row_of: dict[TokenSequence, int] = {}
        self._pools: dict[int, KVPool] = {}
        self._cache = PrefixCache()
        self._admission = Admission(self._kv_bytes // (self._kv_size(BUCKET) // BUCKET))
        self._batch = DecodeBatch(self._seats, self.model.config.vocab_size)

    @property
    def busy(self) -> bool:
        """Whether any caller awaits a token."""
        return bool(self._asking)

    @property
    def working_bytes(self) -> int:
        """Keys and values of the sequences being computed."""
        return sum(pool.nbytes for pool in self._pools.values()) + sum(p.kv.nbytes for p in self._prefills)

    def submit(self, request: Request) -> TokenSequence:
        """A sequence for this request; raises PromptTooLong or BackendError if it cannot be served."""
        check(request, self.model.config.vocab_size, self.model.max_len)
        params = request.params
        room = self.model.max_len - len(request.prompt)
        limit = len(request.prompt) + min(room, room if params.max_tokens is None else params.max_tokens)
        needed = self._kv_size(limit)
        if needed > self._kv_bytes:
            raise BackendError(
                f"a sequence of up to {limit} tokens needs {needed / 2**20:.1f} MiB for its keys and values, but "
                f"kv_cache_bytes allows {self._kv_bytes / 2**20:.1f} MiB; raise it or ask for fewer tokens"
            )
        self._arrivals += 1
        return TokenSequence(request, limit, (request.priority, self._arrivals), self._tokenizer)

    def read(self, tokens: IntArray, probe: Probe) -> TokenSequence:
        """A sequence that ends when ``probe`` has received all of these tokens; raises as ``submit`` does."""
        sequence = self.submit(Request(np.append(tokens, 0), SamplingParams(max_tokens=1), seed=0))
        sequence.probe = probe
        return sequence

    def ask(self, sequence: TokenSequence) -> None:
        """Let a sequence advance by one chunk."""
        self._asking.add(sequence)
        self._admission.enter(sequence)
        row = self._row_of.get(sequence)
        if row is None:
            heapq.heappush(self._waiting, sequence)
        else:
            self._batch.await_chunk(row)

    def abort(self, sequence: TokenSequence) -> None:
        """End a sequence, if it is still alive; only what the prefix cache already had is kept."""
        self._asking.discard(sequence)
        self._end(sequence)
        self._admission.leave(sequence)

    def step(self) -> list[tuple[TokenSequence, Delta]]:
        """One pass through the model; the sequences that have something for their consumers."""
        self._park()
        self._grow()
        self._admit()
        rows = np.concatenate([np.empty(0, np.int64), *(pool.rows for pool in self._pools.values())])
        chunks = self._chunks()
        if not len(rows) and not chunks:
            return []
        hidden = self._forward(rows, chunks)
        read = [
            self._end_reading(prefill)
            for prefill, end, first in chunks
            if self._advance(prefill, end, hidden[first : first + end - prefill.done])
        ]
        ended = self._batch.sample(rows, self.model.logits(hidden[: len(rows)])) if len(rows) else rows
        return read + [given for row in ended if (given := self._give(int(row))) is not None]

    # Into the engine

    def _ends(self, strings: tuple[str, ...], ids: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which tokens may end a sequence. A stop string is completed by a token that holds its last byte."""
        ends = np.zeros(self.model.config.vocab_size, np.bool_)
        ends[[i for i in (*self._tokenizer.eos_ids, *ids) if 0 <= i < len(ends)]] = True
        last = {string.encode()[-1:] for string in strings}
        for token, piece in enumerate(self._tokenizer.bytes_of[: len(ends)]):
            ends[token] |= any(byte in piece for byte in last)
        return ends

    def _admit(self) -> None:
        """Start waiting sequences while there are seats and memory."""
        running = bool(self._row_of or self._prefills)
        last = self._admission.last(self._asking, running=running) if self._waiting else None
        while self._waiting and len(self._batch) + len(self._prefills) < self._seats:
            sequence = self._waiting[0]
            wanted = sequence in self._asking and not self._follows(sequence)  # else it was aborted, or waits elsewhere
            if wanted and (last is None or last < sequence):
                return
            if wanted and not (self._make_room(self._kv_size(len(sequence))) and self._start(sequence)):
                return
            heapq.heappop(self._waiting)

    def _follows(self, sequence: TokenSequence) -> bool:
        """Whether a sequence now waits for another's prefill, which computes at least half of what it lacks."""
        known = sequence.tokens[: sequence.reusable]
        cached = self._cache.match(known)  # marks it as used, so that making room spares it
        if cached == len(known) or not self._prefills:
            return False
        shared = [shared_length(known, prefill.tokens) for prefill in self._prefills]
        best = max(shared)
        if pays := 2 * (best - cached) >= len(known) - cached:
            self._prefills[shared.index(best)].followers.append(sequence)
        return pays

    def _start(self, sequence: TokenSequence) -> bool:
        """Load what is cached and compute the rest; False if the step has no room for any of it."""
        known = sequence.tokens[:-1]
        cached = min(sequence.reusable, self._cache.match(known))
        if cached < len(known) and sum(len(p.tokens) - p.done for p in self._prefills) >= PREFILL_ROWS:
            return False
        sequence.count_prompt(cached)
        if cached == len(known):
            kv = self._seat(sequence)
        else:
            kv = np.zeros(self.model.kv_shape(len(sequence)), np.float32)
            self._prefills.append(Prefill(sequence, kv, cached))
        self._cache.load(known[:cached], kv)
        return True

    def _release(self, prefill: Prefill) -> None:
        """Take a prefill out of the step, whether it has ended or was broken off; its followers wait as others do."""
        self._prefills.remove(prefill)
        for sequence in prefill.followers:
            heapq.heappush(self._waiting, sequence)

    def _seat(self, sequence: TokenSequence) -> FloatArray:
        """Put a sequence among those that decode; returns the place for its keys and values."""
        params = sequence.request.params
        row = self._batch.seat(sequence, self._ends_of(params.stop, params.stop_token_ids))
        self._row_of[sequence] = row
        return self._place(row, bucket(len(sequence)))

    def _place(self, row: int, length: int) -> FloatArray:
        pool = self._pools.get(length)
        if pool is None:
            pool = self._pools[length] = KVPool(self.model.kv_shape(length))
        slot = pool.add(row, min(len(self._asking), self._seats))
        self._batch.slot[row], self._batch.length[row] = slot, length
        kv: FloatArray = pool.kv[slot]
        return kv

    # Within a step

    def _chunks(self) -> list[tuple[Prefill, int, int]]:
        """Which parts of prompts to compute: the prefill, up to which token, and its first row in the step."""
        chunks, row, budget = [], len(self._batch), PREFILL_ROWS
        for prefill in self._prefills:
            end = min(len(prefill.tokens), prefill.done + budget)
            chunks.append((prefill, end, row))
            row, budget = row + end - prefill.done, budget - (end - prefill.done)
            if not budget:
                break
        return chunks

    def _forward(self, rows: IntArray, chunks: list[tuple[Prefill, int, int]]) -> FloatArray:
        groups, first = [], 0
        for pool in self._pools.values():
            n = len(pool)
            if n:
                group = AttentionGroup(slice(first, first + n), pool.kv, np.arange(n), self._batch.position[pool.rows])
                groups.append(group)
                first += n
        for prefill, end, first in chunks:
            groups += prefill.groups(end, first)
        tokens = np.concatenate([self._batch.token[rows], *(p.tokens[p.done : end] for p, end, _ in chunks)])
        positions = np.concatenate([group.positions for group in groups])
        return self.model.forward(tokens, positions, groups)

    def _advance(self, prefill: Prefill, end: int, hidden: FloatArray) -> bool:
        """Take the computed part of a prefill; whether it was the last part of a sequence that is only read."""
        sequence = prefill.sequence
        if sequence.probe is not None:
            sequence.probe.take(prefill.done, hidden)
        elif sequence.scores_prompt:
            prompt = sequence.request.prompt  # a preempted sequence has sampled tokens after it
            self._score(sequence, hidden, prompt[prefill.done + 1 : end + 1])
        prefill.done = end
        if end < len(prefill.tokens):
            return False
        self._release(prefill)
        if sequence.probe is None:
            self._seat(sequence)[...] = prefill.kv
        self._remember(prefill.tokens, prefill.kv)
        return sequence.probe is not None

    def _end_reading(self, prefill: Prefill) -> tuple[TokenSequence, Delta]:
        self._asking.discard(prefill.sequence)
        self._admission.leave(prefill.sequence)
        return prefill.sequence, prefill.sequence.give("stop", None)

    def _score(self, sequence: TokenSequence, hidden: FloatArray, targets: IntArray) -> None:
        if not len(targets):
            return
        logprobs = log_softmax(self.model.logits(hidden[: len(targets)]))
        sequence.prompt_logprobs.append(logprobs[np.arange(len(targets)), targets])
        if k := sequence.request.params.prompt_logprobs:
            sequence.prompt_top.append(most_likely(logprobs, k))

    def _give(self, row: int) -> tuple[TokenSequence, Delta] | None:
        """What a sequence has for its consumer after a token that may have ended it or filled its chunk."""
        sequence = self._batch.harvest(row)
        stop = sequence.stop() if self._batch.may_have_ended(row) else None
        finish: FinishReason | None = "stop" if stop else "length" if len(sequence) == sequence.limit else None
        if finish is None and self._batch.left[row]:
            return None
        self._asking.discard(sequence)
        if finish:
            self._retire(sequence)
            self._admission.leave(sequence)
        return sequence, sequence.give(finish, stop)

    # Out of the engine, and memory

    def _park(self) -> None:
        """Move sequences that no caller awaits into the prefix cache."""
        for sequence in self._row_of.keys() - self._asking:
            self._retire(sequence)

    def _retire(self, sequence: TokenSequence) -> None:
        """Take a sequence out of its pool and keep what it computed as a cached prefix."""
        row = self._row_of[sequence]
        kv = self._pools[int(self._batch.length[row])].kv[self._batch.slot[row]]
        self._remember(sequence.tokens[:-1], kv)
        self._end(sequence)

    def _end(self, sequence: TokenSequence) -> None:
        """Free what a sequence holds: its prefill, or its seat and slot."""
        for prefill in [p for p in self._prefills if p.sequence is sequence]:
            self._release(prefill)
        row = self._row_of.pop(sequence, None)
        if row is not None:
            self._vacate(int(self._batch.length[row]), int(self._batch.slot[row]))
            self._batch.leave(row)

    def _vacate(self, length: int, slot: int) -> None:
        moved = self._pools[length].remove(slot)
        if moved is not None:
            self._batch.slot[moved] = slot

    def _remember(self, tokens: IntArray, kv: FloatArray) -> None:
        self._cache.insert(tokens, kv)
        self._cache.evict(max(self._kv_bytes - self.working_bytes, 0))

    def _grow(self) -> None:
        """Move sequences that filled their bucket into the next one, longest first so that none moves twice."""
        for length in sorted(self._pools, reverse=True):
            rows = self._pools[length].rows
            full = [self._batch.sequence(row) for row in rows[self._batch.position[rows] == length]]
            for sequence in full:
                self._move(sequence, length)

    def _move(self, sequence: TokenSequence, length: int) -> None:
        """Move a sequence into the next pool; if that needs memory it holds itself, it goes back to waiting."""
        while sequence in self._row_of and not self._make_room(self._kv_size(length + 1) - self._kv_size(length)):
            self._preempt(max(self._row_of.keys() | {p.sequence for p in self._prefills}))
        if sequence not in self._row_of:
            return
        row = self._row_of[sequence]
        slot = int(self._batch.slot[row])
        old = self._pools[length].kv[slot]
        self._place(row, length + BUCKET)[:, :, :, :length] = old
        self._vacate(length, slot)

    def _preempt(self, sequence: TokenSequence) -> None:
        """Send a sequence back to waiting; its sampled tokens are kept, its keys and values are computed again."""
        row = self._row_of.get(sequence)
        if row is not None:
            self._batch.harvest(row)
        sequence.forget_prompt()
        self._end(sequence)
        heapq.heappush(self._waiting, sequence)

    def _make_room(self, nbytes: int) -> bool:
        """Evict cached prefixes until this much more fits; False if it does not fit even without any."""
        left = self._kv_bytes - self.working_bytes - nbytes
        self._cache.evict(max(left, 0))
        return left >= 0

    def _kv_size(self, length: int) -> int:
        return 4 * math.prod(self.model.kv_shape(length))
