"""The rows being decoded, as arrays: what a step needs to know of each without touching Python objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from widthwise.backends.embedded.penalties import Penalties
from widthwise.backends.embedded.sampling import RUN, Knobs, choose, log_softmax, most_likely, uniforms
from widthwise.backends.embedded.token_sequence import TokenSequence
from widthwise.core.arrays import FloatArray, IntArray

_CHUNK = 16


class DecodeBatch:
    """Seats for sequences of which only the last token has not been computed yet.

    Arrays are indexed by seat. ``token`` is that last token, ``position`` its position, ``left`` how many tokens the
    consumer still awaits, ``slot`` and ``length`` where its keys and values are (a pool's slot, and the pool's length).
    """

    def __init__(self, seats: int, vocab_size: int) -> None:
        self.sequences: list[TokenSequence | None] = [None] * seats
        self.token, self.position, self.left, self.slot, self.length = np.zeros((5, seats), np.int64)
        self._free = list(range(seats))[::-1]
        self._knobs = Knobs.rows(seats)
        self._numbers = np.zeros((seats, RUN))
        self._top = np.zeros(seats, np.int64)
        # Tokens that end a sequence, or may: those that can complete a stop string.
        self._ends = np.zeros((seats, vocab_size), np.bool_)
        self._penalties: dict[int, Penalties] = {}
        self._count = np.zeros(seats, np.int64)
        self._tokens = np.zeros((seats, _CHUNK), np.int64)
        self._logprobs = np.zeros((seats, _CHUNK), np.float32)

    def __len__(self) -> int:
        return len(self.sequences) - len(self._free)

    def sequence(self, row: int) -> TokenSequence:
        sequence = self.sequences[row]
        assert sequence is not None, f"seat {row} is empty"
        return sequence

    def seat(self, sequence: TokenSequence, ends: NDArray[np.bool_]) -> int:
        """Give a sequence a seat; ``ends`` ``bool [vocab]`` marks tokens after which the sequence may have ended."""
        row = self._free.pop()
        params = sequence.request.params
        self.sequences[row] = sequence
        self.token[row] = sequence.tokens[-1]
        self.position[row] = len(sequence) - 1
        self._knobs.put(row, params)
        self._top[row] = params.logprobs or 0
        self._ends[row] = ends
        self._count[row] = 0
        if params.penalised:
            prompt = sequence.request.prompt
            sampled = sequence.tokens[len(prompt) :]
            self._penalties[row] = Penalties(params, prompt, sampled, self._ends.shape[1])
        self._draw(row)
        self.await_chunk(row)
        return row

    def leave(self, row: int) -> None:
        self.sequences[row] = None
        self._penalties.pop(row, None)
        self._free.append(row)

    def await_chunk(self, row: int) -> None:
        """Note that the consumer awaits its next chunk."""
        self.left[row] = chunk = self.sequence(row).chunk
        if chunk > self._tokens.shape[1]:
            wider = ((0, 0), (0, chunk - self._tokens.shape[1]))
            self._tokens, self._logprobs = np.pad(self._tokens, wider), np.pad(self._logprobs, wider)

    def sample(self, rows: IntArray, logits: FloatArray) -> IntArray:
        """Sample one token for each of ``rows``; returns those that now fill a chunk or may have ended."""
        position = self.position[rows] + 1
        numbers = self._numbers[rows, position % RUN]
        tokens, logprobs = choose(logits, self._knobs.take(rows), numbers, self._penalised(rows, logits))
        self._count_penalised(rows, tokens)
        count = self._count[rows]
        self._tokens[rows, count], self._logprobs[rows, count] = tokens, logprobs
        self._count[rows] = count + 1
        self.token[rows], self.position[rows] = tokens, position
        self.left[rows] -= 1
        self._keep_most_likely(rows, logits)
        for row in rows[(position + 1) % RUN == 0]:
            self._draw(int(row))
        ended: IntArray = rows[self._ends[rows, tokens] | (self.left[rows] == 0)]
        return ended

    def _penalised(self, rows: IntArray, logits: FloatArray) -> FloatArray | None:
        """The scores after penalties; None if no row has any."""
        if not self._penalties:
            return None
        scores = logits.copy()
        for i, row in enumerate(rows.tolist()):
            if row in self._penalties:
                scores[i] = self._penalties[row].applied(logits[i])
        return scores

    def _count_penalised(self, rows: IntArray, tokens: IntArray) -> None:
        if self._penalties:
            for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
                if row in self._penalties:
                    self._penalties[row].count(token)

    def may_have_ended(self, row: int) -> bool:
        """Whether its last token is one after which the sequence must be asked whether it has ended."""
        return bool(self._ends[row, self.token[row]])

    def harvest(self, row: int) -> TokenSequence:
        """Hand the tokens sampled since the last harvest to the sequence."""
        sequence, count = self.sequence(row), int(self._count[row])
        if count:
            sequence.extend(self._tokens[row, :count].copy(), self._logprobs[row, :count].copy())
            self._count[row] = 0
        return sequence

    def _draw(self, row: int) -> None:
        self._numbers[row] = uniforms(self.sequence(row).request.seed, (int(self.position[row]) + 1) // RUN)

    def _keep_most_likely(self, rows: IntArray, logits: FloatArray) -> None:
        top = self._top[rows]
        # One k at a time: which of several equal tokens are listed may depend on k, but not on the neighbours' k.
        for k in np.unique(top[top > 0]):
            chosen = top == k
            ids, logprobs = most_likely(log_softmax(logits[chosen]), int(k))
            for i, row in enumerate(rows[chosen]):
                self.sequence(row).add_top(ids[i : i + 1], logprobs[i : i + 1])
