"""The recipe on a toy model: it learns, resumes and exports. Only torch is needed."""

import importlib
import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the `train` extra: pip install 'widthwise[train]'")

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
data = importlib.import_module("reasoner_data")
recipe = importlib.import_module("train_reasoner")
evaluation = importlib.import_module("eval_reasoner")

TOY = recipe.Shape(vocabulary=448, layers=1, width=32, heads=2, kv_heads=1, hidden=48)


@pytest.fixture(scope="module")
def corpus() -> Any:
    import sentencepiece

    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    return data.build(list(islice(data.arithmetic_documents(seed=1), 400)), tokenizer)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "BATCH", 512)
    monkeypatch.setattr(recipe, "WARM_UP", 5)
    torch.set_num_threads(1)


def test_batches_hold_every_learned_token_once_an_epoch(corpus: Any) -> None:
    learned = int(len(corpus.tokens) - corpus.prompts.astype(int).sum())
    seen = tokens = 0
    for inputs, targets in recipe.batches(corpus, seed=0):
        assert inputs.shape == targets.shape
        seen += int((targets != recipe.IGNORED).sum())
        tokens += inputs.numel()
        if seen >= learned:
            break
    assert seen == learned
    assert tokens < 1.3 * len(corpus.tokens)


def test_training_learns_and_goes_on_where_it_stopped(corpus: Any, tmp_path: Path) -> None:
    first = recipe.Run(tmp_path, TOY, seed=1)
    inputs, targets = next(recipe.batches(corpus, seed=0))
    before = recipe.loss_of(first.model, inputs, targets).item()
    recipe.train(first, corpus, minutes=10, seed=1, every=10, steps=20)
    assert recipe.loss_of(first.model, inputs, targets).item() < before - 0.2

    second = recipe.Run(tmp_path, TOY, seed=2)
    assert (second.step, second.spent) == (20, first.spent)
    for name, weight in first.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name])
    recipe.train(second, corpus, minutes=10, seed=1, steps=22)
    assert second.step == 22
    assert second.spent > first.spent


def test_the_rate_rises_stays_and_falls() -> None:
    assert recipe.rate(0, 0, 10) < recipe.rate(3, 1, 10) < recipe.PEAK
    assert recipe.rate(10_000, 200, 10) == recipe.PEAK
    assert recipe.rate(10_000, 450, 10) == pytest.approx(recipe.PEAK / 2)
    assert recipe.rate(10_000, 700, 10) == 0


def test_the_export_is_the_model(tmp_path: Path) -> None:
    model = recipe.Run(tmp_path / "run", TOY, seed=1).model
    recipe.export(model, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["num_key_value_heads"] == 1
    tokens = torch.arange(12).reshape(1, 12)
    assert torch.equal(evaluation.load_model(tmp_path)(tokens), model(tokens))


@torch.inference_mode()
def test_cached_decoding_gives_the_logits_of_the_whole_text(tmp_path: Path) -> None:
    model = recipe.Run(tmp_path, TOY, seed=1).model
    tokens, cache = torch.randint(0, 448, (3, 9)), evaluation.Cache()
    steps = [evaluation.logits(model, part, cache) for part in (tokens[:, :5], tokens[:, 5:6], tokens[:, 6:7])]
    whole = model.logits(model(tokens[:, :7]))
    for step, position in zip(steps, (4, 5, 6), strict=True):
        assert torch.allclose(step, whole[:, position], atol=1e-5)


def test_pass_at_k_is_the_chance_over_subsets() -> None:
    right = np.array([0, 1, 4])
    assert evaluation.pass_at(1, 4, right).tolist() == [0, 0.25, 1]
    assert evaluation.pass_at(2, 4, right).tolist() == [0, 0.5, 1]
    assert evaluation.pass_at(4, 4, right).tolist() == [0, 1, 1]
