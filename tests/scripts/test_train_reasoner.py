"""The recipe on a toy model: it learns, resumes and exports. It needs only torch."""

import dataclasses
import importlib
import json
import os
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.vllm
torch = pytest.importorskip("torch", reason="training needs the `train` extra: pip install '.[train]'")

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
data = importlib.import_module("reasoner_data")
documents = importlib.import_module("documents")
recipe = importlib.import_module("train_reasoner")
llama = importlib.import_module("llama")
labels = importlib.import_module("eval_labels")

TOY = llama.Shape(vocabulary=448, layers=1, width=32, heads=2, kv_heads=1, hidden=48)
SIZE = 512
LONG = recipe.Schedule(steps=1000, decay=100, peak=1e-2)


@pytest.fixture(scope="module")
def corpus() -> Any:
    import sentencepiece

    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    return documents.encode(islice(data.solve_countdown(random.Random(1)), 400), tokenizer)


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(recipe, "BATCH", SIZE)
    monkeypatch.setattr(recipe, "WARM_UP", 5)
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def train(run: Any, corpus: Any, steps: int) -> None:
    recipe.train(run, corpus, recipe.Schedule(steps, LONG.decay, LONG.peak), seed=1, parent=os.getppid(), every=10)


def test_batches_hold_documents_of_one_length_each_once_an_epoch(corpus: Any) -> None:
    seen: list[int] = []
    for members in recipe.batches(corpus, seed=0, size=SIZE):
        seen += members
        tokens, targets = recipe.collate(corpus, members)
        assert tokens.shape == targets.shape
        assert tokens.numel() <= SIZE
        if len(seen) > 0.8 * len(corpus):
            break
    assert len(set(seen)) == len(seen)


def test_two_workers_share_a_batch_and_a_run_goes_on_with_the_same_batches(corpus: Any) -> None:
    first = list(islice(recipe.batches(corpus, 1, 2 * SIZE), 8))
    assert first[5:] == list(islice(recipe.batches(corpus, 1, 2 * SIZE), 5, 8))
    assert sorted(first[0][0::2] + first[0][1::2]) == sorted(first[0])


def test_training_learns_and_goes_on_where_it_stopped(corpus: Any, tmp_path: Path) -> None:
    first = recipe.Run(tmp_path, TOY, seed=1)
    inputs, targets = recipe.collate(corpus, next(recipe.batches(corpus, 0, SIZE)))
    before = recipe.loss_of(first.model, inputs, targets).item()
    train(first, corpus, 20)
    assert recipe.loss_of(first.model, inputs, targets).item() < before - 0.2

    second = recipe.Run(tmp_path, TOY, seed=2)
    assert (second.step, second.tokens) == (20, first.tokens)
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name])
    train(first, corpus, 24)
    train(second, corpus, 24)
    for name, weight in first.model.state_dict().items():
        assert torch.allclose(weight, second.model.state_dict()[name], atol=1e-6)


def test_a_worker_whose_parent_is_gone_stops(corpus: Any, tmp_path: Path) -> None:
    run = recipe.Run(tmp_path, TOY, seed=1)
    recipe.train(run, corpus, LONG, seed=1, parent=-1)
    assert run.step == 0


def test_what_is_not_to_be_learned_has_no_gradient(tmp_path: Path) -> None:
    model = recipe.Run(tmp_path, TOY, seed=1).model
    tokens = torch.randint(0, 448, (1, 8))
    targets = torch.full((1, 8), recipe.IGNORED)
    targets[0, 2] = 7
    expected = torch.nn.functional.cross_entropy(model.logits(model(tokens[:, :3]))[:, -1], torch.tensor([7]))
    assert recipe.loss_of(model, tokens, targets).item() == pytest.approx(expected.item(), abs=0.05)


def test_the_rate_rises_stays_and_falls() -> None:
    assert LONG.rate(0) < LONG.rate(3) < LONG.peak
    assert LONG.rate(500) == LONG.peak
    assert LONG.rate(950) == pytest.approx(LONG.peak / 2)
    assert LONG.rate(1000) == 0


@pytest.mark.parametrize("length", [9, llama.SHORT + 1])
def test_both_forms_of_attention_are_causal_and_the_same(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (torch.randn(1, 2, length, 8) for _ in range(3))
    found = llama.attend(q, k, v)
    monkeypatch.setattr(llama, "SHORT", 0 if length <= llama.SHORT else 10_000)
    assert torch.allclose(found, llama.attend(q, k, v), atol=1e-5)
    assert torch.allclose(found[:, :, 0], v[:, :, 0], atol=1e-5)


def test_layers_that_are_added_change_nothing_at_first_and_can_learn(corpus: Any, tmp_path: Path) -> None:
    small, tokens = llama.Llama(TOY), torch.arange(12).reshape(1, 12)
    tall = llama.Llama(dataclasses.replace(TOY, layers=3))
    tall.begin(small.state_dict())
    assert torch.equal(tall(tokens), small(tokens))
    recipe.loss_of(tall, *recipe.collate(corpus, [0, 1])).backward()
    assert tall.layers[2].mlp.down_proj.weight.grad.abs().max() > 0
    with pytest.raises(ValueError, match="not the weights"):
        small.begin(tall.state_dict())


def test_half_an_export_is_nearly_the_model(tmp_path: Path) -> None:
    model = recipe.Run(tmp_path / "run", TOY, seed=1).model
    recipe.export(model, tmp_path, half=True)
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == "float32"
    tokens = torch.arange(12).reshape(1, 12)
    assert torch.allclose(labels.load(tmp_path)(tokens), model(tokens), atol=1e-2)
    assert (tmp_path / "model.safetensors").stat().st_size < 2.2 * sum(p.numel() for p in model.parameters())


def test_the_export_is_the_model(tmp_path: Path) -> None:
    model = recipe.Run(tmp_path / "run", TOY, seed=1).model
    recipe.export(model, tmp_path, sampling={"temperature": 0.5, "top_p": 0.75})
    assert json.loads((tmp_path / "config.json").read_text())["num_key_value_heads"] == 1
    said = json.loads((tmp_path / "generation_config.json").read_text())
    assert (said["temperature"], said["top_p"], said["do_sample"]) == (0.5, 0.75, True)
    tokens = torch.arange(12).reshape(1, 12)
    assert torch.equal(labels.load(tmp_path)(tokens), model(tokens))
