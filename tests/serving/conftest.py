"""Skips the server's tests if its extra is not installed."""

import importlib.util

import pytest

NEEDED = ("starlette", "uvicorn", "prometheus_client")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install '.[serve]'")
