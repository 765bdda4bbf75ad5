"""What math-verify alone says of texts and reference answers, to compare graders with.

math-verify evaluates what it reads, so it works in a separate process, within limits of time and memory; a pair that
ends the process has no verdict.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from widthwise.core.errors import UsageError
from widthwise.core.installation import install_command

_PROGRAM = Path(__file__).with_name("math_verify_alone.py")
_PATIENCE = 600.0
"""Seconds that one process may take for all its pairs; each pair also has its own limit of a few seconds."""


def math_verify(pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
    """Whether math-verify finds each (reference answer, text) pair right; None if it came to no verdict.

    A reference answer without formula marks is put into dollars, as math-verify's documentation asks. Raises UsageError
    if math-verify is not installed.
    """
    if find_spec("math_verify") is None:
        raise UsageError(f"math-verify is not installed: {install_command('math-verify')}")
    verdicts: list[bool | None] = []
    while len(verdicts) < len(pairs):
        found, ended = _some(pairs[len(verdicts) :])
        verdicts += found
        if ended:  # on the pair after those
            verdicts.append(None)
    return verdicts


def _some(pairs: Sequence[tuple[str, str]]) -> tuple[list[bool | None], bool]:
    """The verdicts of one process, and whether it ended before the last pair."""
    request = json.dumps(list(pairs))
    try:
        done = subprocess.run(
            [sys.executable, str(_PROGRAM)], input=request, capture_output=True, text=True, timeout=_PATIENCE
        )
        said = done.stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
    verdicts: list[bool | None] = [json.loads(line) for line in said.splitlines()]
    return verdicts, len(verdicts) < len(pairs)
