"""Whether two answers mean the same: by looking where that is enough, else by asking a grading worker.

A comparison is a generator that yields the checks it needs and is sent their verdicts, so that one text serves
synchronous and asynchronous callers.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from functools import cache, lru_cache

from widthwise.evals.grading.normalisation import MAX_CHARS, normalise
from widthwise.evals.grading.numerals import read_numeral, same_number
from widthwise.evals.grading.structure import Collection, is_words, read_collection, read_time, same_time
from widthwise.evals.grading.workers import Check, Workers

Comparison = Generator[Check, bool, bool]

MAX_CHECKS = 12
"""Checks that one comparison may ask for; a collection that needs more is judged as a whole."""
_MAX_DEPTH = 3

_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_IN_BASE = re.compile(r"[0-9A-Z]+_\d+")


@cache
def workers() -> Workers:
    """The pool that all graders of this process share."""
    return Workers()


def decide(comparison: Comparison) -> bool:
    """Run a comparison to its end, waiting for the workers."""
    try:
        check = next(comparison)
        for _ in range(MAX_CHECKS):
            check = comparison.send(workers().check(check))
        while True:
            comparison.send(False)
    except StopIteration as end:
        return bool(end.value)


async def decide_async(comparison: Comparison) -> bool:
    """Run a comparison to its end without blocking the event loop."""
    try:
        check = next(comparison)
        for _ in range(MAX_CHECKS):
            check = comparison.send(await workers().check_async(check))
        while True:
            comparison.send(False)
    except StopIteration as end:
        return bool(end.value)


@lru_cache(maxsize=200_000)
def settled(gold: str, prediction: str) -> bool | None:
    """The verdict where no algebra is needed, None where it is; symmetric."""
    a, b = normalise(gold), normalise(prediction)
    if not a or not b:
        return False
    if a == b:
        return True
    numbers = read_numeral(gold), read_numeral(prediction)
    if numbers[0] and numbers[1]:
        return same_number(numbers[0], numbers[1])
    times = read_time(gold), read_time(prediction)
    if times[0] and times[1]:
        return same_time(times[0], times[1])
    if _DECIMAL_COMMA.fullmatch(a) or _DECIMAL_COMMA.fullmatch(b):
        return a.replace(",", ".") == b.replace(",", ".") or None
    plain = (is_words(gold) or numbers[0] is not None, is_words(prediction) or numbers[1] is not None)
    if all(plain) or (_IN_BASE.fullmatch(a) and _IN_BASE.fullmatch(b)):
        return False
    return None


def compare(gold: str, prediction: str, depth: int = 0) -> Comparison:
    """Whether the two mean the same; symmetric but for what math-verify makes of it."""
    if len(gold) > MAX_CHARS or len(prediction) > MAX_CHARS:
        return gold.strip() == prediction.strip()
    verdict = settled(gold, prediction)
    if verdict is not None:
        return verdict
    if depth < _MAX_DEPTH:
        a, b = read_collection(gold), read_collection(prediction)
        if a and b and (yield from compare_collections(a, b, depth + 1)):
            return True
    return (yield Check("equal", gold, prediction))


def compare_collections(gold: Collection, prediction: Collection, depth: int = 1) -> Comparison:
    """Item by item: in order for tuples and intervals of equal brackets, in any order for sets and bare lists."""
    if len(gold.items) != len(prediction.items):
        return False
    if not gold.ordered and not prediction.ordered:
        return (yield from _same_items(gold.items, prediction.items, depth))
    if gold.ordered and prediction.ordered and gold.brackets != prediction.brackets:
        return False
    for one, other in zip(gold.items, prediction.items, strict=True):
        if not (yield from compare(one, other, depth)):
            return False
    return True


def _same_items(gold: Sequence[str], prediction: Sequence[str], depth: int) -> Comparison:
    """Whether the items can be paired off, the obvious pairs first."""
    missing, left = [], list(prediction)
    for item in gold:
        match = next((other for other in left if settled(item, other)), None)
        if match is None:
            missing.append(item)
        else:
            left.remove(match)
    if len(missing) ** 2 > MAX_CHECKS:
        return False
    for item in missing:
        for other in left:
            if (yield from compare(item, other, depth)):
                left.remove(other)
                break
        else:
            return False
    return True
