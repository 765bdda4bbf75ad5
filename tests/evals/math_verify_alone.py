"""math-verify by itself on (gold, prediction) pairs: a JSON list on stdin, a line [bare, dollars] a pair on stdout.

A pair that takes longer than a few seconds ends the process (SIGALRM).
"""

import json
import logging
import signal
import sys

from math_verify import parse, verify

SECONDS = 4


def agrees(gold: str, prediction: str) -> bool:
    gold_read, prediction_read = (parse(text, parsing_timeout=None) for text in (gold, prediction))
    return bool(verify(gold_read, prediction_read, timeout_seconds=None))


def in_dollars(text: str) -> str:
    return text if any(mark in text for mark in ("$", "\\(", "\\[", "\\boxed")) else f"${text}$"


def main() -> None:
    logging.disable(logging.CRITICAL)
    for gold, prediction in json.load(sys.stdin):
        signal.alarm(SECONDS)
        verdicts = [agrees(gold, prediction), agrees(in_dollars(gold), in_dollars(prediction))]
        signal.alarm(0)
        print(json.dumps(verdicts), flush=True)


if __name__ == "__main__":
    main()
