"""The training data: right solutions, and no problem that a test may use."""

import importlib
import json
import random
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from widthwise.evals import countdown
from widthwise.evals.holdout import held_out

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))
data = importlib.import_module("reasoner_data")
SOURCES = {"arithmetic": data.arithmetic_documents, "countdown": data.countdown_documents}


@pytest.fixture(params=sorted(SOURCES))
def documents(request: pytest.FixtureRequest) -> Iterator[Any]:
    return islice(SOURCES[request.param](seed=5), 2000)


def test_no_document_is_held_out(documents: Iterator[Any]) -> None:
    shipped = {json.loads(line)["problem"] for path in ROOT.glob("evals/data/*.jsonl") for line in path.open()}
    for document in documents:
        assert not held_out(document.key)
        assert document.problem not in shipped


def test_every_step_of_a_solution_is_right(documents: Iterator[Any]) -> None:
    for document in documents:
        *steps, last = document.solution.split("\n\n")
        assert all(countdown.value(step.split(", left ")[0]) is not None for step in steps)
        assert last.startswith("\\boxed{")


def test_countdown_solutions_reach_the_target() -> None:
    for document in islice(data.countdown_documents(seed=6), 500):
        *numbers, target = map(int, re.findall(r"\d+", document.problem))
        assert countdown.check(document.solution.rpartition("\\boxed{")[2][:-1], numbers, target)


def test_left_numbers_follow_from_the_step() -> None:
    moves = countdown.solve((12, 7, 3, 20), 35, random.Random(1))
    text = data.countdown_solution((12, 7, 3, 20), moves)
    assert [len(line.split(", left ")[1].split()) for line in text.split("\n\n")[:2]] == [3, 2]


def test_a_corpus_marks_where_prompts_end_and_survives_the_disk(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(ROOT / "models/reasoner/tokenizer.model"))
    documents = list(islice(data.countdown_documents(seed=1), 20))
    data.build(documents, tokenizer).save(tmp_path / "corpus.npz")
    corpus = data.Corpus.load(tmp_path / "corpus.npz")
    assert len(corpus) == 20
    for i, document in enumerate(documents):
        ids = corpus.tokens[corpus.starts[i] : corpus.starts[i + 1]].tolist()
        prompt = int(corpus.prompts[i])
        assert tokenizer.decode(ids[:prompt]) == data.PROMPT.format(document.problem)
        assert tokenizer.decode(ids[prompt:]) == document.solution
        assert ids[-1] == tokenizer.eos_id()
