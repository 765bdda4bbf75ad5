"""Every built-in part live: on vLLM, on a text server, killed and resumed, and refused where it cannot work.

Parts are those of a strategy: samplers, pruners and aggregators, and chains of them, with one model or two.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.aggregators import every_aggregator
from tests.backends import asked_reasoner
from tests.backends.conformance import Subject
from tests.backends.killing import samples
from tests.backends.scripted_server import Reply, chat, chat_only, served
from tests.backends.test_real_servers import called, evaluated
from tests.evals.recount import check_recount
from tests.pruning import every_pruner
from tests.samplers import every_sampler
from tests.samplers.every_sampler import GENERIC
from widthwise.cli.app import app
from widthwise.core.backend import SamplingParams
from widthwise.core.registry import entries, role_of
from widthwise.core.roles import ROLES
from widthwise.core.strategy.checking import inside
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.store import Store, compare
from widthwise.evals.suites.suites import load_suite
from widthwise.models import formats

DYING = """
import os, signal, sys
from widthwise.cli.app import app
from widthwise.evals.store.store import Store
left, record = int(sys.argv.pop(1)), Store.record
def dying(*told):
    global left
    record(*told)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
Store.record = dying
app()
"""
"""The command line in a process that kills itself once it has stored so many generations."""

TABLES = {"sampler": every_sampler.EVERY, "aggregator": every_aggregator.EVERY, "pruner": every_pruner.EVERY}
EVERY = {name: text for table in TABLES.values() for name, text in table.items()}
EVERY |= every_aggregator.CHAINS | every_pruner.CHAINS
each = pytest.mark.parametrize("name", sorted(EVERY))


def parts(name: str) -> list[Any]:
    return list(inside(parse_strategy(EVERY[name])))


def continues(name: str) -> list[str]:
    """The parts that continue a text, as an error would name them."""
    return [part.brief() for part in parts(name) if getattr(part, "continues", False)]


def asks(name: str) -> bool:
    """Whether a pruner or an aggregator asks the model something."""
    asking = [part for part in parts(name) if role_of(part) in ("pruner", "judge", "aggregator")]
    return any(getattr(part, "questions", ()) or getattr(part, "continues", False) for part in asking)


@pytest.mark.parametrize("role", TABLES)
def test_no_part_is_forgotten(role: str) -> None:
    known = {entry.name for entry in entries(ROLES[role]) if entry.built_in}
    assert set(TABLES[role]) == known, f"a new {role} needs a line in the table of its tests"
    for name, text in TABLES[role].items():
        strategy = parse_strategy(text)
        told = {"sampler": [strategy.sampler], "aggregator": [strategy.aggregator], "pruner": strategy.pruners}[role]
        assert name in {str(part).partition("(")[0] for part in told}


def words(name: str, file: Path) -> list[str]:
    asked = ["eval", "countdown", "--limit", "2", "--strategy", EVERY[name], "--run", str(file), "--json"]
    return [*asked, *at("reasoner", name)]


def at(address: str, name: str, *arguments: str) -> list[str]:
    """The command-line arguments that have the part work with the model there, under two names if it needs two."""
    models = ["a", "b"] if several(name) else [""]
    named = [word for model in models for word in ("--model", f"{model}={address}".lstrip("="))]
    told = [f"{model}.{argument}".lstrip(".") for model in models for argument in arguments]
    format = ["generic", "--max-tokens", "40"] if name in GENERIC else [f"{asked_reasoner.__file__}:ASKED"]
    return [*named, *(word for each in told for word in ("--backend-arg", each)), "--format", *format]


def several(name: str) -> bool:
    return "'b'" in EVERY[name]


def finished(name: str, file: Path) -> dict[str, Any]:
    done = CliRunner().invoke(app, words(name, file))
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@each
def test_killed_and_resumed_is_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    assert finished(name, whole)["errors"] == 0
    half = max(1, len(samples(whole)) // 2)
    command = [sys.executable, "-c", DYING, str(half), *words(name, broken)]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    with Store.read(broken) as store:
        assert {outcome.state for outcome in store.outcomes()} != {"done"}
    finished(name, broken)
    with Store.read(whole) as a, Store.read(broken) as b:
        assert compare(a, b) == []
        check_recount(b)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["text", "chat"])
@each
def test_on_a_server_that_takes_texts(name: str, dialect: str, llama_url: str, tmp_path: Path) -> None:
    where = at(llama_url, name, f"dialect={dialect}")
    found = evaluated("countdown", 2, EVERY[name], tmp_path / "a.db", *where)
    assert found["errors"] == 0
    with Store.read(tmp_path / "a.db") as store:
        store.check()
        assert any(outcome.samples for outcome in store.outcomes())
        assert sum(outcome.ledger.judging for outcome in store.outcomes()) > 0 or not asks(name)
        check_recount(store)


@pytest.mark.vllm
@pytest.mark.slow
@each
async def test_on_vllm(name: str, vllm_subject: Subject, tmp_path: Path) -> None:
    suite = load_suite("countdown", limit=2)
    logprobs = max(getattr(part, "logprobs", None) or 0 for part in parts(name))
    params = SamplingParams(max_tokens=60, logprobs=logprobs)
    format = formats.GENERIC if name in GENERIC else asked_reasoner.ASKED
    setting = setting_for(suite, vllm_subject.backend, format, params=params)
    if several(name):
        setting = replace(setting, model="a", others={"b": replace(setting, model="b")})
    with Store.begin(tmp_path / "a.db", {"strategy": EVERY[name]}, suite.problems) as store:
        await run(suite, parse_strategy(EVERY[name]), setting, store, concurrency=2)
    with Store.read(tmp_path / "a.db") as store:
        assert {outcome.state for outcome in store.outcomes()} == {"done"}
        assert sum(outcome.ledger.judging for outcome in store.outcomes()) > 0 or not asks(name)
        assert not [t for o in store.outcomes() for t in store.tree(o.problem.id).values() if t.finish == "error"]
        check_recount(store)
    assert vllm_subject.running() == 0


@pytest.mark.parametrize("name", sorted(filter(continues, EVERY)))
def test_a_server_that_only_chats_is_refused_where_a_text_is_continued(name: str, tmp_path: Path) -> None:
    with served(chat_only(Reply(chat("Yes."))), [{"id": "m"}]) as server:
        done = called("countdown", 2, EVERY[name], tmp_path / "a.db", *at(server.url, name))
        told = [each for each in server.attempts if "numbers" in json.dumps(each.body)]
    assert done.exit_code == 2
    [sentence] = [line for line in done.output.splitlines() if "warning" not in line]
    assert sentence.startswith(tuple(f"widthwise: {part.partition('(')[0]}" for part in continues(name)))
    assert "that can continue a text" in sentence or "needs log-probabilities" in sentence
    assert not told
    assert not (tmp_path / "a.db").exists()
