"""The program inside a grading worker: answers checks with math-verify, one after the other.

Run by :mod:`widthwise.evals.grading.workers` as a script, so that it imports nothing but math-verify. Requests and
replies are JSON objects after a four-byte big-endian length, on stdin and stdout. The parent kills the process
when a check runs over its time; the processor-time alarm below does so even when the parent is gone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import zlib
from functools import lru_cache
from typing import Any, BinaryIO

HEADER_BYTES = 4
_MARKS = ("$", "\\(", "\\[", "\\boxed")


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    """The next message of ``stream``; None at its end."""
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    size = int.from_bytes(header, "big")
    body = stream.read(size)
    if len(body) < size:
        return None
    message: dict[str, Any] = json.loads(body)
    return message


def write_message(stream: BinaryIO, message: dict[str, Any]) -> None:
    """Send ``message``; raises OSError when nobody listens any more."""
    body = json.dumps(message).encode()
    stream.write(len(body).to_bytes(HEADER_BYTES, "big") + body)
    stream.flush()


@lru_cache(maxsize=1_000)
def _readings(text: str) -> list[Any]:
    """What math-verify reads in ``text``: expressions first, then the plain string it fell back to."""
    from math_verify import parse

    if any(mark in text for mark in _MARKS):
        return list(parse(text, parsing_timeout=None))
    found = list(parse(f"${text}$", parsing_timeout=None))
    return found if _expressions(found) else list(parse(text, parsing_timeout=None))


def _expressions(readings: list[Any]) -> list[Any]:
    return [reading for reading in readings if not isinstance(reading, str)]


def _equal(request: dict[str, Any]) -> bool:
    """Equal read either way round: math-verify alone takes ``11a+c`` for ``7 = 11a+c`` in one direction only."""
    from math_verify import verify

    gold, prediction = _readings(request["gold"]), _readings(request["prediction"])
    if _differ_in_value(_expressions(gold)[:1], _expressions(prediction)[:1]):
        return False
    return all(
        verify(one, other, timeout_seconds=None, allow_set_relation_comp=True)
        for one, other in ((gold, prediction), (prediction, gold))
    )


def _differ_in_value(gold: list[Any], prediction: list[Any]) -> bool:
    """Whether two formulas clearly differ at a point: saves the long search for a proof that they are equal.

    False where that cannot be told: no values, other variables, percentages, and lone symbols, which may be words.
    """
    import sympy

    pair = [*gold, *prediction]
    if len(pair) < 2 or any(
        not isinstance(side, sympy.Expr) or side.is_Symbol or side.has(sympy.UnevaluatedExpr) for side in pair
    ):
        return False
    a, b = (_value_at_a_point(side) for side in pair)
    return a is not None and b is not None and bool(abs(a - b) > 1e-3 * max(1, abs(a), abs(b)))


@lru_cache(maxsize=1_000)
def _value_at_a_point(expression: Any) -> complex | None:
    """The value where every variable has a value of its own, derived from its name."""
    point = {s: 0.6 + zlib.crc32(str(s).encode()) / 2**32 for s in expression.free_symbols}
    try:
        value = complex(expression.doit().evalf(subs=point))
    except Exception:  # not every formula has a value
        return None
    return value if abs(value) < 1e12 else None


def _close(request: dict[str, Any]) -> bool:
    """Both are numbers, and no further apart than the tolerance."""
    values = [_number(request["gold"]), _number(request["prediction"])]
    if None in values:
        return False
    gold, prediction = values
    return bool(abs(gold - prediction) <= max(request["absolute"], request["relative"] * abs(gold)))


def _number(text: str) -> Any:
    for reading in _expressions(_readings(text)):
        with contextlib.suppress(Exception):
            value = getattr(reading, "rhs", reading).doit().evalf()
            if value.is_number and value.is_finite:
                return value
    return None


def _parses(request: dict[str, Any]) -> bool:
    """Can be read; evaluated too, so that a text that no worker survives shows here."""
    found = _expressions(_readings(request["gold"]))
    for reading in found:
        with contextlib.suppress(Exception):
            reading.doit().evalf()
    return bool(found)


_CHECKS = {"equal": _equal, "close": _close, "parses": _parses}


def _verdict(request: dict[str, Any]) -> bool:
    try:
        return _CHECKS[request["kind"]](request)
    except Exception:  # whatever a hostile string provokes inside the parser or the algebra, it is no agreement
        return False


def _limit_memory(size: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not everywhere, and a lower limit may stand already
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(seconds: float) -> None:
    """Let the system end this process after ``seconds`` of processor time; 0 calls it off."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    while (request := read_message(requests)) is not None:
        _limit_time(request["cpu_seconds"])
        verdict = _verdict(request)
        _limit_time(0)
        write_message(replies, {"verdict": verdict})


def main() -> None:
    """Serve until stdin ends; the only argument is the memory limit in bytes."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a stray print must not corrupt the replies
    logging.disable(logging.CRITICAL)
    _verdict({"kind": "equal", "gold": "\\frac{1}{2}", "prediction": "0.5x"})  # loads the grammar before the clock runs
    import math_verify  # noqa: F401 - fails loudly here when it is not installed

    _limit_memory(int(sys.argv[1]))
    with contextlib.suppress(OSError):
        write_message(replies, {"ready": True})
        _serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
