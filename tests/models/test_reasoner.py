"""The bundled micro reasoner: one tokenizer on every path, and a folder that loads unchanged elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "models" / "reasoner"
PROMPT = "<user>{}<assistant>"
SOLUTION = "12 - 7 = 5, left 5 3 20\n\n5 * 3 = 15, left 15 20\n\n20 + 15 = 35\n\n\\boxed{20 + ((12 - 7) * 3)}"
HARD = [
    "  a\n\n\nb – ü \\boxed{3}",
    " lead",
    "trail \n",
    "tab\tnew\r\n日本 5×3÷2",
    "\x00 \u200b",
    " = left , left  - ",
    "",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / "tokenizer.model"))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Problems of the shipped test sets as prompts, a solution, and texts that tokenizers tend to change."""
    lines = [line for path in sorted(ROOT.glob("evals/suites/data/*.jsonl")) for line in path.open()]
    return [*(PROMPT.format(json.loads(line)["problem"]) for line in lines), SOLUTION, *HARD]


def test_any_text_survives_the_tokenizer(tokenizer: Any, texts: list[str]) -> None:
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_and_separators_are_single_tokens(tokenizer: Any) -> None:
    assert tokenizer.encode("20 + 15\n\n", out_type=str) == ["2", "0", "▁+▁", "1", "5", "\n\n"]
    for marker in ("<user>", "<assistant>", "<step>", "<Thread>", "</Conclusion>", "<reserved_46>"):
        assert len(tokenizer.encode(marker)) == 1
    assert (tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()) == (1, 2, 3)
    assert tokenizer.piece_to_id("+") != tokenizer.piece_to_id("-") != tokenizer.unk_id()


def test_the_folder_is_small_and_consistent(tokenizer: Any) -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    weights = load_file(FOLDER / "model.safetensors")
    assert config["vocab_size"] == tokenizer.vocab_size() == len(weights["model.embed_tokens.weight"])
    assert config["eos_token_id"] == tokenizer.eos_id()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5_500_000
    assert 1e6 < sum(weight.size for weight in weights.values()) < 4e6


def test_the_json_tokenizer_is_the_sentencepiece_one(tokenizer: Any, texts: list[str]) -> None:
    fast = pytest.importorskip("tokenizers").Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    for text in texts:
        assert fast.encode(text).ids == tokenizer.encode(text)
        assert fast.decode(tokenizer.encode(text), skip_special_tokens=False) == text


def test_the_chat_template_is_the_prompt_of_training() -> None:
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Template(json.loads((FOLDER / "tokenizer_config.json").read_text())["chat_template"])
    turns = [{"role": "user", "content": "Compute 1 + 2."}]
    assert template.render(messages=turns, add_generation_prompt=True) == PROMPT.format("Compute 1 + 2.")
    turns += [{"role": "assistant", "content": "3"}]
    assert template.render(messages=turns) == PROMPT.format("Compute 1 + 2.") + "3</s>"


def test_transformers_reads_the_folder_unchanged(torch: Any, tokenizer: Any, texts: list[str]) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    auto = transformers.AutoTokenizer.from_pretrained(FOLDER)
    for text in texts:
        assert auto.encode(text) == tokenizer.encode(text)
    turns = [{"role": "user", "content": "Compute 1 + 2."}]
    ids = auto.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert ids == tokenizer.encode(PROMPT.format("Compute 1 + 2."))


VLLM_CHECK = r"""
import json, sys
from vllm import LLM, SamplingParams

if __name__ == "__main__":
    folder, text = sys.argv[1:]
    llm = LLM(model=folder, dtype="float32", enforce_eager=True, block_size=32, kv_cache_memory_bytes=1 << 27)
    ids = llm.get_tokenizer().encode(text)
    limits = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)
    entries = llm.generate({"prompt_token_ids": ids}, limits)[0].prompt_logprobs[1:]
    logprobs = [entry[token].logprob for entry, token in zip(entries, ids[1:])]
    print("RESULT", json.dumps({"ids": ids, "logprobs": logprobs}))
"""


def test_vllm_loads_the_folder_and_agrees_with_the_recipe(
    vllm: None, torch: Any, tokenizer: Any, tmp_path: Path
) -> None:
    (tmp_path / "check.py").write_text(VLLM_CHECK)
    text = PROMPT.format("Use the numbers 12, 7, 3, 20 to reach 35.") + SOLUTION
    calm = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(tmp_path / "check.py"), str(FOLDER), text]
    done = subprocess.run(command, env=os.environ | calm, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.rpartition("RESULT ")[2].splitlines()[0])
    ids = tokenizer.encode(text)
    assert found["ids"] == ids
    sys.path.append(str(ROOT / "scripts"))
    from eval_labels import load

    with torch.inference_mode():
        model = load(FOLDER)
        logprobs = model.logits(model(torch.tensor([ids])))[0, :-1].log_softmax(-1)
    expected = logprobs[range(len(ids) - 1), ids[1:]]
    assert torch.allclose(torch.tensor(found["logprobs"]), expected, atol=1e-3)
