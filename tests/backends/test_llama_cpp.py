"""llama.cpp's own server, with the bundled reasoner as a GGUF file."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.backends.conformance import Subject
from tests.backends.conftest import KEY
from tests.backends.killing import killed, ran, samples, stopped
from tests.backends.servers import free_port, llama_server
from widthwise.cli.app import app

TEXTS = [
    "<user>Compute (17 + 5) * 3 - 48.<assistant>17 + 5 = 22, left 22 * 3 - 48\n\n22",
    "<user>Use the numbers 12, 7, 3, 20 to reach 35.<assistant>12 - 7 = 5, left 5 3 20\n\n\\boxed{20}",
    "half café 東 \t<Parallel>\n<Outlines>\n<Outline>1: 3 - 2</Outline>",
]


VOTE = ["arithmetic", "--limit", "10", "--strategy", "best_of_n(n=8) | majority_vote()"]
DIALECTS = ["text", "chat"]


def asked(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)


@pytest.mark.parametrize("text", TEXTS)
def test_the_file_cuts_texts_as_the_model_does(text: str, llama_url: str, embedded_subject: Subject) -> None:
    cut = asked(f"{llama_url}/tokenize", {"content": text, "parse_special": True})["tokens"]
    assert cut == embedded_subject.backend.tokenizer.encode(text)


def test_the_file_writes_what_the_model_writes(llama_url: str, embedded_subject: Subject) -> None:
    body = {"prompt": TEXTS[0], "temperature": 0, "max_tokens": 60}
    said = asked(f"{llama_url}/v1/completions", body)["choices"][0]["text"]
    assert said == " * 3 = 66, left 66 - 48\n\n66 - 48 = 18\n\n\\boxed{18}"


def called(run: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["eval", *VOTE, "--run", str(run), *words])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_temperature_comes_before_the_filters(dialect: str, llama_url: str, tmp_path: Path) -> None:
    """The first token is "2" with 67 percent, or 82 at temperature 0.6, where it fills the top 80 percent alone."""
    problem = {"id": "game", "problem": "Use the numbers 12, 7, 3, 20 to reach 35.", "answer": "35"}
    (tmp_path / "game.jsonl").write_text(json.dumps(problem))
    sampling = ["--temperature", "0.6", "--top-p", "0.8", "--max-tokens", "1", "--strategy", "best_of_n(n=40)"]
    words = ["--model", llama_url, "--backend-arg", f"dialect={dialect}", *sampling]
    found = ran(["--data", str(tmp_path / "game.jsonl"), *words], tmp_path / "a.db")
    assert {text for text, _ in found.values()} == {"2"}
    assert len(found) == 40


def test_a_repetition_penalty_is_for_the_whole_text(llama_url: str, tmp_path: Path) -> None:
    """By default, llama.cpp penalises only what the last 64 tokens contain."""
    greedy = ["arithmetic", "--limit", "10", "--strategy", "best_of_n(n=1)", "--temperature", "0"]
    words = [*greedy, "--repetition-penalty", "1.3"]
    here, there = ran(words, tmp_path / "here.db"), ran([*words, "--model", llama_url], tmp_path / "there.db")
    assert [text.removesuffix("</s>") for text, _ in here.values()] == [there[key][0] for key in here]


def test_twenty_likeliest_tokens_are_to_be_had(llama_url: str, tmp_path: Path) -> None:
    pruned = ["--limit", "3", "--strategy", "best_of_n(n=8) | deepconf(warmup=4) | majority_vote()"]
    done = called(tmp_path / "a.db", "--model", llama_url, *pruned, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["errors"] == 0


def test_penalties_that_count_the_prompt_are_told_of(llama_url: str, tmp_path: Path) -> None:
    done = called(tmp_path / "a.db", "--model", llama_url, "--limit", "1", "--presence-penalty", "0.5")
    assert "counts the prompt's tokens" in done.output


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_run_that_was_killed_goes_on(dialect: str, llama_url: str, tmp_path: Path) -> None:
    """Stored samples stay exactly the same; of the new ones, no more differ than were in flight."""
    words = [*VOTE, "--model", llama_url, "--backend-arg", f"dialect={dialect}", "--concurrency", "2"]
    whole = ran(words, tmp_path / "whole.db")
    before = killed(words, tmp_path / "killed.db", after=30)
    resumed = ran(words, tmp_path / "killed.db")
    assert 30 <= len(before) < len(whole) == 80
    assert before.items() <= resumed.items()
    assert {key: seed for key, (_, seed) in resumed.items()} == {key: seed for key, (_, seed) in whole.items()}
    assert len(whole.items() - resumed.items()) <= 2 * 8


def test_a_server_with_a_key(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "a.db"
    with llama_server(gguf, "--key", KEY) as url:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        monkeypatch.delenv("WIDTHWISE_API_KEY", raising=False)
        without = called(run, "--model", url)
        monkeypatch.setenv("WIDTHWISE_API_KEY", f"{KEY}-wrong")
        wrong = called(run, "--model", url)
        monkeypatch.setenv("WIDTHWISE_API_KEY", KEY)
        right = called(run, "--model", url, "--limit", "2")
    for refused in (without, wrong):
        assert refused.exit_code != 0
        assert "401" in refused.output
        assert "WIDTHWISE_API_KEY" in refused.output
    assert right.exit_code == 0, right.output
    assert KEY not in without.output + wrong.output + right.output
    assert KEY.encode() not in run.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_run_does_not_go_on_with_another_model(dialect: str, gguf: Path, tmp_path: Path) -> None:
    port, run = str(free_port()), tmp_path / "a.db"
    with llama_server(gguf, "--port", port, "--alias", "reasoner") as url:
        words = ["--model", url, "--backend-arg", f"dialect={dialect}"]
        before = killed([*VOTE, *words], run, after=10)
    with llama_server(gguf, "--port", port, "--alias", "another"):
        done = called(run, *words)
    assert done.exit_code == 2
    assert "reasoner" in done.output
    assert "another" in done.output
    assert samples(run) == before


@pytest.mark.slow
def test_a_pool_outlives_one_of_its_servers(gguf: Path, tmp_path: Path) -> None:
    run = tmp_path / "a.db"
    with llama_server(gguf) as first, ExitStack() as mortal:
        second = mortal.enter_context(llama_server(gguf))
        words = ["--model", f"{first},{second}", "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with stopped([*VOTE, *words], run, after=10, **pipes) as process:
            mortal.close()
            process.send_signal(signal.SIGCONT)
            found = json.loads(process.communicate()[0])
    assert (found["problems"], found["errors"], found["samples"]) == (10, 0, 80)


def test_a_pool_of_different_models_is_refused(llama_url: str, gguf: Path, tmp_path: Path) -> None:
    with llama_server(gguf, "--alias", "another") as url:
        done = called(tmp_path / "a.db", "--model", f"{llama_url},{url}")
    assert done.exit_code == 2
    assert "differ in the model" in done.output
    assert not (tmp_path / "a.db").exists()


def test_a_search_compares_steps_by_served_embeddings(gguf: Path, tmp_path: Path) -> None:
    with llama_server(gguf, "--embedding", "--alias", "embedder") as url:
        words = ["--model", "reasoner", "--reward-model", "scorer", "--embedding-model", f"{url}#embedder"]
        asked = [
            "eval",
            "countdown",
            "--limit",
            "2",
            "--strategy",
            "ets(n=4)",
            "--run",
            str(tmp_path / "a.db"),
            "--json",
        ]
        done = CliRunner().invoke(app, [*asked, *words])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["errors"], found["notes"]) == (0, [])
    assert found["tokens"]["embedding"] > 0
