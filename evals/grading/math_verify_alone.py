"""math-verify by itself: a JSON list of (reference answer, text) pairs on stdin, ``true`` or ``false`` per line out.

Run by :mod:`widthwise.evals.grading.second_opinion` as a script. A pair that takes more than a few seconds of processor
time, or too much memory, ends the process.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys

SECONDS = 4
_MEMORY = 2 << 30
_MARKS = ("$", "\\(", "\\[", "\\boxed")


def agrees(gold: str, text: str) -> bool:
    """Whether math-verify calls ``text`` right."""
    from math_verify import parse, verify

    marked = gold if any(mark in gold for mark in _MARKS) else f"${gold}$"
    read = (parse(marked, parsing_timeout=None), parse(text, parsing_timeout=None))
    return bool(verify(*read, timeout_seconds=None))


def main() -> None:
    """Answer all pairs on stdin."""
    logging.disable(logging.CRITICAL)
    pairs = json.load(sys.stdin)
    agrees("1", "$1$")  # loads the grammar before the clock runs
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    for gold, text in pairs:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            verdict = agrees(gold, text)
        except Exception:  # a hostile string may provoke anything: math-verify has then not found it right
            verdict = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(verdict), flush=True)


if __name__ == "__main__":
    main()
