"""The values of a formula: one if it has no variables, else one at each of a few fixed points.

Formulas whose values agree are equal: at 48 digits, and at points that include reals, integers and both signs,
agreement by chance is out of the question. Functions that are only names (``f``, a derivative, an integral) get values
drawn from their names and arguments, so that they agree where those agree.
"""

from __future__ import annotations

import hashlib
import math
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from widthwise.evals.grading import quantities
from widthwise.evals.grading.quantities import TooLarge, Undefined, Value, mp
from widthwise.evals.grading.terms import (
    BOUND,
    CONSTANTS,
    MARK,
    Node,
    Number,
    Symbol,
    Term,
    symbols,
    variables,
    walk,
    words,
)

POINTS = 8
"""How many points formulas are compared at: small, larger, negative and mixed reals, and four consecutive integers."""
FIRST_INTEGER = 4
MANY_POINTS = 20
"""With more integers, six consecutive ones and six up to a million, for formulas that change in steps."""
MAX_COST = 6_000
"""Operations that one evaluation may take."""

_INTEGRAL_BITS = 200
_INFINITE = Symbol(MARK + "infinity")
_STEPS = frozenset(("floor", "ceil", "mod"))
OF_INTEGERS = frozenset(("gcd", "lcm"))
_LOCK = threading.Lock()
"""Needed because some functions change the precision of mpmath's context while they run."""

Point = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a formula at the points, None where it is undefined; a single value without variables.

    ``lost`` holds the numbers of points where there may be a value that could not be computed.
    """

    found: tuple[Value | None, ...]
    lost: frozenset[int] = frozenset()

    @property
    def constant(self) -> bool:
        return len(self.found) == 1


def values_of(node: Node, points: int | None = None) -> Values:
    """Raises TooLarge if the values cannot be computed, Undefined if there are none."""
    names = tuple(sorted(variables(node)))
    count = 1 if not names else points or (MANY_POINTS if is_stepped(node) else POINTS)
    real = bool(names) and "i" not in symbols(node)
    lost: list[int] = []
    with _LOCK:
        found = tuple(_value(node, point(names, n), real, n, lost) for n in range(count))
    if len(lost) == len(found):
        raise TooLarge("nowhere computed")
    if all(value is None for value in found) and not lost:
        raise Undefined("nowhere defined")
    return Values(found, frozenset(lost))


def is_stepped(node: Node) -> bool:
    """Whether a formula has so few values that more points are needed to tell it from another."""
    return any(isinstance(part, Term) and part.head in _STEPS for part in walk(node))


def _value(node: Node, at: Point, real: bool, number: int, lost: list[int]) -> Value | None:
    try:
        return Evaluation(at, real).of(node)
    except Undefined:
        return None
    except (ArithmeticError, ValueError, MemoryError):
        lost.append(number)
        return None


def point(names: tuple[str, ...], number: int) -> dict[str, Fraction]:
    return {name: _coordinate(name, number) for name in names}


@lru_cache(maxsize=10_000)
def _coordinate(name: str, number: int) -> Fraction:
    """The value of a variable at a point; the small integers cover all remainders modulo 2, 3 and 4."""
    in_a_row = FIRST_INTEGER <= number < POINTS + 6
    rng = random.Random(name if in_a_row else f"{name} {number}")
    if number >= POINTS + 6:
        return Fraction(rng.randrange(10 ** (1 + number % 5), 10 ** (2 + number % 5)))
    if in_a_row:
        return Fraction(rng.randrange(2, 6) + number - FIRST_INTEGER)
    fraction = Fraction(rng.randrange(10_007, 99_991), 100_003)
    sign = -1 if number == 2 or (number == 3 and rng.random() < 0.5) else 1
    return fraction if number == 0 else sign * (fraction * 3 + 1)


class Evaluation:
    """One evaluation at one point; counts what it costs."""

    def __init__(self, at: Point, real: bool) -> None:
        self._at = at
        self._real = real
        self._cost = 0
        self._angle = False

    def of(self, node: Node) -> Value:
        self._cost += 1
        if self._cost > MAX_COST:
            raise TooLarge("too many operations")
        if isinstance(node, Number):
            return node.value
        if isinstance(node, Symbol):
            return self._named(node.name)
        value = self._term(node)
        if self._real and isinstance(value, mp.mpc):
            raise Undefined("not real")
        return value

    def _named(self, name: str) -> Value:
        if name in CONSTANTS:
            return {"pi": +mp.pi, "e": +mp.e, "i": mp.mpc(0, 1)}[name]
        return self._at[name] if name in self._at else drawn(name)

    def _term(self, node: Term) -> Value:
        head, args = node.head, node.args
        if head in _ARITHMETIC:
            return self._folded(_ARITHMETIC[head], args)
        if head == "integral" and len(args) == 3:
            return self._integral(*args)
        if head in OF_INTEGERS and variables(node):  # a few points say little about them
            return drawn(head, *sorted(self._fingerprint(a) for a in args))
        if head in ("call", "integral", "limit"):
            return drawn(head, *(self._fingerprint(a) for a in args))
        if head in ("sum", "prod"):
            return self._series(head, args)
        if head == "deg":
            return self._degrees(args[0])
        function = _FUNCTIONS.get(head)
        if function is None:
            raise TooLarge(f"no value is known of {head}")
        angle, self._angle = self._angle, self._angle or head in _OF_ANGLES
        found = [self.of(argument) for argument in args]
        self._angle = angle
        return function(*found)

    def _folded(self, operation: Callable[[Value, Value], Value], args: tuple[Node, ...]) -> Value:
        total = self.of(args[0])
        for argument in args[1:]:
            total = operation(total, self.of(argument))
        return total

    def _degrees(self, node: Node) -> Value:
        """Degrees count as such inside functions; beside a number they are its unit."""
        value = self.of(node)
        return quantities.divide(quantities.multiply(value, +mp.pi), Fraction(180)) if self._angle else value

    def _fingerprint(self, node: Node) -> str:
        if isinstance(node, Symbol) and node.name not in self._at:
            return f"name {node.name}" if node != BOUND else repr(quantities.key(self.of(node)))
        if isinstance(node, Term) and (node.head not in _KNOWN):
            return f"{node.head}({', '.join(map(self._fingerprint, node.args))})"
        return repr(quantities.key(self.of(node)))

    def _integral(self, low: Node, high: Node, body: Node) -> Value:
        """Computed to 60 digits, or not at all."""
        outer = self._at

        def integrand(x: Value) -> Value:
            self._at = {**outer, BOUND.name: x}
            return quantities.number(self.of(body))

        try:
            value, error = mp.quad(integrand, [self._bound(low), self._bound(high)], error=True, maxdegree=9)
        finally:
            self._at = outer
        if error and mp.mag(error) > mp.mag(value or 1) - _INTEGRAL_BITS:
            raise TooLarge("an integral")
        value = quantities.checked(value)
        return quantities.recognised(value, _INTEGRAL_BITS) if isinstance(value, mp.mpf) else value

    def _bound(self, node: Node) -> Value:
        if isinstance(node, Term) and node.head == "neg":
            return -self._bound(node.args[0])
        return mp.inf if node == _INFINITE else quantities.number(self.of(node))

    def _series(self, head: str, args: tuple[Node, ...]) -> Value:
        start, end = self.of(args[0]), self.of(args[1])
        total = Fraction(0) if head == "sum" else Fraction(1)
        operation = quantities.add if head == "sum" else quantities.multiply
        first, last = quantities.whole(start), quantities.whole(end)
        if last - first > 300:
            raise TooLarge("a long sum")
        outer = self._at
        for index in range(first, last + 1):
            self._at = {**outer, BOUND.name: Fraction(index)}
            total = operation(total, self.of(args[2]))
        self._at = outer
        return total


def drawn(*names: str) -> Fraction:
    """A value derived from names."""
    digest = hashlib.sha256(repr(names).encode("utf-8", "backslashreplace")).digest()
    return Fraction(int.from_bytes(digest[:8], "big") | 1, 1 << 62)


def _logarithm(value: Value, base: Value | None = None) -> Value:
    if quantities.is_zero(value):
        raise Undefined("the logarithm of zero")
    if value == 1:
        return Fraction(0)
    if base is None:
        return quantities.computed(mp.ln, value, 1 << 20)
    return quantities.divide(_logarithm(value), _logarithm(base))


def _reciprocal(function: Callable[[Value], Value]) -> Callable[[Value], Value]:
    return lambda value: quantities.divide(Fraction(1), function(value))


def _of_mp(name: str) -> Callable[[Value], Value]:
    function = getattr(mp, name)

    def apply(value: Value) -> Value:
        result = quantities.computed(function, value)
        # sin(pi) is noise, not a number
        return Fraction(0) if result and mp.mag(result) < -300 and not quantities.is_zero(value) else result

    return apply


def _tangent(value: Value) -> Value:
    return quantities.divide(_of_mp("sin")(value), _of_mp("cos")(value))


def _extreme(choose: Callable[..., Value]) -> Callable[..., Value]:
    def apply(*found: Value) -> Value:
        if any(isinstance(value, mp.mpc) for value in found):
            raise Undefined("an order of complex numbers")
        return choose(found)

    return apply


def _whole(function: str) -> Callable[..., Value]:
    return lambda *found: Fraction(getattr(math, function)(*map(quantities.whole, found)))


def _root(value: Value, degree: Value = Fraction(2)) -> Value:
    if quantities.is_zero(value):
        return Fraction(0)
    return quantities.power(value, quantities.divide(Fraction(1), degree))


_ARITHMETIC: dict[str, Callable[[Value, Value], Value]] = {
    "+": quantities.add, "*": quantities.multiply, "/": quantities.divide, "^": quantities.power,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "neg": quantities.negate,
    "sqrt": _root,
    "root": _root,
    "abs": abs,
    "!": quantities.factorial,
    "!!": lambda v: quantities.factorial(v, 2),
    "%": lambda v: quantities.divide(v, Fraction(100)),
    "ln": _logarithm,
    "log": _logarithm,
    "exp": lambda v: quantities.power(+mp.e, v),
    "floor": quantities.rounded_down,
    "ceil": lambda v: -quantities.rounded_down(-v),
    "binom": quantities.binomial,
    "mod": quantities.modulo,
    "gamma": quantities.gamma,
    "sin": _of_mp("sin"),
    "cos": _of_mp("cos"),
    "tan": _tangent,
    "cot": _reciprocal(_tangent),
    "sec": _reciprocal(_of_mp("cos")),
    "csc": _reciprocal(_of_mp("sin")),
    "arcsin": _of_mp("asin"),
    "arccos": _of_mp("acos"),
    "arctan": _of_mp("atan"),
    "sinh": _of_mp("sinh"),
    "cosh": _of_mp("cosh"),
    "tanh": _of_mp("tanh"),
    "max": _extreme(max),
    "min": _extreme(min),
    "gcd": _whole("gcd"),
    "lcm": _whole("lcm"),
    "real": lambda v: v if isinstance(v, Fraction) else v.real,
    "imaginary": lambda v: Fraction(0) if isinstance(v, Fraction) else v.imag,
}
_OF_ANGLES = words("sin cos tan cot sec csc")
_KNOWN = frozenset(_ARITHMETIC) | frozenset(_FUNCTIONS) | {"call", "integral", "limit", "sum", "prod", "deg"}
