"""The shape of a Llama-type checkpoint, read from its ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.backends.embedded.checkpoint import read_json
from widthwise.core.arrays import DoubleArray, FloatArray
from widthwise.core.errors import BackendError
from widthwise.core.model_shape import taken_to_be, usual_head_dim, usual_key_heads

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}
"""The architectures that the engine runs, with their ``model_type``: one decoder, with or without biases and norms of
queries and keys."""
_LARGEST = {
    "vocab_size": 2**22,
    "width": 2**20,
    "hidden": 2**22,
    "layers": 2**12,
    "heads": 2**16,
    "kv_heads": 2**16,
    "head_dim": 2**14,
    "max_len": 2**20,
}


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    """Sizes in the field's terms: ``width`` is the residual stream's, ``hidden`` the feed-forward layer's.

    ``frequencies`` ``float32 [head_dim / 2]`` are the rotary embedding's, after scaling, in radians per position.
    ``qkv_bias`` and ``out_bias`` say which of attention's projections have a bias, ``qk_norm`` whether each head's
    queries and keys are normalised. ``max_len`` is no longer than the sliding window, for a model that has one.
    """

    vocab_size: int
    width: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float
    max_len: int
    tied: bool
    qkv_bias: bool
    out_bias: bool
    qk_norm: bool
    mlp_bias: bool
    frequencies: FloatArray

    @classmethod
    def from_folder(cls, folder: Path) -> LlamaConfig:
        """Raises BackendError for a missing file or field, another architecture or an unknown variant."""
        raw = read_json(folder / "config.json")
        try:
            _check_architecture(folder, raw)
            config = _parse(raw)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
            said = str(error)[:200]
            raise BackendError(f"{folder / 'config.json'} has no usable field {said}; it is incomplete") from error
        _check_sizes(folder, config)
        return config


def _check_sizes(folder: Path, config: LlamaConfig) -> None:
    """Refuse sizes that no model has: they would be allocated before the weights show that they are wrong."""
    for name, most in _LARGEST.items():
        if not 1 <= getattr(config, name) <= most:
            raise BackendError(
                f"{folder / 'config.json'} has {name} {getattr(config, name)}, which is not within 1 to {most}"
            )
    if config.max_len < 2 or not np.isfinite(config.frequencies).all() or not 0 <= config.norm_eps < 1:
        raise BackendError(f"{folder / 'config.json'} has positions or norms that no model has")


def _check_architecture(folder: Path, raw: Mapping[str, Any]) -> None:
    architecture = _architecture(raw)
    if architecture not in ARCHITECTURES:
        raise BackendError(
            f"{folder} is a {architecture} checkpoint, but the embedded engine only runs "
            f"{', '.join(ARCHITECTURES)}; run it with vllm: instead"
        )
    if raw.get("hidden_act", "silu") != "silu":
        raise BackendError(f"{folder} uses the activation {raw['hidden_act']}, not silu; run it with vllm: instead")


def _architecture(raw: Mapping[str, Any]) -> str:
    return str((raw.get("architectures") or ["none named"])[0])


def _parse(raw: Mapping[str, Any]) -> LlamaConfig:
    architecture = _architecture(raw)
    attention_bias = bool(raw.get("attention_bias", False))
    heads, width = int(raw["num_attention_heads"]), int(raw["hidden_size"])
    kind = ARCHITECTURES[architecture]
    head_dim = _size(raw, "head_dim", usual_head_dim(kind, width, heads))
    kv_heads = _size(raw, "num_key_value_heads", usual_key_heads(raw, kind, heads))
    if heads % kv_heads or head_dim % 2:
        raise BackendError(f"{heads} heads of {head_dim} cannot share {kv_heads} key-value heads; check config.json")
    return LlamaConfig(
        vocab_size=int(raw["vocab_size"]),
        width=width,
        hidden=int(raw["intermediate_size"]),
        layers=int(raw["num_hidden_layers"]),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        norm_eps=float(raw.get("rms_norm_eps", 1e-6)),
        max_len=min(int(raw["max_position_embeddings"]), _window(raw)),
        tied=bool(raw.get("tie_word_embeddings", False)),
        qkv_bias=attention_bias or architecture == "Qwen2ForCausalLM",
        out_bias=attention_bias and architecture != "Qwen2ForCausalLM",
        qk_norm=architecture == "Qwen3ForCausalLM",
        mlp_bias=bool(raw.get("mlp_bias", False)),
        frequencies=_frequencies(raw, head_dim),
    )


def _size(raw: Mapping[str, Any], name: str, usual: int) -> int:
    """A size that a file may leave out."""
    return int(raw.get(name) or taken_to_be(name, usual))


def _window(raw: Mapping[str, Any]) -> int:
    """How many positions attention reaches; up to that length, a sliding window has no effect."""
    window = raw.get("sliding_window") if raw.get("use_sliding_window", True) else None
    slides = "sliding_attention" in (raw.get("layer_types") or ["sliding_attention"])
    return int(window) if window and slides else _LARGEST["max_len"]


def _frequencies(raw: Mapping[str, Any], head_dim: int) -> FloatArray:
    # Newer files keep everything rotary under rope_parameters, older ones split it in two.
    rope = raw.get("rope_parameters") or {"rope_theta": raw.get("rope_theta"), **(raw.get("rope_scaling") or {})}
    theta = float(rope.get("rope_theta") or 10000.0)
    plain = 1.0 / theta ** (np.arange(0, head_dim, 2) / head_dim)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        scaled = plain
    elif kind == "linear":
        scaled = plain / float(rope["factor"])
    elif kind == "llama3":
        scaled = _llama3(plain, rope)
    else:
        raise BackendError(f"the embedded engine has no rope scaling {kind!r}; run this checkpoint with vllm: instead")
    return scaled.astype(np.float32)


def _llama3(plain: DoubleArray, rope: Mapping[str, Any]) -> DoubleArray:
    """Long wavelengths are stretched by ``factor``, short ones kept, those between interpolated."""
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    turns = float(rope["original_max_position_embeddings"]) * plain / (2 * np.pi)
    keep = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return keep * plain + (1 - keep) * plain / float(rope["factor"])
