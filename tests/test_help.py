"""Help texts are for people: values are named in words."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.core.registry import entries
from widthwise.core.roles import ROLES

COMMANDS = sorted({entry.name for entry in entries(ROLES["command"])})


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_shows_a_type_of_python(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], terminal_width=120)
    assert shown.exit_code == 0, shown.output
    assert not re.search(r"<(str|int|float|path|list|bool)\b|list\[|PosixPath|\bNone\b", shown.output)


def test_options_that_say_nothing_have_a_word_for_their_kind() -> None:
    shown = " ".join(CliRunner().invoke(app, ["curve", "--help"], terminal_width=120).output.split())
    assert "--seed N Seed of the resampling" in shown
    assert "--out FILE Draw a figure" in shown
    assert "--axis TEXT samples, tokens" in shown
    assert "runs... Run files, or recorded generations" in shown
