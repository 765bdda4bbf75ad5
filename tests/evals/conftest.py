"""Where the shared test data is."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared test data; tests that need it are skipped if it is missing."""
    folder = Path(os.environ.get("WIDTHWISE_SHARED", REPOSITORY.parent / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("the shared test data is not here: set WIDTHWISE_SHARED to the folder that holds data/")
    return folder
