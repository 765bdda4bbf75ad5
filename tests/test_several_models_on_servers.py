"""Several models in one run, some of them on servers: each gets its own requests, and is charged for them."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.backends.killing import killed, ran
from tests.backends.scripted_server import served
from tests.test_killed_runs_on_servers import CHAT, SUMS, TEXT
from tests.test_served_runs import MODEL, called, chat, doubled
from widthwise.evals.store.store import Store

ANSWERING = [
    "best_of_n(n=2, model='a') | escalate(model='b', n=2)",
    "cascade(('a', 'b'), thresholds=(1.0,), worker=best_of_n(n=2) | majority_vote())",
    "route(('a', 'b'), thresholds=(1.0,), probes=2)",
    "mixture_of_agents(('a', 'b'), layers=2)",
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in SUMS))
    return path


def run_on(data: Path, models: dict[str, str], strategy: str, *options: str) -> Any:
    named = [word for name, address in models.items() for word in ("--model", f"{name}={address}")]
    result = called("eval", "--data", str(data), *named, "--strategy", strategy, *options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("strategy", ANSWERING)
def test_a_model_in_this_process_beside_one_that_takes_messages(data: Path, strategy: str) -> None:
    with served(chat(), MODEL) as server:
        said = run_on(data, {"a": "reasoner", "b": server.url}, strategy, "--max-tokens", "40", "--price", "a=0,0")
        solving = [body for body in server.bodies("chat/completions") if "What is" in str(body["messages"])]
    assert said["models"]["b"]["calls"] == len(solving) > 0
    assert said["models"]["a"]["calls"] > 0
    assert said["money"] is None  # b has no price


@pytest.mark.parametrize("strategy", [ANSWERING[0], ANSWERING[1], ANSWERING[3]])
def test_two_servers_get_their_own_requests(data: Path, strategy: str) -> None:
    numbers = count(1)

    def wrong(shown: str) -> str:
        """Another wrong answer each time, so that the first model's never agree."""
        told = "attempt" in shown.lower()
        return doubled(shown) if told else doubled(shown).replace("boxed{", f"boxed{{{next(numbers)}")

    with served(chat(wrong), [{"id": "small"}]) as first, served(chat(), [{"id": "large"}]) as second:
        said = run_on(data, {"a": first.url, "b": second.url}, strategy)
        asked = [{body["model"] for body in each.bodies("chat/completions")} for each in (first, second)]
    assert asked == [{"small"}, {"large"}]
    assert sum(each["sampled"] for each in said["models"].values()) == said["tokens"]["sampled"]


def test_another_model_behind_one_of_the_addresses_is_another_run(data: Path) -> None:
    with served(chat(), [{"id": "small"}]) as first, served(chat(), [{"id": "large"}]) as second:
        models = {"a": first.url, "b": second.url}
        run_on(data, models, ANSWERING[0], "--run", "x.db")
        with Store.read("x.db") as store:
            identity = store.manifest["configuration"]["served"]
        assert {role: found["model"] for role, found in identity.items()} == {"model a": "small", "model b": "large"}
    with served(chat(), [{"id": "small"}]) as first, served(chat(), [{"id": "larger"}]) as second:
        other = ["eval", "--data", str(data), "--model", f"a={first.url}", "--model", f"b={second.url}"]
        refused = called(*other, "--strategy", ANSWERING[0], "--run", "x.db")
    assert refused.exit_code == 2
    assert "holds a run with other settings" in " ".join(refused.output.split())


def test_what_continues_a_text_is_refused_only_for_the_model_that_cannot(data: Path) -> None:
    search = "beam_search(n=4, by='mean_logprob', max_depth=2, model='{}')"
    with served(chat(), MODEL) as server:
        models = ["--model", "a=reasoner", "--model", f"b={server.url}", "--max-tokens", "40"]
        refused = called("eval", "--data", str(data), *models, "--strategy", search.format("b"))
        allowed = called("eval", "--data", str(data), *models, "--strategy", search.format("a"))
    assert "needs a backend that can continue a text" in " ".join(refused.output.split())
    assert allowed.exit_code == 0, allowed.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "strategy"),
    [
        (CHAT, "mixture_of_agents(('a', 'b'))"),
        (CHAT, "cascade(('a', 'b'), thresholds=(1.0,), worker=best_of_n(n=3) | majority_vote())"),
        (TEXT, "ab_mcts(n=6, models=('a', 'b'), by='mean_logprob') | best_by(score='score')"),
        (TEXT, "best_of_n(n=3, model='a') | escalate(model='b', n=3)"),
    ],
)
def test_a_killed_run_ends_as_one_that_was_not(script: Any, strategy: str, data: Path, tmp_path: Path) -> None:
    with served(script, [{"id": "m"}]) as first, served(script, [{"id": "n"}]) as second:
        models = ["--model", f"a={first.url}", "--model", f"b={second.url}"]
        command = ["--data", str(data), *models, "--strategy", strategy, "--concurrency", "3"]
        whole = ran(command, tmp_path / "whole.db")
        before = killed(command, tmp_path / "killed.db", after=5)
        resumed = ran(command, tmp_path / "killed.db")
    assert before.items() <= resumed.items()
    assert resumed == whole
