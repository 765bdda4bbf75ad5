"""What a forward pass through a model costs, from its shape."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from widthwise.core.brief import Brief

_log = logging.getLogger(__name__)

_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
_LARGEST = 2**24
_OTHERWISE = ("num_local_experts", "num_experts", "n_routed_experts", "kv_lora_rank", "ssm_cfg", "linear_num_key_heads")
"""Fields of models whose tokens pass through only a part of the weights, or that attend in another way."""
_KNOWN = {
    3: "llama mistral ministral ministral3 qwen2 qwen3 qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text qwen3_vl "
    "qwen3_vl_text gemma gemma2 gemma3 gemma3_text vaultgemma phi3 smollm3 olmo olmo2 olmo3 stablelm granite cohere "
    "cohere2 glm glm4 exaone4 seed_oss helium ernie4_5 hunyuan_v1_dense bitnet cwm",
    2: "gpt_neox starcoder2 phi persimmon nemotron arcee apertus jais2 nanochat",
}
MATRICES = {kind: count for count, kinds in _KNOWN.items() for kind in kinds.split()}
"""How many matrices a feed-forward layer has, by ``model_type``: gate, up and down, or two."""
_DEFAULTS = {
    "head_dim": {
        128: "cwm ernie4_5 glm glm4 helium ministral3 qwen3 qwen3_vl qwen3_vl_text seed_oss",
        256: "gemma gemma2 gemma3 gemma3_text vaultgemma",
    },
    "num_key_value_heads": {
        2: "ernie4_5 glm glm4 starcoder2",
        4: "gemma2 gemma3 gemma3_text vaultgemma smollm3",
        5: "bitnet",
        8: "cwm ministral ministral3 mistral qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text seed_oss",
        16: "gemma",
        20: "helium",
        32: "exaone4 qwen2 qwen3 qwen3_vl qwen3_vl_text stablelm",
    },
    "num_attention_heads": {8: "gemma3 gemma3_text"},
    "vocab_size": {262_208: "gemma3 gemma3_text"},
}
DEFAULTS = {
    name: {kind: size for size, kinds in sizes.items() for kind in kinds.split()} for name, sizes in _DEFAULTS.items()
}
"""Sizes that a ``config.json`` may leave out, by ``model_type``: those of its class in transformers, where it has one
that does not follow from other sizes."""
_ATTENTION = ("full_attention", "sliding_attention", "attention")
"""What a dense decoder's ``layer_types`` may name."""


@dataclass(frozen=True, slots=True)
class ModelShape(Brief):
    """FLOPs of a decoder: two for each multiplication and addition in a matrix product.

    Each token that is processed costs ``weights`` in the layers' matrices and ``attended`` for every position that it
    attends to, itself included; each token that is sampled costs ``head`` more for its logits. That is the count of
    Hoffmann et al. (arXiv 2203.15556, appendix F) for a causal model, without softmax, norms and the look-up of
    embeddings: for one generation of L tokens, twice the multiplications and additions n_layer ((2 d^2 + 2 d d_kv + 3 d
    d_ff) L + d L (L + 1)) of "To Backtrack or Not to Backtrack" (Qin et al., arXiv 2504.07052), which has d L (L + 1) /
    2 because it counts only one of attention's two products, and no head.
    """

    weights: int
    attended: int = 0
    head: int = 0

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> ModelShape:
        """The shape in a ``config.json``; raises ``ValueError`` for a model that is no dense decoder.

        Its ``model_type`` must be a known one: it says whether the feed-forward layers are gated, as in Llama, Mistral,
        Qwen and Gemma, or have two matrices, and which sizes it has that the file leaves out. Sliding windows are not
        considered: within them, and for shorter texts, the count is exact.
        """
        inner = config.get("text_config")
        raw = inner if isinstance(inner, Mapping) else config
        if unknown := [name for name in _OTHERWISE if raw.get(name)]:
            raise ValueError(f"it has {unknown[0]}, so its tokens do not all pass through all of the weights")
        kind = raw.get("model_type", config.get("model_type"))
        matrices = _feed_forward_matrices(kind)
        _check_layers(raw.get("layer_types"))
        width, layers, heads, hidden, vocabulary = (
            _size(raw, name, DEFAULTS.get(name, {}).get(kind)) for name in _SIZES
        )
        each = _size(raw, "head_dim", usual_head_dim(kind, width, heads))
        queries, keys = heads * each, _size(raw, "num_key_value_heads", usual_key_heads(raw, kind, heads)) * each
        entries = 2 * width * queries + 2 * width * keys + matrices * width * hidden
        return cls(2 * layers * entries, 4 * layers * queries, 2 * width * vocabulary)

    def read(self, start: int, count: int) -> int:
        """FLOPs of processing ``count`` tokens after the first ``start``, which are in the cache."""
        return count * self.weights + self.attended * (count * start + count * (count + 1) // 2)

    def sampled(self, start: int, count: int) -> int:
        """FLOPs of sampling so many tokens one after another, the first at position ``start``."""
        return self.read(start, count) + count * self.head

    def afforded(self, start: int, flops: float) -> int:
        """The largest number of tokens that ``sampled`` has for at most so many FLOPs."""
        linear = self.weights + self.head + self.attended * (start + 0.5)
        found = int(2 * max(flops, 0) / (linear + math.sqrt(linear**2 + 2 * self.attended * max(flops, 0))))
        while self.sampled(start, found + 1) <= flops:
            found += 1
        while found and self.sampled(start, found) > flops:
            found -= 1
        return found


def _feed_forward_matrices(kind: Any) -> int:
    """How many matrices a feed-forward layer has in models of this ``model_type``."""
    if not isinstance(kind, str) or kind not in MATRICES:
        raise ValueError(f"its model_type is {kind!r:.40}, which is not known to be a dense decoder")
    return MATRICES[kind]


def _check_layers(kinds: Any) -> None:
    """Raises ``ValueError`` if ``layer_types``, where a model has them, name more than attention."""
    named = kinds if isinstance(kinds, list | tuple) else [] if kinds is None else [kinds]
    if others := [kind for kind in named if kind not in _ATTENTION]:
        raise ValueError(f"its layer_types name {others[0]!r:.40}: not all of its layers are plain attention")


def usual_head_dim(kind: str, width: int, heads: int) -> int:
    """The size of a head of attention in a model of this ``model_type`` whose file names none."""
    return DEFAULTS["head_dim"].get(kind, max(width // heads, 1))


def usual_key_heads(raw: Mapping[str, Any], kind: str, heads: int) -> int:
    """How many key-value heads a model has whose file names none: null means one for each head."""
    usual = DEFAULTS["num_key_value_heads"].get(kind, heads)
    return heads if "num_key_value_heads" in raw or heads % usual else usual


def taken_to_be(name: str, size: int) -> int:
    """The ``size`` that a ``config.json`` leaves out; whoever takes it says so."""
    _log.info("config.json names no %s: it is taken to be %d", name, size)
    return size


def _size(raw: Mapping[str, Any], name: str, usual: int | None = None) -> int:
    """A size in a ``config.json``, which may be anything."""
    value = raw.get(name)
    if value is None and usual is not None:
        return taken_to_be(name, usual)
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise ValueError(f"its {name} is {value!r:.40}, not a size")
    return value
