"""A Llama-type decoder in numpy whose rows do not depend on what else is in the batch.

Every token of a step, from a prompt or sampled, is one row. A row's bytes depend only on its own tokens:

* matrix products run in blocks of ``BLOCK`` rows, the last one padded. OpenBLAS gives bit-identical rows for products
  of one shape, but not across shapes (its kernels for odd sizes add in another order);
* a row attends over its own length rounded up to ``BUCKET`` positions, and those beyond its length weigh exactly zero;
  rows with the same rounded length are batched along a leading axis, one small product each;
* a prompt is computed as rows too, so a prefix that is computed again equals the one that was sampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from widthwise.backends.embedded.checkpoint import Checkpoint
from widthwise.backends.embedded.llama_config import LlamaConfig
from widthwise.core.arrays import FloatArray, IntArray

BLOCK = 8
BUCKET = 64
# OpenBLAS has fast kernels that skip packing for products up to this many multiplications.
_SMALL_PRODUCT = 1_000_000
# Added to the last BUCKET scores of a row whose position is p: row p % BUCKET keeps columns 0..p % BUCKET.
_MASKS = np.where(np.tri(BUCKET, dtype=bool), np.float32(0), np.float32(-np.inf))


def bucket(length: int) -> int:
    """The number of positions over which a row of this length attends."""
    return -(-length // BUCKET) * BUCKET


@dataclass(frozen=True, slots=True)
class AttentionGroup:
    """Consecutive rows of a step that attend over the same number T of positions.

    ``kv`` ``float32 [r, layers, 2, kv_heads, T, head_dim]`` holds their keys and values: r is the number of
    rows, or 1 where all are tokens of one sequence. Row i writes its own at ``kv[slots[i]]``, position
    ``positions[i]``, before any row of its group reads. A sequence's groups come in the order of positions.
    """

    rows: slice
    kv: FloatArray
    slots: IntArray
    positions: IntArray


class Llama:
    """Weights and forward pass; ``max_len`` is the longest sequence it will be asked for."""

    def __init__(self, config: LlamaConfig, checkpoint: Checkpoint, max_len: int) -> None:
        self.config = config
        self.max_len = max_len
        self._embedding = checkpoint.tensor("model.embed_tokens.weight", config.vocab_size, config.width)
        self._layers = [_Layer(config, checkpoint, i) for i in range(config.layers)]
        head = self._embedding
        if not config.tied:
            head = checkpoint.tensor("lm_head.weight", config.vocab_size, config.width)
        bias = np.zeros((1, config.vocab_size), np.float32)
        self._head = _Linear(np.vstack([head.T, bias]), checkpoint.tensor("model.norm.weight", config.width))
        angles = np.outer(np.arange(max_len, dtype=np.float32), config.frequencies)
        self._rotations = (np.cos(angles) + 1j * np.sin(angles)).astype(np.complex64)
        self._buffers = _Buffers()

    def kv_shape(self, length: int) -> tuple[int, int, int, int, int]:
        """Shape of one sequence's keys and values, ``[layers, 2, kv_heads, bucket(length), head_dim]``."""
        return (self.config.layers, 2, self.config.kv_heads, bucket(length), self.config.head_dim)

    def forward(self, tokens: IntArray, positions: IntArray, groups: Sequence[AttentionGroup]) -> FloatArray:
        """Hidden states ``float32 [n, width]`` of n rows; writes their keys and values. Valid until the next call."""
        n = len(tokens)
        padded = -(-n // BLOCK) * BLOCK
        x, h = self._buffers.take("x", padded, self.config.width), self._buffers.take("h", padded, self.config.width)
        x[:n] = self._embedding[tokens]
        rotations = np.ones((padded, 1, self.config.head_dim // 2), np.complex64)
        rotations[:n, 0] = self._rotations[positions]
        masks = [_MASKS[g.positions % BUCKET][:, None, None] for g in groups]
        with np.errstate(over="ignore"):  # exp of a large negated gate is inf and the gate then 0, as intended
            for index, layer in enumerate(self._layers):
                self._attention(layer, index, x, h, rotations, groups, masks)
                self._feed_forward(layer, x, h)
        return x[:n]

    def logits(self, hidden: FloatArray) -> FloatArray:
        """Scores of the next token ``float32 [n, vocab]`` for hidden states ``[n, width]``."""
        n = len(hidden)
        padded = -(-n // BLOCK) * BLOCK
        h = self._buffers.take("final", padded, self.config.width)
        h[:n] = hidden
        _normalise(h, self.config.norm_eps, h)
        out = np.empty((padded, self.config.vocab_size), np.float32)
        self._head(h, out)
        return out[:n]

    def rows_are_independent(self) -> bool:
        """Whether, on this machine, rows computed together and one by one are identical to the bit."""
        n = min(2 * BLOCK + 1, self.max_len)
        one_by_one = self._in_steps([*range(n), n])
        return self._in_steps([0, n]) == one_by_one and self._in_steps([0, 1, n]) == one_by_one

    def _in_steps(self, cuts: list[int]) -> bytes:
        """Scores along a fixed sequence, computed in steps cut at these positions."""
        kv = np.zeros((1, *self.kv_shape(cuts[-1])), np.float32)
        scores = []
        for start, end in pairwise(cuts):
            positions = np.arange(start, end)
            group = AttentionGroup(slice(0, end - start), kv, np.zeros_like(positions), positions)
            scores.append(self.logits(self.forward(positions % self.config.vocab_size, positions, [group])).tobytes())
        return b"".join(scores)

    def _attention(
        self,
        layer: _Layer,
        index: int,
        x: FloatArray,
        h: FloatArray,
        rotations: NDArray[np.complex64],
        groups: Sequence[AttentionGroup],
        masks: Sequence[FloatArray],
    ) -> None:
        c, n = self.config, len(x)
        heads = c.heads + 2 * c.kv_heads
        qkv = self._buffers.take("qkv", n, heads * c.head_dim)
        mixed = self._buffers.take("mixed", n, c.heads * c.head_dim)
        _normalise(x, c.norm_eps, h)
        layer.qkv(h, qkv)
        by_head = qkv.reshape(n, heads, c.head_dim)
        if layer.qk_norm is not None:
            _normalise_heads(by_head[:, : c.heads + c.kv_heads], c.norm_eps, layer.qk_norm)
        rotated = by_head[:, : c.heads + c.kv_heads].view(np.complex64)
        np.multiply(rotated, rotations, out=rotated)
        queries = by_head[:, : c.heads].reshape(n, c.kv_heads, -1, c.head_dim)
        new = by_head[:, c.heads :].reshape(n, 2, c.kv_heads, c.head_dim)
        outputs = mixed.reshape(queries.shape)
        for group, mask in zip(groups, masks, strict=True):
            kv = group.kv[:, index]
            kv[group.slots, :, :, group.positions] = new[group.rows]
            self._attend(queries[group.rows], kv, mask, outputs[group.rows])
        layer.out(mixed, h)
        x += h

    def _attend(self, queries: FloatArray, kv: FloatArray, mask: FloatArray, out: FloatArray) -> None:
        """``out`` = softmax(queries · keys + mask) · values; the queries' weights already include the usual scale."""
        scores = self._buffers.take("scores", *queries.shape[:3], kv.shape[3])
        np.matmul(queries, kv[:, 0].swapaxes(-1, -2), out=scores)
        scores[..., -BUCKET:] += mask
        scores -= scores.max(-1, keepdims=True)
        np.exp(scores, out=scores)
        np.matmul(scores, kv[:, 1], out=out)
        out /= np.einsum("rhgt->rhg", scores)[..., None]

    def _feed_forward(self, layer: _Layer, x: FloatArray, h: FloatArray) -> None:
        """x += down(silu(gate) * up). Gate and up are stored negated: silu(g) u = (-g)(-u) / (1 + exp(-g))."""
        n, hidden = len(x), self.config.hidden
        both = self._buffers.take("gate_up", n, 2 * hidden)
        inner = self._buffers.take("inner", n, hidden)
        _normalise(x, self.config.norm_eps, h)
        layer.gate_up(h, both)
        gate, up = both[:, :hidden], both[:, hidden:]
        np.exp(gate, out=inner)
        inner += 1
        up *= gate
        np.divide(up, inner, out=inner)
        layer.down(inner, h)
        x += h


class _Linear:
    """``x @ weight + bias`` in blocks of BLOCK rows; ``affine`` ``[inputs + 1, outputs]`` ends with the bias.

    The weight is cut into column panels small enough for the library's fast kernels. The cut depends on the weight's
    shape only, so it does not affect reproducibility. ``norm`` scales the inputs and is folded in once.
    """

    def __init__(self, affine: FloatArray, norm: FloatArray | None = None) -> None:
        self._inputs, self._outputs = affine.shape[0] - 1, affine.shape[1]
        weight = affine[:-1] if norm is None else affine[:-1] * norm[:, None]
        step = max(_SMALL_PRODUCT // (BLOCK * self._inputs) // 16 * 16, 16)
        cuts = [slice(a, min(a + step, self._outputs)) for a in range(0, self._outputs, step)]
        self._panels = [(cut, np.ascontiguousarray(weight[:, cut])) for cut in cuts]
        self._bias = affine[-1].copy() if affine[-1].any() else None

    def __call__(self, x: FloatArray, out: FloatArray) -> None:
        blocks = x.reshape(-1, BLOCK, self._inputs)
        out_blocks = out.reshape(-1, BLOCK, self._outputs)
        for cut, panel in self._panels:
            np.matmul(blocks, panel, out=out_blocks[..., cut])
        if self._bias is not None:
            out += self._bias


class _Layer:
    """One layer's weights; matrices that share an input are joined."""

    def __init__(self, config: LlamaConfig, checkpoint: Checkpoint, index: int) -> None:
        def affine(name: str, inputs: int, outputs: int, biased: bool) -> FloatArray:
            bias = checkpoint.tensor(f"{prefix}{name}.bias", outputs) if biased else np.zeros(outputs, np.float32)
            return np.vstack([checkpoint.tensor(f"{prefix}{name}.weight", outputs, inputs).T, bias])

        def norm(name: str) -> FloatArray:
            return checkpoint.tensor(f"{prefix}{name}.weight", width)

        prefix, c, width = f"model.layers.{index}.", config, config.width
        queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
        q = _paired(affine("self_attn.q_proj", width, queries, c.qkv_bias), c.head_dim)
        k = _paired(affine("self_attn.k_proj", width, keys, c.qkv_bias), c.head_dim)
        v = affine("self_attn.v_proj", width, keys, c.qkv_bias)
        gate = affine("mlp.gate_proj", width, c.hidden, c.mlp_bias)
        up = affine("mlp.up_proj", width, c.hidden, c.mlp_bias)
        scale = np.float32(c.head_dim**-0.5)  # scale of the queries, or of their norm, which would undo it
        self.qk_norm: FloatArray | None = None  # [heads + kv_heads, head_dim]
        if c.qk_norm:
            of_q, of_k = (checkpoint.tensor(f"{prefix}self_attn.{name}_norm.weight", c.head_dim)[None] for name in "qk")
            of_heads = [(of_q * scale, c.heads), (of_k, c.kv_heads)]
            self.qk_norm = np.vstack([np.repeat(_paired(one, c.head_dim), n, axis=0) for one, n in of_heads])
            scale = np.float32(1)
        self.qkv = _Linear(np.hstack([q * scale, k, v]), norm("input_layernorm"))
        self.out = _Linear(affine("self_attn.o_proj", queries, width, c.out_bias))
        self.gate_up = _Linear(-np.hstack([gate, up]), norm("post_attention_layernorm"))
        self.down = _Linear(affine("mlp.down_proj", c.hidden, width, c.mlp_bias))


class _Buffers:
    """Arrays that live from step to step: fresh ones cost page faults at every layer."""

    def __init__(self) -> None:
        self._flat: dict[str, FloatArray] = {}

    def take(self, name: str, *shape: int) -> FloatArray:
        """A contiguous array of this shape with whatever finite numbers it held."""
        size = math.prod(shape)
        flat = self._flat.get(name)
        if flat is None or flat.size < size:
            flat = self._flat[name] = np.zeros(size, np.float32)
        return flat[:size].reshape(shape)


def _paired(affine: FloatArray, head_dim: int) -> FloatArray:
    """Columns reordered so that the two numbers that rotary embedding turns together are neighbours.

    A head then reads as complex numbers, and turning it is one product. Queries and keys are reordered in the same way,
    so their scores do not change.
    """
    halves = affine.reshape(len(affine), -1, 2, head_dim // 2)
    return halves.swapaxes(2, 3).reshape(affine.shape)


def _normalise_heads(heads: FloatArray, eps: float, weight: FloatArray) -> None:
    """Each head of each row ``[n, heads, head_dim]`` divided by its root mean square, times its weight, in place."""
    scale = np.einsum("nhd,nhd->nh", heads, heads)
    scale /= heads.shape[2]
    scale += np.float32(eps)
    np.sqrt(scale, out=scale)
    heads /= scale[..., None]
    heads *= weight


def _normalise(x: FloatArray, eps: float, out: FloatArray) -> None:
    """Each row divided by its root mean square."""
    scale = np.einsum("ij,ij->i", x, x)
    scale /= x.shape[1]
    scale += np.float32(eps)
    np.sqrt(scale, out=scale)
    np.divide(x, scale[:, None], out=out)
