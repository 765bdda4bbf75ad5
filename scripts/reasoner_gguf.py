"""The bundled reasoner as a GGUF file, for llama.cpp's server, Ollama and other programs that read such files.

    python scripts/reasoner_gguf.py reasoner.gguf [--model FOLDER]

The weights stay float32 and the chat template is included. Pieces of several characters become user-defined tokens,
which llama.cpp finds in a text before anything else, as the model's own tokenizer does; the others are single
characters and bytes. Needs the `gguf` package: pip install '.[dev]'.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

REASONER = Path(__file__).parents[1] / "models" / "reasoner"
_CONTROL = {"<s>", "</s>", "<pad>"}


def write_gguf(file: Path, folder: Path = REASONER) -> Path:
    """Write the Llama in ``folder`` to ``file``, and return ``file``."""
    config = json.loads((folder / "config.json").read_text())
    writer = gguf.GGUFWriter(file, "llama")
    _describe(writer, config)
    _add_tokenizer(writer, folder)
    for name, tensor in _tensors(folder, config):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _describe(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_name("reasoner")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_tokenizer(writer: gguf.GGUFWriter, folder: Path) -> None:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    types = [_type(piece) for piece in vocabulary]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([_spelling(piece, type) for piece, type in zip(vocabulary, types, strict=True)])
    writer.add_token_scores([0.0] * len(types))
    writer.add_token_types(types)
    for name in ("unk", "bos", "eos", "pad"):
        getattr(writer, f"add_{name}_token_id")(vocabulary[settings[f"{name}_token"]])
    writer.add_add_bos_token(settings["add_bos_token"])
    writer.add_add_eos_token(settings["add_eos_token"])
    writer.add_add_space_prefix(False)
    writer.add_chat_template(settings["chat_template"])


def _type(piece: str) -> gguf.TokenType:
    if piece == "<unk>":
        return gguf.TokenType.UNKNOWN
    if piece in _CONTROL:
        return gguf.TokenType.CONTROL
    if piece.startswith("<0x"):
        return gguf.TokenType.BYTE
    return gguf.TokenType.USER_DEFINED if len(piece) > 1 else gguf.TokenType.NORMAL


def _spelling(piece: str, type: gguf.TokenType) -> str:
    """User-defined tokens are searched in the original text, before its blanks are replaced."""
    return piece.replace("▁", " ") if type == gguf.TokenType.USER_DEFINED else piece


def _tensors(folder: Path, config: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, stored in load_file(folder / "model.safetensors").items():
        tensor = stored.astype(np.float32)  # llama.cpp does not multiply float32 by norms in float16
        if name.endswith("q_proj.weight"):
            tensor = _interleaved(tensor, config["num_attention_heads"])
        elif name.endswith("k_proj.weight"):
            tensor = _interleaved(tensor, config["num_key_value_heads"])
        renamed = names.get_name(name, try_suffixes=(".weight",))
        assert renamed is not None, name
        yield renamed, tensor


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp rotates neighbouring coordinates; these weights pair each with the one half a head away."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows, columns)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, default=REASONER)
    arguments = parser.parse_args()
    print(write_gguf(arguments.file, arguments.model))
