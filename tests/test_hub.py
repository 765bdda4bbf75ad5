"""An unreachable hub: noticed at once, without endless retries."""

import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from widthwise.backends import hub
from widthwise.backends.tokenizers.files import folder_of
from widthwise.cli.app import app
from widthwise.core.errors import BackendError, UsageError
from widthwise.evals.suites.suites import load_suite
from widthwise.evaluation import check_before
from widthwise.settings import RunSettings

ROWS = [{"problem_idx": 1, "problem": "?", "answer": 70}]


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No earlier knowledge of the hub, and nothing downloaded."""
    monkeypatch.setattr(hub, "_known", set())
    monkeypatch.setattr(hub, "_silent", {})
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that accepts the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield


@pytest.fixture
def unresolved(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A name server that never answers in time."""
    done = threading.Event()

    def lookup(*_: Any, **__: Any) -> Any:
        done.wait(60)
        raise OSError("no name server")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    yield
    done.set()


@pytest.fixture(params=["silent", "unresolved"])
def gone(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


def test_a_suite_is_looked_for_in_the_cache_only(gone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def load_dataset(*_: Any, **__: Any) -> Any:
        asked.append(constants.HF_HUB_OFFLINE and datasets.config.HF_HUB_OFFLINE)
        raise ConnectionError("not in the cache")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(UsageError, match=r"does not answer, and it was not downloaded before\); .*--data FILE"):
        load_suite("aime2025")
    assert asked == [True], "the library tries nothing that takes half a minute"
    assert not datasets.config.HF_HUB_OFFLINE, "the next suite is asked for anew"
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: ROWS)
    assert len(load_suite("aime2025").problems) == 1, "what was downloaded before is used"


def test_the_real_library_gives_up_at_once(gone: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(UsageError, match="--data FILE"):
        load_suite("aime2025")
    assert "does not answer: using only what was downloaded before" in caplog.text
    assert "Retry" not in caplog.text


def test_a_hub_that_answers_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Session:
        def head(self, address: str, timeout: float) -> None:
            asked.append(address)

    monkeypatch.setattr("huggingface_hub.get_session", Session)
    assert hub.hub_answers()
    assert hub.hub_answers()
    assert asked == [constants.ENDPOINT]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not hub.hub_answers()
    assert "HF_HUB_OFFLINE is set" in hub.why_not()


def test_one_that_is_silent_is_asked_once(silent: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not any(hub.hub_answers() for _ in range(3))
    assert caplog.text.count("does not answer") == 1


def test_models(gone: None, tmp_path: Path) -> None:
    assert folder_of("Qwen/Qwen3-8B") is None
    with pytest.raises(BackendError, match=r"Qwen/Qwen3-8B is not a folder here.*does not answer.*give the path"):
        hub.check_reachable("Qwen/Qwen3-8B")
    hub.check_reachable(str(tmp_path))
    hub.check_reachable("s3://bucket/model")


@pytest.mark.parametrize(
    "command",
    [
        ["eval", "aime2025", "--model", "vllm:Qwen/Qwen3-8B"],
        ["eval", "aime2025", "--reward-model", "vllm:Qwen/Qwen2.5-Math-PRM-7B"],
        ["sweep", "--suite", "aime2025", "--model", "vllm:Qwen/Qwen3-8B", "--strategy", "single()"],
    ],
)
def test_a_missing_package_is_said_before_the_hub_is_asked(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def load_dataset(*_: Any, **__: Any) -> Any:
        asked.append("a suite")
        return ROWS

    monkeypatch.setattr("widthwise.backends.vllm.options.importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(hub, "_ask", lambda endpoint, event: (asked.append(endpoint), event.set()))
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "needs vLLM" in result.stderr
    assert asked == []


def test_runs_that_may_be_finished_are_looked_at_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("widthwise.backends.vllm.options.importlib.util.find_spec", lambda name: None)
    settings = RunSettings(model="vllm:Qwen/Qwen3-8B")
    for name, run in (("aime2025", None), ("math500", tmp_path / "mine.db")):
        with pytest.raises(BackendError, match="needs vLLM"):
            check_before(name, settings, run)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "aime2025-Qwen3_8B-best_of_n-0.db").touch()
    (tmp_path / "mine.db").touch()
    check_before("aime2025", settings)
    check_before("math500", settings, tmp_path / "mine.db")
    with pytest.raises(BackendError, match="needs vLLM"):
        check_before("math500", settings)
