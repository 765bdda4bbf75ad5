"""Llama checkpoints with random weights and their own small tokenizer, and what they should compute."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]

_DTYPES = {"F32": np.float32, "F16": np.float16}
CORPUS = ["2 + 3 = 5", "so the answer is 5", "12 * 4 = 48", "first add, then multiply", "\\boxed{48}"] * 20
TEMPLATE = (
    "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """A checkpoint's ``config.json``; ``extra`` is added to it unchanged."""

    width: int = 32
    hidden: int = 48
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    max_len: int = 512
    tied: bool = True
    bias: bool = False
    vocab_size: int = 320
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def head_dim(self) -> int:
        return int(self.extra.get("head_dim", self.width // self.heads))

    def config(self) -> dict[str, Any]:
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": self.max_len,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied,
            "attention_bias": self.bias,
            "mlp_bias": self.bias,
            "eos_token_id": 2,
            **self.extra,
        }

    def weights(self, seed: int = 0) -> Weights:
        rng = np.random.default_rng(seed)
        shapes = self._shapes()
        weights = {n: (rng.standard_normal(s) * (2.0 / np.sqrt(s[-1]))).astype(np.float32) for n, s in shapes.items()}
        norms = {name: 1 + 0.1 * weights[name] for name in weights if "norm" in name}
        return {**weights, **norms}

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab_size, self.width)}
        for i in range(self.layers):
            matrices = {
                "self_attn.q_proj": (queries, self.width),
                "self_attn.k_proj": (keys, self.width),
                "self_attn.v_proj": (keys, self.width),
                "self_attn.o_proj": (self.width, queries),
                "mlp.gate_proj": (self.hidden, self.width),
                "mlp.up_proj": (self.hidden, self.width),
                "mlp.down_proj": (self.width, self.hidden),
            }
            shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in matrices.items()}
            if self.bias:
                shapes |= {f"model.layers.{i}.{name}.bias": shape[:1] for name, shape in matrices.items()}
            for norm in ("input_layernorm", "post_attention_layernorm"):
                shapes[f"model.layers.{i}.{norm}.weight"] = (self.width,)
        shapes["model.norm.weight"] = (self.width,)
        return shapes if self.tied else {**shapes, "lm_head.weight": (self.vocab_size, self.width)}


def write_checkpoint(folder: Path, shape: Shape, *, seed: int = 0, dtype: str = "F32", shards: int = 1) -> Path:
    """A Hugging Face folder; ``dtype`` is F32, F16 or BF16 (truncated, not rounded)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(shape.config()))
    write_tokenizer(folder, shape.vocab_size)
    weights = shape.weights(seed)
    if shards == 1:
        _save(weights, folder / "model.safetensors", dtype)
        return folder
    names = sorted(weights)
    files = {name: f"model-{i % shards:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        _save({name: weights[name] for name in names if files[name] == file}, folder / file, dtype)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return folder


def write_tokenizer(folder: Path, vocab_size: int = 320, **options: Any) -> None:
    """``tokenizer.model`` with byte fallback and chat tags, and its ``tokenizer_config.json``."""
    defaults = {
        "vocab_size": vocab_size,
        "model_type": "bpe",
        "byte_fallback": True,
        "character_coverage": 0.99,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
        "user_defined_symbols": ["<user>", "<assistant>", "\n\n"],
        "hard_vocab_limit": False,
        "minloglevel": 2,
    }
    with (folder / "tokenizer.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=file, **{**defaults, **options}
        )
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def reference_logits(shape: Shape, weights: Weights, tokens: list[int]) -> NDArray[np.float64]:
    """The logits after each token, computed the textbook way: float64, one head at a time, no cache."""
    n, d = len(tokens), shape.head_dim
    x = weights["model.embed_tokens.weight"][tokens].astype(np.float64)
    theta = float(shape.extra.get("rope_theta", 10000.0))
    angles = np.arange(n)[:, None] / theta ** (np.arange(0, d, 2) / d)
    cos, sin = np.cos(angles), np.sin(angles)

    def norm(a: Any, name: str) -> Any:
        return a / np.sqrt((a * a).mean(-1, keepdims=True) + 1e-5) * weights[f"{name}.weight"]

    def linear(a: Any, name: str) -> Any:
        return a @ weights[f"{name}.weight"].T.astype(np.float64) + weights.get(f"{name}.bias", np.zeros(1))

    def turn(a: Any) -> Any:
        first, second = a[:, : d // 2], a[:, d // 2 :]
        return np.hstack([first * cos - second * sin, second * cos + first * sin])

    for i in range(shape.layers):
        at = f"model.layers.{i}."
        h = norm(x, at + "input_layernorm")
        q, k, v = (linear(h, f"{at}self_attn.{name}_proj") for name in "qkv")
        heads = []
        for head in range(shape.heads):
            shared = head // (shape.heads // shape.kv_heads)
            scores = turn(q[:, head * d :][:, :d]) @ turn(k[:, shared * d :][:, :d]).T / np.sqrt(d)
            scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
            weight = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(weight / weight.sum(-1, keepdims=True) @ v[:, shared * d :][:, :d])
        x = x + linear(np.hstack(heads), at + "self_attn.o_proj")
        h = norm(x, at + "post_attention_layernorm")
        gate = linear(h, at + "mlp.gate_proj")
        x = x + linear(gate / (1 + np.exp(-gate)) * linear(h, at + "mlp.up_proj"), at + "mlp.down_proj")
    head = "model.embed_tokens" if shape.tied else "lm_head"
    logits: NDArray[np.float64] = linear(norm(x, "model.norm"), head)
    return logits


def _save(weights: Weights, file: Path, dtype: str) -> None:
    """Writes the safetensors format itself, because the library cannot write bfloat16 from numpy."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, array in weights.items():
        data = (array.view(np.uint32) >> 16).astype(np.uint16) if dtype == "BF16" else array.astype(_DTYPES[dtype])
        offsets = [len(body), len(body) + data.nbytes]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        body += data.tobytes()
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write_bytes(len(encoded).to_bytes(8, "little") + encoded + body)
