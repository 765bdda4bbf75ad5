"""The page of the command line, as typer writes it from the commands themselves."""

from __future__ import annotations

import re
import subprocess
import sys


def command_line_page() -> str:
    """Every command with its arguments, options and defaults."""
    command = [sys.executable, "-m", "typer", "widthwise.cli.app", "utils", "docs", "--name", "widthwise"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # A command's line in the list leads to its section; arguments, whose lines look alike, have none.
    commands = "|".join(re.findall(r"^## `widthwise (\w+)`", text, flags=re.MULTILINE))
    text = re.sub(rf"^\* `({commands})`:", r"* [`\1`](#widthwise-\1):", text, flags=re.MULTILINE)
    return text.replace("# `widthwise`", "# Command line", 1)
