"""A run on a server is killed and resumed: it ends as it would have without the kill."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import widthwise as ww
from tests.backends import manners
from tests.backends.killing import killed, ran
from tests.backends.scripted_server import Asked, Reply, by_path, chat_events, served, sse, text_events
from widthwise.evals.allocation.bin import Alternative, Bin
from widthwise.evals.allocation.policy import Policy, alternative_of

SUMS = [{"id": f"sum-{i}", "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(1, 5)]
WORDS = ["so", " then", "\n\n", " 東", " half", " café", " \\boxed{4}", "."]


def words(shown: Any, seed: int, count: int = 24) -> list[str]:
    """The words that answer ``shown``; every seed gives others."""
    draw = random.Random(f"{shown}|{seed}")
    return [draw.choice(WORDS) for _ in range(count)]


def paced(*events: Any) -> Reply:
    """Slow enough that a run can be killed halfway."""
    return Reply(sse(*events), piece=4000, before=0.01)


def chat(asked: Asked) -> Reply:
    said = words(asked.body["messages"], asked.body["seed"])
    thought = {"choices": [{"index": 0, "delta": {"reasoning": "Hm."}}]}
    details = {"completion_tokens_details": {"reasoning_tokens": 40}}
    first, *rest = chat_events(*said)
    return paced(first, thought, *rest, manners.usage(9, 60, **details))


def text(asked: Asked) -> Reply:
    if not isinstance(asked.body["prompt"], str):
        return manners.refusal(400, "prompt must be a text")
    events = text_events(*words(asked.body["prompt"], asked.body["seed"]))
    for event in events:
        [choice] = event["choices"]
        choice["logprobs"] = {"content": [{"token": choice["text"], "logprob": -len(choice["text"]) / 8}]}
    return paced(*events, manners.usage(1))


CONTEXT = {"n_ctx": 4096}
PROPERTIES = {
    "chat_template": manners.TEMPLATE,
    "model_path": "/m.gguf",
    "default_generation_settings": {"n_ctx": 4096},
}


def ends_alike(script: Any, asked: list[str], folder: Path, after: int) -> None:
    """A run of ``asked`` that is killed after so many requests keeps what it has and ends as one that was not."""
    data = folder / "sums.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in SUMS))
    with served(script, [{"id": "m"}]) as server:
        command = ["--data", str(data), "--model", server.url, *asked]
        whole = ran(command, folder / "whole.db")
        before = killed(command, folder / "killed.db", after=after)
        resumed = ran(command, folder / "killed.db")
    assert before.items() <= resumed.items()
    assert resumed == whole


CHAT, TEXT = by_path(chat_completions=chat), by_path(completions=text, props=Reply(PROPERTIES))


@pytest.mark.parametrize(
    ("script", "strategy"),
    [
        (CHAT, "sequential_refinement(chains=4, rounds=3)"),
        (CHAT, "revisions(n=12, ratio=0.75) | hierarchical_vote(by=None)"),
        (TEXT, "beam_search(n=4, by='mean_logprob', max_depth=4)"),
    ],
)
def test_a_killed_run_ends_as_one_that_was_not(script: Any, strategy: str, tmp_path: Path) -> None:
    ends_alike(script, ["--strategy", strategy, "--concurrency", "3"], tmp_path, after=8)


@pytest.mark.parametrize("script", [CHAT, TEXT], ids=["chat", "text"])
def test_a_killed_run_shares_out_its_pool_as_one_that_was_not(script: Any, tmp_path: Path) -> None:
    pool = ["--suite-budget-tokens", "1500", "--strategy", "best_of_n(n=9) | majority_vote()", "--max-tokens", "99"]
    ends_alike(script, pool, tmp_path, after=10)


@pytest.mark.parametrize(
    ("script", "strategy"),
    [
        (CHAT, "sequential_refinement(rounds=2) | majority_vote()"),
        (TEXT, "tree_search(n=4, by='mean_logprob', max_depth=4) | majority_vote()"),
    ],
    ids=["chat", "text"],
)
def test_a_killed_run_goes_on_with_another_strategy_as_one_that_was_not(
    script: Any, strategy: str, tmp_path: Path
) -> None:
    """Every problem goes on with it after two probes, so the run is killed within it."""
    other = Alternative(str(alternative_of(strategy)), 4.0, 0.9)
    policy = Policy("disagreement", 2, (), (Bin((2,), (0.1,), ("majority_vote()",), (other,)),))
    policy.write(tmp_path / "policy.json")
    pool = ["--suite-budget-tokens", "4000", "--allocator", f"fitted(policy={str(tmp_path / 'policy.json')!r})"]
    asked = ["--strategy", "best_of_n(n=9) | majority_vote()", "--max-tokens", "99", *pool]
    ends_alike(script, asked, tmp_path, after=10)
    found = ww.Run.read(tmp_path / "killed.db").summary.suite_budget
    assert found is not None
    assert list(found["strategies"].values()) == [len(SUMS)]
