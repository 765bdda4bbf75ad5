"""The tables of benches that compare a method with a baseline are laid out by one piece of code."""

from __future__ import annotations

import json

import pytest

from bench import new_methods, tree_methods
from bench.paired_row import Gap, PairedRow, print_rows

GAP = Gap(30.0, 44.94, -14.94, -26.7, 3.0, 4216.4)
SHOWN = "30.0 | 44.9 | -14.9 (-26.7 to +3.0) | 4,216"
VOTE = "best_of_n(n=4) | majority_vote()"
ROWS: dict[str, tuple[tuple[str, ...], PairedRow, str]] = {
    "new": (
        new_methods.HEADS,
        new_methods.Row(GAP, "countdown", VOTE, "single()", "samples", 40, 216.4),
        rf"| countdown | `best_of_n(n=4) \| majority_vote()` | `single()` | samples | {SHOWN} | 216 |",
    ),
    "tree": (
        tree_methods.HEADS,
        tree_methods.Row(GAP, "countdown", True, 4, "dvts(n=4)", 60, 4.02),
        f"| countdown | yes | 4 | `dvts(n=4)` | {SHOWN} | 4.0 |",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_have_a_cell_for_each_head_and_the_same_figures(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    heads, row, shown = ROWS[name]
    print_rows(heads, [row], as_json=False)
    head, rule, line = capsys.readouterr().out.splitlines()
    assert line == shown
    assert head.count("|") == rule.count("|") == line.replace("\\|", "").count("|") == len(heads) + 1
    assert "| accuracy | baseline's | difference, points | tokens |" in head


@pytest.mark.parametrize("name", ROWS)
def test_as_json_a_row_is_one_flat_object(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    heads, row, _ = ROWS[name]
    print_rows(heads, [row, row], as_json=True)
    found, again = json.loads(capsys.readouterr().out)
    assert found == again
    assert (found["suite"], found["accuracy"], found["difference"], found["tokens"]) == (
        "countdown",
        30.0,
        -14.94,
        4216.4,
    )
