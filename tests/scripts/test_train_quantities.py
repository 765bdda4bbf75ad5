"""The recipe for `quantities`: each stage makes its documents once and continues where the previous one ended."""

import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from widthwise.evals.suites.quantity_steps import QuantityPlan

pytestmark = pytest.mark.vllm
torch = pytest.importorskip("torch", reason="training needs the `train` extra: pip install '.[train]'")

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
recipe = importlib.import_module("train_quantities")
documents = importlib.import_module("documents")
reasoner = importlib.import_module("train_reasoner")
llama = importlib.import_module("llama")
measured = importlib.import_module("eval_labels")


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of the worker processes; none is started."""
    told: list[Any] = []
    monkeypatch.setattr(torch.multiprocessing, "spawn", lambda work, args, workers: told.append((*args, workers)))
    small = {
        name: recipe.Stage(each.levels, 1, each.until, each.decay, each.peak, each.skills)
        for name, each in recipe.STAGES.items()
    }
    monkeypatch.setattr(recipe, "STAGES", small)
    return told


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["train_quantities.py", str(folder), *words])
    recipe.main()


def test_stages_follow_one_another_in_one_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spawned: list[Any]
) -> None:
    run(monkeypatch, tmp_path, "look-up", "--workers", "1")
    run(monkeypatch, tmp_path, "short", "middle", "--workers", "1")
    assert {told.folder for told, _ in spawned} == {tmp_path / "train"}, "one checkpoint and one optimizer"
    assert all(told.begin == recipe.REASONER and workers == 1 for told, workers in spawned)
    plan = [step for told, _ in spawned for step in told.plan]
    assert [file.stem for file, _ in plan] == ["look-up", "short", "middle"]
    assert [each.steps for _, each in plan] == sorted(each.steps for _, each in plan)
    assert all(each.decay == 1 for _, each in plan), "the rate stays for the stage after it"
    assert all(len(documents.Corpus.load(file)) > 900 for file, _ in plan)
    before = (tmp_path / "short.npz").stat().st_mtime_ns
    run(monkeypatch, tmp_path, "short", "--until", "7")
    assert spawned[-1][0].plan[0][1].steps == 7
    assert (tmp_path / "short.npz").stat().st_mtime_ns == before, "documents are made once"
    run(monkeypatch, tmp_path, "short", "--layers", "6")
    assert [told.layers for told, _ in spawned] == [10, 10, 10, 6]


def test_the_last_stage_has_all_skills_and_ends_at_rate_zero(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spawned: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "A = 3; B = A + 4. B?"
    task = {"key": "x", "question": text, "target": 7, "numbers": []}
    record = {"task": task, "solution": "B: 3 + 4 = 7\n\n\\boxed{7}", "texts": ["B: 3 + 4 = 7\n\n\\boxed{7}"] * 4}
    (tmp_path / "attempts.jsonl").write_text(json.dumps(record) + "\n")
    run(monkeypatch, tmp_path, "skills")
    ((_, schedule),) = spawned[-1][0].plan
    assert schedule.rate(schedule.steps - 1) < 1e-6
    said = capsys.readouterr().out
    assert all(
        f"'{skill}'" in said for skill in ("solve", "threads", "outline", "plan", "search", "refine", "verify", "score")
    )


def test_an_exported_model_is_half_as_large_and_says_how_it_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trained = reasoner.Run(tmp_path / "train", llama.Shape(448, 10), seed=3)
    trained.save()
    run(monkeypatch, tmp_path, "export")
    folder = tmp_path / "model"
    config = json.loads((folder / "config.json").read_text())
    assert (config["widthwise_profile"], config["widthwise_reward_format"]) == ("quantities", "quantities")
    assert (folder / "model.safetensors").stat().st_size < 4_000_000
    assert not (folder / "README.md").exists()
    shipped = ROOT / "models" / "quantities" / "generation_config.json"
    assert json.loads((folder / "generation_config.json").read_text()) == json.loads(shipped.read_text())
    loaded = measured.load(folder)
    for name, weight in trained.model.named_parameters():
        assert torch.allclose(weight, dict(loaded.named_parameters())[name], atol=1e-3)


@pytest.mark.parametrize("words", ["shorter", "short export", "look-up short --until 9"])
def test_what_cannot_be_run_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path / "run", *words.split())
    assert not (tmp_path / "run").exists()


def test_a_model_is_measured_by_what_its_tokens_do(tmp_path: Path) -> None:
    """A model that always says the same token knows only that token."""
    read = importlib.import_module("eval_quantities")
    sentencepiece = importlib.import_module("sentencepiece")
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(recipe.TOKENIZER))
    system = read.QuantitySystem.read("A = 3; B = A + 5; C = B * 12; D = C - 90. D?")
    pieces = list(read.parts(system, read.random.Random(0)))
    text = "".join(piece.text for piece in pieces[1:])
    planned, _, solution = text.partition("\n\n")
    assert QuantityPlan.read(planned) == QuantityPlan.of(system)
    assert solution.startswith(
        "B = A + 5 = 3 + 5 = 8\n\nC = B * 12 = 8 * 12 = 96\n\nD = C - 90 = 96 - 90 = 6\n\n\\boxed{6"
    )
    trained = reasoner.Run(tmp_path / "train", llama.Shape(448, 2), seed=3)
    trained.save()
    model = read.opened(tmp_path / "train" / "checkpoint.pt")
    found = read.measure(model, [system], tokenizer)
    assert {kind: row["parts"] for kind, row in found.items()} == {
        "answer": 1, "definition": 3, "difference": 1, "name": 3, "operands": 3, "plan": 1, "product": 1, "sum": 1,
    }  # fmt: skip
    uniform = -math.log(448)
    assert abs(found["name"]["log_probability"] - uniform) < 0.5, "it knows nothing yet"
    _, (kind, said, _), *_ = read.read(model, pieces, tokenizer)
    ids = [token for piece in pieces[:4] for token in tokenizer.encode(piece.text)]
    expected = model.logits(model(torch.tensor(ids)[None]))[0, -2].log_softmax(-1)[ids[-1]].item()
    assert (kind, round(said, 3)) == ("name", round(expected, 3))
