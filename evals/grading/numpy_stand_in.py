"""Stands in for numpy in the unit tests of code suites, which compare numbers with it: its source runs in the sandbox.

numpy itself cannot run there: its contents lead out of the sandbox. This module has what the tests of HumanEval+ and
MBPP+ use: ``allclose``, ``testing.assert_allclose``, and types that no value here has. It differs from numpy in one
point: a number is compared with every number of a list, but lists of different shapes are not broadcast; they are
different.
"""

import math


def allclose(a: object, b: object, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all numbers of ``a`` are within ``atol + rtol * |b|`` of those of ``b``."""
    (shape_a, xs), (shape_b, ys) = _flat(a), _flat(b)
    if shape_a and shape_b and shape_a != shape_b:
        raise ValueError(f"shapes {shape_a} and {shape_b} differ")
    pairs = zip(xs if shape_a else xs * len(ys), ys if shape_b else ys * len(xs), strict=True)
    return all(_close(x, y, rtol, atol, equal_nan) for x, y in pairs)


def _flat(value: object) -> tuple[tuple[int, ...], list[complex]]:
    """The shape of nested lists of numbers, and the numbers in their order."""
    if isinstance(value, (list, tuple)):
        parts = [_flat(part) for part in value]
        if any(shape != parts[0][0] for shape, _ in parts):
            raise ValueError("the parts of a list have different shapes")
        return (len(value), *(parts[0][0] if parts else ())), [x for _, numbers in parts for x in numbers]
    if not isinstance(value, (int, float, complex)):
        raise TypeError("only numbers and lists of them can be compared")
    return (), [value]


def _close(x: complex, y: complex, rtol: float, atol: float, equal_nan: bool) -> bool:
    if x == y:
        return True
    if x != x or y != y:
        return equal_nan and x != x and y != y
    difference = abs(x - y)
    return math.isfinite(difference) and difference <= atol + rtol * abs(y)


class _Never:
    """A type that no value has."""


class testing:
    @staticmethod
    def assert_allclose(a: object, b: object, rtol: float = 1e-07, atol: float = 0, equal_nan: bool = True) -> None:
        assert allclose(a, b, rtol, atol, equal_nan)


class numpy:
    ndarray = _Never
    float64 = float32 = _Never
    allclose = staticmethod(allclose)
    testing = testing
