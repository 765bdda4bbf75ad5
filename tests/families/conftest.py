"""The checkpoints of real families, created once per session."""

from __future__ import annotations

import pytest

from tests.families.checkpoints import Checkpoints, maker


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """``checkpoints("qwen3")`` is the folder of a tiny checkpoint; skips the test if its tokenizer is unavailable."""
    return maker(tmp_path_factory.mktemp("families"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """SmolLM2's tokenizer is a GGUF file; transformers, which vLLM installs, reads it. So its tests need ``vllm``."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if "checkpoints" in getattr(item, "fixturenames", ()) and "smollm2" in parameters.values():
            item.add_marker("vllm")
