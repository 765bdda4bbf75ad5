"""Third-party programs as clients: they finish, and measure the strategy's accuracy."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from tests.serving.serving import Server, question, served
from widthwise.evals.suites.suites import load_suite

VOTE = "best_of_n(n=8) | majority_vote()"
PROBLEMS = 40
SEED = 1
DOCUMENT = Path(__file__).parents[2] / "docs" / "serve.md"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with served("reasoner", {"vote": VOTE}, suite="arithmetic") as running:
        yield running


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder with the problems in a file for other programs."""
    problems = load_suite("arithmetic", limit=PROBLEMS).problems
    lines = [json.dumps({"question": problem.text, "target": problem.answer}) for problem in problems]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines))
    return tmp_path


def block(name: str) -> str:
    """The file of this name, as printed in the document."""
    return DOCUMENT.read_text().partition(f'title="{name}"\n')[2].partition("```")[0]


def command(beginning: str, server: Server) -> list[str]:
    """A command from the document, with this server's address and the programs installed beside this interpreter."""
    lines = DOCUMENT.read_text().replace("\\\n", " ").splitlines()
    words = next(line for line in lines if line.startswith(beginning)).split()
    program = Path(sys.executable).with_name(words[0])
    return [str(program), *(word.replace("http://127.0.0.1:8000/v1", server.url) for word in words[1:])]


async def ended(arguments: list[str], folder: Path) -> str:
    """The output of a program, which must succeed; it is told to work offline, except for the server."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        *arguments, cwd=folder, env={**os.environ, **offline}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-3000:]
    return output.decode()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The strategy's accuracy on these problems, as ``eval`` measures it."""
    file = tmp_path_factory.mktemp("expected") / "run.db"
    run = ww.evaluate(VOTE, "arithmetic", model="reasoner", run=file, limit=PROBLEMS, seed=SEED)
    assert run.accuracy is not None
    return run.accuracy


def close(found: float, expected: float) -> bool:
    """Whether two accuracies differ by at most three standard errors of their difference."""
    error = math.sqrt(2 * max(expected * (1 - expected), 0.05) / PROBLEMS)
    return abs(found - expected) <= 3 * error


async def test_curl_asks_and_is_answered(server: Server, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    body = json.dumps(question("Compute 2 + 3.", "vote", seed=1))
    sent = ["-H", "Content-Type: application/json", "-d", body]
    said = json.loads(await ended(["curl", "-sf", f"{server.url}/chat/completions", *sent], tmp_path))
    assert said["widthwise"]["answer"] == "5"
    assert "\\boxed{5}" in said["choices"][0]["message"]["content"]


async def test_the_openai_client_reads_answers_streams_and_errors(server: Server) -> None:
    openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")
    asked: dict[str, Any] = {"model": "vote", "messages": [{"role": "user", "content": "Compute 2 + 3."}], "seed": 1}
    async with openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=None) as client:
        reply = await client.chat.completions.create(**asked)
        assert "\\boxed{5}" in reply.choices[0].message.content
        assert reply.widthwise["classes"][0]["answer"] == "5"
        assert reply.usage.completion_tokens_details.reasoning_tokens > 0
        options = {"include_usage": True}
        stream = await client.chat.completions.create(
            **asked, stream=True, stream_options=options, extra_body={"widthwise": {"progress": True}}
        )
        chunks = [chunk async for chunk in stream]
        deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
        assert "".join(delta.content or "" for delta in deltas) == reply.choices[0].message.content
        assert "answer 5" in "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        assert chunks[-1].usage.completion_tokens == reply.usage.completion_tokens
        assert [model.id for model in (await client.models.list()).data] == ["vote"]
        text = await client.completions.create(model="vote", prompt="Compute 2 + 3.", seed=1)
        assert text.choices[0].text == reply.choices[0].message.content
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(**asked, n=2)
        assert refused.value.param == "n"
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(**{**asked, "model": "other"})


@pytest.mark.slow
async def test_lm_eval_finishes_a_suite_with_the_strategys_accuracy(
    server: Server, rows: Path, expected: float
) -> None:
    if importlib.util.find_spec("lm_eval") is None:
        pytest.skip("lm-eval is not installed: pip install 'lm_eval[api]'")
    (rows / "served.yaml").write_text(block("served.yaml"))
    await ended([*command("lm_eval run", server), "--seed", "1"], rows)
    (result,) = (rows / "out").rglob("results_*.json")
    found = json.loads(result.read_text())["results"]["sums"]["exact_match,boxed"]
    assert close(found, expected)


@pytest.mark.slow
async def test_inspect_finishes_a_suite_with_the_strategys_accuracy(
    server: Server, rows: Path, expected: float
) -> None:
    if importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("Inspect is not installed: pip install inspect-ai openai")
    (rows / "served.py").write_text(block("served.py"))
    variables = {"WIDTHWISE_BASE_URL": server.url, "WIDTHWISE_API_KEY": "none"}
    await ended(["env", *(f"{k}={v}" for k, v in variables.items()), *command("inspect eval", server)], rows)
    (log,) = (rows / "logs").glob("*.json")
    results = json.loads(log.read_text())
    assert results["status"] == "success"
    assert close(results["results"]["scores"][0]["metrics"]["accuracy"]["value"], expected)


@pytest.mark.slow
async def test_widthwise_measures_a_served_strategy_as_it_does_any_model(
    server: Server, tmp_path: Path, expected: float
) -> None:
    run = await ww.evaluate_async(
        "single()", "arithmetic", model=server.url, run=tmp_path / "served.db", limit=PROBLEMS, seed=SEED
    )
    assert run.failures == ()
    assert run.accuracy is not None
    assert close(run.accuracy, expected)
    assert run.ledger.sampled > 8 * 20 * PROBLEMS  # all traces are charged, not only the winners
