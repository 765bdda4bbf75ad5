"""The checkpoints of real families, made once a session."""

from __future__ import annotations

import pytest

from tests.families.checkpoints import Checkpoints, maker


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """``checkpoints("qwen3")`` is the folder of a tiny checkpoint; skips where its tokenizer cannot be had."""
    return maker(tmp_path_factory.mktemp("families"))
