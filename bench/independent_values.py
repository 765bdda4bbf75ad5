"""Whether two answers differ in value, computed by SymPy and not by this package: to check the grader's test cases.

A JSON list of [one, other, relative, absolute] on stdin; one line ``"different"``, ``"equal"`` or ``"unknown"`` per
entry on stdout. A pair that takes more than a few seconds of processor time ends the process, which its caller starts
again.
"""

from __future__ import annotations

import json
import logging
import resource
import signal
import sys
import zlib
from fractions import Fraction
from typing import Any

import sympy
from math_verify import parse

SECONDS = 3
_MEMORY = 3 << 30
_POINTS = 3


def number(text: str) -> Fraction | None:
    """A plain number, exactly."""
    try:
        return Fraction(text.replace(",", "").strip(" $"))
    except (ValueError, ZeroDivisionError):
        return None


def values(thing: Any, point: int) -> Any:
    """The values of an expression or of a collection of them at one of a few fixed points, as nested lists."""
    if isinstance(thing, sympy.MatrixBase):
        return ["matrix", *thing.shape, *(values(item, point) for item in thing)]
    if isinstance(thing, sympy.Interval):
        ends = [values(thing.start, point), values(thing.end, point)]
        return ["interval", *ends, bool(thing.left_open), bool(thing.right_open)]
    if isinstance(thing, sympy.Rel):
        left, right = (values(side, point) for side in (thing.lhs, thing.rhs))
        return [type(thing).__name__, left, right]
    if isinstance(thing, sympy.FiniteSet):
        return ["set", *sorted((values(item, point) for item in thing.args), key=repr)]
    if isinstance(thing, sympy.Expr):
        names = sorted(thing.free_symbols, key=str)
        at = {name: 0.4 + zlib.crc32(f"{name} {point}".encode()) / 2**32 for name in names}
        return complex(sympy.N(thing.doit().subs(at), 30))
    if isinstance(thing, sympy.Basic) and thing.args:
        return [type(thing).__name__, *(values(item, point) for item in thing.args)]
    return str(thing)


def differ(one: Any, other: Any, relative: float, absolute: float) -> bool:
    if isinstance(one, complex) and isinstance(other, complex):
        return abs(one - other) > max(1e-9 * max(1.0, abs(one)), 3 * relative * abs(one), 3 * absolute)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) != len(other) or any(differ(a, b, relative, absolute) for a, b in zip(one, other, strict=True))
    return bool(one != other)


def verdict(one: str, other: str, relative: float, absolute: float) -> str:
    plain = number(one), number(other)
    if plain[0] is not None and plain[1] is not None:
        apart = abs(plain[0] - plain[1])
        return "different" if apart > 3 * max(Fraction(relative) * abs(plain[0]), Fraction(absolute)) else "equal"
    read = [parse(f"${text}$", parsing_timeout=None) for text in (one, other)]
    if not all(found and isinstance(found[0], sympy.Basic | sympy.MatrixBase) for found in read):
        return "unknown"
    at_points = [(values(read[0][0], p), values(read[1][0], p)) for p in range(_POINTS)]
    return "different" if any(differ(a, b, relative, absolute) for a, b in at_points) else "equal"


def main() -> None:
    logging.disable(logging.CRITICAL)
    pairs = json.load(sys.stdin)
    verdict("x", "$1$", 0, 0)  # loads the grammar before the clock runs
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    for pair in pairs:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            said = verdict(*pair)
        except Exception:  # what SymPy cannot evaluate is not verified
            said = "unknown"
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
