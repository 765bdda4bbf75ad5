"""A real notebook: values on the last lines of cells, shown with their tables and figures."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

MISSING = [name for name in ("nbclient", "nbformat", "ipykernel") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed (extra docs)"),
]
SOURCES = Path(__file__).parents[1] / "src"

CELLS = {
    "import": "import widthwise as ww",
    "strategy": "ww.BestOfN(4) | ww.MajorityVote()",
    "result": "result = ww.solve('Compute (17 + 5) * 3 - 48.', ww.BestOfN(4) | ww.MajorityVote())\nresult",
    "trace": "result.traces[0]",
    "votes": "result.plot()",
    "async": "(await ww.solve_async('Compute 1 + 1.', 'single()', max_tokens=20)).ledger",
    "run": "run = ww.evaluate('best_of_n(n=2)', 'arithmetic', limit=2, max_tokens=40)\nrun",
    "frame": "run.to_pandas()",
    "curve": "ww.curve(run)",
    "sweep": "ww.sweep(['best_of_n()'], ['arithmetic'], [1, 2], limit=2, max_tokens=40)",
    "comparison": "ww.compare(run, run)",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The outputs of each cell."""
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(source) for source in CELLS.values()]
    book = nbformat.v4.new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SOURCES), prepend=os.pathsep)
        NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return {name: cell.outputs for name, cell in zip(CELLS, book.cells, strict=True)}


@pytest.mark.parametrize("cell", [name for name in CELLS if name != "import"])
def test_a_cell_shows_its_value_in_one_line(shown: dict[str, list[Any]], cell: str) -> None:
    [value] = [each for each in shown[cell] if each.output_type == "execute_result"]
    if cell != "frame":
        assert len(value.data["text/plain"]) < 300
        assert "\n" not in value.data["text/plain"]


@pytest.mark.parametrize("cell", ["result", "trace", "async", "run", "curve", "sweep", "comparison"])
def test_a_cell_shows_tables(shown: dict[str, list[Any]], cell: str) -> None:
    [value] = [each for each in shown[cell] if each.output_type == "execute_result"]
    page = value.data["text/html"]
    assert ("<table>" in page) == (cell != "trace")
    assert ("data:image/png" in page) == (cell in ("result", "run", "curve", "sweep", "comparison"))


def test_a_figure_is_shown_without_having_been_asked_for(shown: dict[str, list[Any]]) -> None:
    [value] = [each for each in shown["votes"] if each.output_type == "execute_result"]
    assert "image/png" in value.data


def test_a_strategy_is_shown_as_its_text(shown: dict[str, list[Any]]) -> None:
    assert shown["strategy"][0].data["text/plain"] == "best_of_n(n=4) | majority_vote()"
