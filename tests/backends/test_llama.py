"""The forward pass, checked against the textbook, torch, and itself in other batches."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from tests.backends.llama_checkpoint import Shape, reference_logits, write_checkpoint
from widthwise.backends.embedded import blas
from widthwise.backends.embedded.checkpoint import Checkpoint
from widthwise.backends.embedded.llama import AttentionGroup, Llama, bucket
from widthwise.backends.embedded.llama_config import LlamaConfig
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import BackendError
from widthwise.core.model_shape import ModelShape

SHAPES = {
    "grouped": Shape(),
    "one-kv-head": Shape(kv_heads=1),
    "full-heads": Shape(width=48, heads=3, kv_heads=3, tied=False),
    "biased": Shape(bias=True, tied=False),
    "head-dim": Shape(extra={"head_dim": 20}),
    "micro": Shape(width=128, hidden=352, layers=6),
    "panels": Shape(width=320, hidden=800, layers=1, heads=10, kv_heads=2),
}


def load(folder: Path) -> Llama:
    assert blas.pin_to_one_thread()
    config = LlamaConfig.from_folder(folder)
    return Llama(config, Checkpoint(folder), config.max_len)


def new_kv(model: Llama, length: int) -> FloatArray:
    return np.zeros((1, *model.kv_shape(length)), np.float32)


def compute(model: Llama, tokens: list[int], kv: FloatArray, start: int, end: int) -> FloatArray:
    """The logits after tokens start..end-1 of a sequence whose earlier tokens are in kv."""
    groups, row = [], 0
    for lowest in range(start - start % 64, end, 64):
        positions = np.arange(max(lowest, start), min(lowest + 64, end))
        view = kv[..., : lowest + 64, :]
        rows = slice(row, row + len(positions))
        groups.append(AttentionGroup(rows, view, np.zeros_like(positions), positions))
        row += len(positions)
    hidden = model.forward(np.array(tokens[start:end]), np.arange(start, end), groups)
    return model.logits(hidden.copy())


def random_tokens(n: int, seed: int = 0) -> list[int]:
    return [int(t) for t in np.random.default_rng(seed).integers(3, 300, n)]


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_the_textbooks(name: str, tmp_path: Path) -> None:
    shape = SHAPES[name]
    model = load(write_checkpoint(tmp_path, shape))
    tokens = random_tokens(150)
    expected = reference_logits(shape, shape.weights(), tokens)
    np.testing.assert_allclose(compute(model, tokens, new_kv(model, 150), 0, 150), expected, atol=2e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_decoding_equals_prefilling_bit_for_bit(name: str, tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path, SHAPES[name]))
    tokens = random_tokens(140)
    whole_kv, parts_kv = new_kv(model, 140), new_kv(model, 140)
    whole = compute(model, tokens, whole_kv, 0, 140)
    cuts = [0, 1, 2, 5, 13, 64, 65, 100, 127, 128, 129, 140]
    parts = [compute(model, tokens, parts_kv, a, b) for a, b in pairwise(cuts)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert whole_kv.tobytes() == parts_kv.tobytes()


@pytest.mark.parametrize("name", SHAPES)
def test_a_row_does_not_feel_its_neighbours(name: str, tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path, SHAPES[name]))
    rng = np.random.default_rng(1)
    n, length = 37, 100
    sequences = [random_tokens(length, seed) for seed in range(n)]
    kv = np.concatenate([new_kv(model, length) for _ in range(n)])
    for tokens, own in zip(sequences, kv, strict=True):
        compute(model, tokens, own[None], 0, length - 1)
    alone = [compute(model, tokens, own[None], length - 1, length) for tokens, own in zip(sequences, kv, strict=True)]
    for size in (2, 7, 8, 9, 37):
        chosen = rng.permutation(n)[:size]
        positions = np.full(size, length - 1)
        group = AttentionGroup(slice(0, size), kv[chosen], np.arange(size), positions)
        last = np.array([sequences[i][-1] for i in chosen])
        logits = model.logits(model.forward(last, positions, [group]))
        assert logits.tobytes() == np.concatenate([alone[i] for i in chosen]).tobytes()


def test_dependence_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load(write_checkpoint(tmp_path, Shape(width=128, hidden=352)))
    assert model.rows_are_independent()
    forward = model.forward

    def careless(tokens: IntArray, positions: IntArray, groups: Sequence[AttentionGroup]) -> FloatArray:
        hidden = forward(tokens, positions, groups).copy()
        return np.nextafter(hidden, np.float32(9)) if len(tokens) == 1 else hidden

    monkeypatch.setattr(model, "forward", careless)
    assert not model.rows_are_independent()


@pytest.mark.parametrize(("dtype", "shards"), [("F16", 1), ("BF16", 3), ("F32", 2)])
def test_number_formats_and_shards(dtype: str, shards: int, tmp_path: Path) -> None:
    model = load(write_checkpoint(tmp_path, Shape(), dtype=dtype, shards=shards))
    expected = reference_logits(Shape(), Shape().weights(), random_tokens(9))
    atol = 1e-3 if dtype == "F32" else 0.5
    np.testing.assert_allclose(compute(model, random_tokens(9), new_kv(model, 9), 0, 9), expected, atol=atol)


def test_logits_are_torchs(torch: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    extra = {"rope_theta": 500.0, "rope_scaling": {**scaling, "original_max_position_embeddings": 64}}
    folder = write_checkpoint(tmp_path, Shape(bias=True, tied=False, extra=extra))
    theirs = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    tokens, model = random_tokens(200), load(folder)
    with torch.no_grad():
        expected = theirs(torch.tensor([tokens])).logits[0].numpy()
    np.testing.assert_allclose(compute(model, tokens, new_kv(model, 200), 0, 200), expected, atol=2e-3)


def test_bucket() -> None:
    assert [bucket(n) for n in (1, 64, 65, 128)] == [64, 64, 128, 128]


@pytest.mark.parametrize(
    ("changes", "reaches"),
    [
        ({"sliding_window": 128}, 128),
        ({"sliding_window": 128, "use_sliding_window": False}, 512),
        ({"sliding_window": 128, "layer_types": ["full_attention", "full_attention"]}, 512),
        ({"sliding_window": None}, 512),
        ({"sliding_window": 4096}, 512),
    ],
)
def test_the_context_ends_where_attention_would_slide(changes: dict[str, object], reaches: int, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, Shape())
    edit_config(folder, architectures=["MistralForCausalLM"], **changes)
    assert LlamaConfig.from_folder(folder).max_len == reaches


def edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))


def leave_out(folder: Path, *names: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({name: config[name] for name in config if name not in names}))


@pytest.mark.parametrize(
    ("architecture", "heads", "head_dim", "kv_heads"),
    [
        ("Llama", 16, 4, 16),
        ("Mistral", 16, 4, 8),
        ("Mistral", 4, 16, 4),  # 4 heads cannot share 8
        ("Qwen2", 64, 2, 32),
        ("Qwen3", 16, 128, 16),
        ("Qwen3", 64, 128, 32),
    ],
)
def test_sizes_that_a_config_leaves_out_are_those_of_its_family(
    architecture: str, heads: int, head_dim: int, kv_heads: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_checkpoint(tmp_path, Shape(width=128 if heads == 64 else 64, heads=heads, kv_heads=heads))
    edit_config(folder, architectures=[f"{architecture}ForCausalLM"], model_type=architecture.lower())
    leave_out(folder, "head_dim", "num_key_value_heads")
    caplog.set_level("INFO", logger="widthwise")
    config = LlamaConfig.from_folder(folder)
    assert (config.head_dim, config.kv_heads) == (head_dim, kv_heads)
    assert f"config.json names no num_key_value_heads: it is taken to be {kv_heads}" in caplog.text
    raw = json.loads((folder / "config.json").read_text())
    written_out = {**raw, "head_dim": config.head_dim, "num_key_value_heads": config.kv_heads}
    assert ModelShape.of_config(raw) == ModelShape.of_config(written_out)  # FLOPs are those of what is computed


def test_a_checkpoint_whose_config_leaves_sizes_out_computes_what_it_should(tmp_path: Path) -> None:
    shape = Shape(width=64, heads=16, kv_heads=8, extra={"architectures": ["MistralForCausalLM"]})
    folder = write_checkpoint(tmp_path, shape)
    leave_out(folder, "num_key_value_heads")
    model = load(folder)
    expected = reference_logits(shape, shape.weights(), random_tokens(40))
    np.testing.assert_allclose(compute(model, random_tokens(40), new_kv(model, 40), 0, 40), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["GemmaForCausalLM"]}, "is a GemmaForCausalLM checkpoint.*Llama.*Mistral.*Qwen2.*Qwen3"),
        ({"hidden_act": "gelu"}, "activation gelu"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2}}, "no rope scaling 'yarn'"),
        ({"num_hidden_layers": 3}, "has no tensor model.layers.2"),
        ({"intermediate_size": 50}, "has shape"),
        ({"hidden_size": None}, "no usable field"),
    ],
)
def test_what_cannot_be_run_is_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, Shape())
    edit_config(folder, **changes)
    with pytest.raises(BackendError, match=message):
        load(folder)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, Shape())
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(BackendError, match=r"model\.safetensors is damaged"):
        load(folder)
    weights.unlink()
    with pytest.raises(BackendError, match=r"has no model\.safetensors"):
        load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(BackendError, match=r"config\.json is missing"):
        load(folder)


def indexed(folder: Path, weight_map: object) -> Path:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("weight_map", [{"a": "../secret"}, {"a": "/etc/hostname"}, {"a": ".."}, {"a": 3}, [], None])
def test_an_index_may_name_files_beside_it_only(weight_map: object, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"index\.json names no files beside it"):
        Checkpoint(indexed(tmp_path, weight_map))


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "WIDE", "shape": [1], "data_offsets": [0, 4]}},
        {"a": [1, 2]},
        [],
    ],
)
def test_a_header_that_lies_is_found_out(header: object, tmp_path: Path) -> None:
    head = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + b"1234")
    with pytest.raises(BackendError, match=r"model\.safetensors is damaged"):
        Checkpoint(tmp_path)


def test_a_header_longer_than_the_file_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(BackendError, match=r"model\.safetensors is damaged"):
        Checkpoint(tmp_path)


def test_numbers_that_the_engine_does_not_compute_with_are_named(tmp_path: Path) -> None:
    head = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + b"1234")
    with pytest.raises(BackendError, match="tensor a is F8_E4M3"):
        Checkpoint(tmp_path).tensor("a", 4)


def test_matrix_products_stay_on_one_thread() -> None:
    assert blas.pin_to_one_thread()
    assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {1}
