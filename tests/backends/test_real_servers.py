"""Strategies on real servers, in each one's dialects: vLLM, llama.cpp, and LiteLLM's proxy in front of vLLM."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.backends.conftest import KEY
from tests.backends.killing import samples
from widthwise.cli.app import app
from widthwise.evals.store.store import Store

VOTE = "best_of_n(n=4) | majority_vote()"
GREEDY = "best_of_n(n=1) | majority_vote()"
PROBLEMS = 20
ANYWHERE = {
    "vote": ("arithmetic", 10, VOTE),
    "refining": ("countdown", 6, "parallel_distill_refine(drafts=(4, 2))"),
}
BY_LOGPROBS = {"log-probabilities": ("arithmetic", 10, "best_of_n(n=4) | weighted_vote(by='mean_logprob')")}
CONTINUING = {
    "threads": ("countdown", 4, "threads(width=4)"),
    "tree": ("arithmetic", 5, "beam_search(n=4, beam_width=2, by='mean_logprob', max_depth=14, max_step_tokens=64)"),
}
ALL = {**ANYWHERE, **BY_LOGPROBS, **CONTINUING}


@dataclass(frozen=True)
class Way:
    """A server, further arguments for it, and which strategies run there or are refused."""

    fixture: str
    arguments: tuple[str, ...] = ()
    strategies: tuple[str, ...] = tuple(ALL)
    refused: tuple[str, ...] = ()
    model: str = ""


WAYS = {
    "vllm": Way("vllm_url"),
    "vllm-text": Way("vllm_url", ("dialect=text",)),
    "vllm-chat": Way("vllm_url", ("dialect=chat",)),
    "llama.cpp": Way("llama_url"),
    "llama.cpp-chat": Way("llama_url", ("dialect=chat",)),
    "litellm": Way("litellm_url", (), (*ANYWHERE, *BY_LOGPROBS), tuple(CONTINUING), "#reasoner"),
    "litellm-ids": Way("litellm_url", (), ("vote",), ("tree",), "#ids"),
    "litellm-prefix": Way("litellm_url", ("prefix=continue_final_message",), ("tree",), (), "#reasoner"),
}


def marked(name: str, *values: Any) -> Any:
    return pytest.param(*values, id="-".join([name, *values[1:]]), marks=() if "llama" in name else pytest.mark.vllm)


@pytest.fixture
def served(way: Way, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command-line arguments that choose the server and its dialect."""
    if way.fixture == "litellm_url":
        monkeypatch.setenv("WIDTHWISE_API_KEY", KEY)
    words = [word for argument in way.arguments for word in ("--backend-arg", argument)]
    return ["--model", request.getfixturevalue(way.fixture) + way.model, *words]


def called(suite: str, limit: int, strategy: str, run: Path, *words: str) -> Result:
    asked = ["eval", suite, "--limit", str(limit), "--strategy", strategy, "--run", str(run), "--json", *words]
    return CliRunner().invoke(app, asked)


def evaluated(suite: str, limit: int, strategy: str, run: Path, *words: str) -> dict[str, Any]:
    done = called(suite, limit, strategy, run, *words)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """The embedded engine's greedy texts."""
    run = tmp_path_factory.mktemp("greedy") / "embedded.db"
    evaluated("arithmetic", PROBLEMS, GREEDY, run, "--temperature", "0")
    return texts(run)


def texts(run: Path) -> dict[tuple[str, str], str]:
    """The sampled texts, without the end token, which engines that return ids keep."""
    return {key: text.removesuffix("</s>") for key, (text, _) in samples(run).items()}


@pytest.mark.slow
@pytest.mark.parametrize("way", [marked(name, way) for name, way in WAYS.items()])
def test_greedy_texts_are_the_embedded_ones(
    way: Way, served: list[str], greedy: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    evaluated("arithmetic", PROBLEMS, GREEDY, tmp_path / "a.db", "--temperature", "0", *served)
    theirs = texts(tmp_path / "a.db")
    assert theirs.keys() == greedy.keys()
    assert sum(theirs[key] == text for key, text in greedy.items()) >= 0.95 * PROBLEMS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "strategy"), [marked(name, way, strategy) for name, way in WAYS.items() for strategy in way.strategies]
)
def test_strategies_do_there_what_they_do_embedded(way: Way, served: list[str], strategy: str, tmp_path: Path) -> None:
    """On the embedded engine about half the samples are right, or a quarter if refined; with a wrong prompt, none."""
    run = tmp_path / "a.db"
    found = evaluated(*ALL[strategy], run, *served)
    assert found["errors"] == 0
    assert found["mean_accuracy"] > 0.1
    with Store.read(run) as store:
        leaves = [leaf for outcome in store.outcomes() for leaf in outcome.samples]
        store.check()
    assert sum(leaf.answer is not None for leaf in leaves) > 0.8 * len(leaves)


@pytest.mark.parametrize(
    ("way", "strategy"), [marked(name, way, strategy) for name, way in WAYS.items() for strategy in way.refused]
)
def test_what_a_server_cannot_do_is_refused_before_the_first_token(
    way: Way, served: list[str], strategy: str, tmp_path: Path
) -> None:
    done = called(*ALL[strategy], tmp_path / "a.db", *served)
    assert done.exit_code == 2
    assert ALL[strategy][2].partition("(")[0] in done.output
    assert not (tmp_path / "a.db").exists()


def test_one_of_two_models_must_be_named(litellm_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_API_KEY", KEY)
    done = called(*ALL["vote"], tmp_path / "a.db", "--model", litellm_url)
    assert done.exit_code == 2
    assert f"{litellm_url}/v1#reasoner" in done.output
    assert "it serves reasoner, ids" in done.output
