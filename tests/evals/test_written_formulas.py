"""Random formulas, written in several ways, against a separate floating-point evaluator."""

import cmath
import math
from dataclasses import dataclass
from typing import TypeAlias

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from widthwise.evals.grading.equality import compare


@dataclass(frozen=True)
class Op:
    name: str
    args: tuple["Formula", ...]


Formula: TypeAlias = int | str | Op

_LEAVES = st.integers(1, 12) | st.sampled_from(["x", "y", "n"])


def _grown(children: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    binary = st.builds(lambda name, a, b: Op(name, (a, b)), st.sampled_from(["+", "-", "*", "/"]), children, children)
    power = st.builds(lambda a, k: Op("^", (a, k)), children, st.integers(2, 3))
    unary = st.builds(lambda name, a: Op(name, (a,)), st.sampled_from(["sqrt", "sin", "neg", "exp"]), children)
    return binary | power | unary


FORMULAS = st.recursive(_LEAVES, _grown, max_leaves=6)
_NEGATIVE = ({"x": -0.7, "y": -1.3, "n": 2.1}, {"x": -2.2, "y": 0.4, "n": 0.9}, {"x": 1.1, "y": -3.1, "n": 1.7})
"""Points at which even roots differ from their radicands; not every formula has a value there, and n counts."""
_POINTS = ({"x": 0.7, "y": 1.3, "n": 2.1}, {"x": 2.2, "y": 0.4, "n": 0.9}, {"x": 1.1, "y": 3.1, "n": 1.7})


def _value(formula: Formula, at: dict[str, float]) -> complex:
    if isinstance(formula, int):
        return formula
    if isinstance(formula, str):
        return at[formula]
    values = [_value(argument, at) for argument in formula.args]
    if formula.name in ("sin", "exp") and abs(values[0]) > 30:
        raise OverflowError("what is so large is not decided within the grader's precision")
    match formula.name, values:
        case "+", [a, b]:
            return a + b
        case "-", [a, b]:
            return a - b
        case "*", [a, b]:
            return a * b
        case "/", [a, b]:
            return a / b
        case "^", [a, b]:
            return a**b
        case "sqrt", [a]:
            if a.imag or a.real < 0:
                raise ZeroDivisionError("no real root")
            return cmath.sqrt(a)
        case "sin", [a]:
            return cmath.sin(a)
        case "exp", [a]:
            return cmath.exp(a)
        case "neg", [a]:
            return -a
    raise AssertionError(formula)


def _values(formula: Formula) -> list[complex]:
    """Rejects formulas whose values at the points are not plain numbers."""
    try:
        found = [_value(formula, at) for at in _POINTS]
    except (ZeroDivisionError, OverflowError):
        assume(False)
    assume(all(cmath.isfinite(v) and abs(v.imag) < 1e-9 and 1e-6 < abs(v) < 1e9 for v in found))
    return found


def _latex(formula: Formula) -> str:
    if not isinstance(formula, Op):
        return str(formula)
    args = [_latex(argument) for argument in formula.args]
    inner = [f"\\left({a}\\right)" if isinstance(f, Op) else a for a, f in zip(args, formula.args, strict=True)]
    match formula.name:
        case "+" | "-":
            return f"{args[0]} {formula.name} {inner[1]}"
        case "*":
            return f"{inner[0]} \\cdot {inner[1]}"
        case "/":
            return f"\\frac{{{args[0]}}}{{{args[1]}}}"
        case "^":
            return f"{inner[0]}^{{{args[1]}}}"
        case "sqrt":
            return f"\\sqrt{{{args[0]}}}"
        case "sin":
            return f"\\sin\\left({args[0]}\\right)"
        case "exp":
            return f"e^{{{args[0]}}}"
        case _:
            return f"-{inner[0]}" if isinstance(formula.args[0], Op) else f"\\left(-{args[0]}\\right)"


def _plain(formula: Formula) -> str:
    if not isinstance(formula, Op):
        return str(formula)
    args = [_plain(argument) for argument in formula.args]
    match formula.name:
        case "sqrt" | "sin" | "exp":
            return f"{formula.name}({args[0]})"
        case "neg":
            return f"(-({args[0]}))"
        case "^":
            return f"({args[0]})**{args[1]}"
        case _:
            return f"(({args[0]}) {formula.name} ({args[1]}))"


def _expanded(formula: Formula) -> Formula:
    """The same formula written differently: sums reversed, quotients as products, squares as products."""
    if not isinstance(formula, Op):
        return formula
    args = tuple(_expanded(argument) for argument in formula.args)
    match formula.name:
        case "+" | "*":
            return Op(formula.name, args[::-1])
        case "-":
            return Op("+", (Op("neg", (args[1],)), args[0]))
        case "/":
            return Op("*", (Op("/", (1, args[1])), args[0]))
        case "^":
            return Op("*", (args[0],) * 2) if args[1] == 2 else Op("^", args)
    return Op(formula.name, args)


def _elsewhere(a: Formula, b: Formula) -> list[tuple[complex, complex]]:
    """The values of both at the points with negative numbers; rejects pairs if only one of them has a value there."""
    pairs = [(_plain_value(a, at), _plain_value(b, at)) for at in _NEGATIVE]
    assume(all((x is None) == (y is None) for x, y in pairs))
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _plain_value(formula: Formula, at: dict[str, float]) -> complex | None:
    """The value as a plain number; None if there is none."""
    try:
        value = _value(formula, at)
    except (ZeroDivisionError, OverflowError):
        return None
    return value if cmath.isfinite(value) and abs(value.imag) < 1e-9 and abs(value) < 1e9 else None


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(FORMULAS)
def test_every_way_of_writing_a_formula_is_the_same(formula: Formula) -> None:
    _values(formula)
    written = [_latex(formula), _plain(formula), _latex(_expanded(formula)), _plain(_expanded(formula))]
    assert {compare(written[0], other).outcome for other in written} == {"same"}, written


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(FORMULAS, FORMULAS)
def test_formulas_are_the_same_only_if_their_values_are(a: Formula, b: Formula) -> None:
    pairs = list(zip(_values(a), _values(b), strict=True))
    same = all(math.isclose(x.real, y.real, rel_tol=1e-9) for x, y in [*pairs, *_elsewhere(a, b)])
    assert (compare(_latex(a), _plain(b)).outcome == "same") == same


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(FORMULAS, st.integers(1, 9))
def test_a_formula_that_was_changed_is_another(formula: Formula, by: int) -> None:
    _values(formula)
    for changed in (Op("+", (formula, by)), Op("neg", (formula,)), Op("*", (formula, by + 1))):
        assert compare(_latex(formula), _latex(changed)).outcome != "same"
