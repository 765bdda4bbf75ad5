"""What grading forgives beyond equality, each kind by a named rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from widthwise.core.errors import UsageError
from widthwise.evals.grading import quantities
from widthwise.evals.grading.evaluation import FIRST_INTEGER, MANY_POINTS, is_stepped, values_of
from widthwise.evals.grading.meaning import constant, key_of
from widthwise.evals.grading.quantities import TooLarge, Undefined
from widthwise.evals.grading.shapes import INTERVALS
from widthwise.evals.grading.terms import PI, Node, Number, Term, args_of, is_value, spelled, variables

_INTEGERS = frozenset("klmnNM")
_COMMON_POINTS = 4
_MAX_PAIRED = 12
"""How many items of two lists are tried against each other if their keys do not pair them."""


@dataclass(frozen=True, slots=True)
class Leniency:
    """What grading forgives beyond equality.

    ``percent``: 60 stands for 60 %. ``digits``: a decimal with at least so many significant digits stands for a number
    that it rounds correctly (0: never). ``units``: a unit or a base may be left out on one side. ``labels``: so may
    names. ``any_order``: tuples may be permuted. ``absolute`` and ``relative``: the error that a number may have.
    """

    percent: bool = True
    digits: int = 4
    units: bool = True
    labels: bool = True
    any_order: bool = False
    absolute: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        for name in ("absolute", "relative"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UsageError(f"a tolerance is a finite number of at least 0, so {name} cannot be {value}")


def forgiven(gold: Node, prediction: Node, leniency: Leniency) -> str | None:
    """The rule by which ``prediction`` may be called ``gold``; None if none allows it."""
    return _Forgiving(leniency).rule(gold, prediction)


class _Forgiving:
    def __init__(self, leniency: Leniency) -> None:
        self._leniency = leniency
        self._inside = 0

    def rule(self, a: Node, b: Node) -> str | None:
        """Tries the rules in turn; each gives None if it does not apply."""
        rules: tuple[Callable[[Node, Node], str | None], ...] = (
            self._same, self._names, self._units, self._percent, self._angles, self._times, self._bases,
            self._close, self._rounded, self._where_defined, self._at_integers, self._collections)  # fmt: skip
        for rule in rules:
            if found := rule(a, b):
                return found
        return None

    def _same(self, a: Node, b: Node) -> str | None:
        try:
            return "canonical form" if key_of(a) == key_of(b) else None
        except Undefined:
            return None

    def _names(self, a: Node, b: Node) -> str | None:
        """A name left out, or an equation solved for another name."""
        named = [node for node in (a, b) if _head(node) in ("named", "titled")]
        if not named or not self._leniency.labels:
            return None
        if len(named) == 2 or any(_head(node) == "chain =" for node in (a, b)):
            equations = [_as_equation(node) for node in (a, b)]
            if self._same(equations[0], equations[1]):
                return "the same equation"
        if len(named) == 2 and any(_head(node) == "titled" for node in named):
            return None
        inner = self.rule(_unnamed(a), _unnamed(b))
        return inner and (inner if inner != "canonical form" else "name left out")

    def _units(self, a: Node, b: Node) -> str | None:
        measured = [_head(node) == "measure" for node in (a, b)]
        if not self._leniency.units or not any(measured):
            return None
        if all(measured):
            return self._both_measured(a, b)
        if any(_head(node) == "deg" for node in (a, b)):
            return None
        return self.rule(_unmeasured(a), _unmeasured(b)) and "unit left out"

    def _both_measured(self, a: Node, b: Node) -> str | None:
        scales, dimensions = zip(*(_unit(node) for node in (a, b)), strict=True)
        if dimensions[0] != dimensions[1]:
            return None
        if scales[0] == scales[1]:
            return self.rule(_unmeasured(a), _unmeasured(b))
        return None

    def _percent(self, a: Node, b: Node) -> str | None:
        percent = [_head(node) == "%" for node in (a, b)]
        if not self._leniency.percent or sum(percent) != 1:
            return None
        bare = constant(b if percent[0] else a)
        if bare is None or isinstance(bare, quantities.mp.mpc) or abs(bare) < 1:
            return None  # a half is not half a percent
        return self.rule(_without(a, "%"), _without(b, "%")) and "percent sign left out"

    def _angles(self, a: Node, b: Node) -> str | None:
        """Degrees for radians that are stated as a part of pi."""
        for one, other in ((a, b), (b, a)):
            if _head(one) == "deg" and "pi" in spelled(other) and is_value(other):
                in_radians = Term("/", (Term("*", (_without(one, "deg"), PI)), Number(Fraction(180))))
                return self._same(in_radians, other) and "degrees as radians"
        return None

    def _times(self, a: Node, b: Node) -> str | None:
        """A time that does not say which half of the day it means may mean either."""
        for one, other in ((a, b), (b, a)):
            match one, other:
                case Term("time", (Number(minutes),)), Term("clock", (Number(hours), Number(rest), *seconds)):
                    more = sum((s.value for s in seconds if isinstance(s, Number)), Fraction(0))
                    written = hours * 60 + rest + more / 60
                    half = 1 <= hours <= 12 and written % 720 == minutes % 720
                    return "half of the day left out" if half or written == minutes else None
        return None

    def _bases(self, a: Node, b: Node) -> str | None:
        for one, other in ((a, b), (b, a)):
            match one, other:
                case Term("based", (digits, _)), Number(value) if spelled(digits) == str(value):
                    return "base left out" if self._leniency.units else None
        return None

    # --- Numbers ------------------------------------------------------------------------------------------------

    def _close(self, a: Node, b: Node) -> str | None:
        leniency = self._leniency
        if not (leniency.absolute or leniency.relative):
            return None
        x, y = constant(a), constant(b)
        if x is None or y is None or isinstance(x, quantities.mp.mpc) or isinstance(y, quantities.mp.mpc):
            return None
        allowed = max(Fraction(leniency.absolute), Fraction(leniency.relative) * _as_fraction(abs(x)))
        return "within the tolerance" if abs(_as_fraction(x) - _as_fraction(y)) <= allowed else None

    def _rounded(self, a: Node, b: Node) -> str | None:
        """A decimal with enough digits for the exact number that it rounds, within half a unit of its last place."""
        for decimal, other in ((a, b), (b, a)):
            if not (isinstance(decimal, Number) and decimal.step and self._leniency.digits):
                continue
            value = None if isinstance(other, Number) and other.step else constant(other)
            if value is None or isinstance(value, quantities.mp.mpc) or decimal.digits < self._leniency.digits:
                continue
            if isinstance(value, Fraction) and value.denominator == 1:
                continue  # an integer is not rounded
            if abs(_as_fraction(value) - decimal.value) <= decimal.step / 2:
                return "correct rounding"
        return None

    def _where_defined(self, a: Node, b: Node) -> str | None:
        """Formulas that agree wherever both have a value; a letter may cancel out of one of them."""
        if not (is_value(a) and is_value(b)) or not variables(a) | variables(b) or is_stepped(a) or is_stepped(b):
            return None
        try:
            found = [values_of(node).found for node in (a, b)]
        except (TooLarge, Undefined):
            return None
        points = max(map(len, found))
        pairs = zip(*(values * points if len(values) == 1 else values for values in found), strict=True)
        common = [(x, y) for x, y in pairs if x is not None and y is not None]
        if len(common) < _COMMON_POINTS or any(quantities.key(x) != quantities.key(y) for x, y in common):
            return None
        return "equal where both are defined"

    def _at_integers(self, a: Node, b: Node) -> str | None:
        """Formulas in letters that stand for integers, such as ``n``, if they agree at all integers tried."""
        names = variables(a)
        if not (is_value(a) and is_value(b)) or names != variables(b) or not names <= _INTEGERS or not names:
            return None
        try:
            found = [values_of(node, MANY_POINTS).found[FIRST_INTEGER:] for node in (a, b)]
        except (TooLarge, Undefined):
            return None
        keys = [[None if v is None else quantities.key(v) for v in side] for side in found]
        return "equal at integers" if None not in keys[0] and keys[0] == keys[1] else None

    # --- Collections --------------------------------------------------------------------------------------------

    def _collections(self, a: Node, b: Node) -> str | None:
        if {_kind(a), _kind(b)} & {None}:
            return self._single(a, b)
        self._inside += 1
        found = self._itemwise(a, b)
        self._inside -= 1
        return found

    def _itemwise(self, a: Node, b: Node) -> str | None:
        items, kinds = [_items(a), _items(b)], {_kind(a), _kind(b)}
        if "record" in kinds:
            return self._records(a, b)
        if len(items[0]) != len(items[1]):
            return None
        if kinds <= {"list", "set"} or kinds == {"cup"}:
            return self._paired(items[0], items[1])
        if kinds <= {"list", "()", "[]", "column"} and kinds != {"[]", "()"}:
            if self._leniency.any_order and (rule := self._paired(items[0], items[1])):
                return rule
            if kinds == {"[]", "list"}:
                return None
            return self._in_order(items[0], items[1])
        return self._in_order(items[0], items[1]) if len(kinds) == 1 else None

    def _single(self, a: Node, b: Node) -> str | None:
        """A set of one thing for the thing."""
        for one, other in ((a, b), (b, a)) if not self._inside else ():
            if _kind(one) in ("list", "set") and len(_items(one)) == 1 and _kind(other) is None:
                return self.rule(_items(one)[0], other)
        return None

    def _records(self, a: Node, b: Node) -> str | None:
        """Values under equal names, or in the written order if one side leaves the names out."""
        if _kind(a) == _kind(b):
            ordered = [sorted(_items(node), key=_label) for node in (a, b)]
            if [_label(item) for item in ordered[0]] != [_label(item) for item in ordered[1]]:
                return None
            return self._in_order([_unnamed(i) for i in ordered[0]], [_unnamed(i) for i in ordered[1]])
        if not self._leniency.labels or not {_kind(a), _kind(b)} <= {"record", "list", "()"}:
            return None
        if any(_head(item) == "named" for node in (a, b) if _kind(node) != "record" for item in _items(node)):
            return None
        found = self._in_order([_unnamed(i) for i in _items(a)], [_unnamed(i) for i in _items(b)])
        return found and "names left out"

    def _in_order(self, a: Sequence[Node], b: Sequence[Node]) -> str | None:
        if len(a) != len(b):
            return None
        rules = [self.rule(one, other) for one, other in zip(a, b, strict=True)]
        return None if None in rules else _weakest(rules)

    def _paired(self, a: Sequence[Node], b: Sequence[Node]) -> str | None:
        """Item by item in any order: equal keys first, then whatever is forgiven."""
        left, missing = list(b), []
        for item in a:
            match = next((other for other in left if self._same(item, other)), None)
            if match is None:
                missing.append(item)
            else:
                left.remove(match)
        if len(missing) > _MAX_PAIRED:
            return None
        rules: list[str | None] = ["canonical form"]
        for item in missing:
            found = next(((other, rule) for other in left if (rule := self.rule(item, other))), None)
            if found is None:
                return None
            left.remove(found[0])
            rules.append(found[1])
        return _weakest(rules)


def _weakest(rules: Sequence[str | None]) -> str:
    """The rule to name for a collection: the one that forgave something."""
    return next((rule for rule in rules if rule and rule != "canonical form"), "item by item")


def _head(node: Node) -> str:
    return node.head if isinstance(node, Term) else ""


def _without(node: Node, head: str) -> Node:
    return node.args[0] if isinstance(node, Term) and node.head == head else node


def _unmeasured(node: Node) -> Node:
    return _without(node, "measure")


def _unit(node: Node) -> tuple[Node, tuple[Node, ...]]:
    unit = node.args[1] if isinstance(node, Term) else node
    return (unit.args[0], unit.args[1:]) if isinstance(unit, Term) else (unit, ())


def _unnamed(node: Node) -> Node:
    return node.args[1] if isinstance(node, Term) and node.head in ("named", "titled") else node


def _label(node: Node) -> str:
    return spelled(node.args[0]) if isinstance(node, Term) else ""


def _as_equation(node: Node) -> Node:
    return Term("chain =", node.args) if isinstance(node, Term) and node.head in ("named", "titled") else node


def _kind(node: Node) -> str | None:
    """``list``, ``cup``, ``record``, brackets, or ``column`` for a matrix that is a vector."""
    head = _head(node)
    if head == "matrix" and _vector(node):
        return "column"
    if head in ("both", "list", "set"):
        return "set" if head == "set" else "list"
    return head if head in INTERVALS or head in ("cup", "record", "matrix", "row") else None


def _vector(node: Node) -> bool:
    return len(args_of(node)) == 1 or all(len(args_of(row)) == 1 for row in args_of(node))


def _items(node: Node) -> tuple[Node, ...]:
    if _kind(node) == "column":
        return tuple(cell for row in args_of(node) for cell in args_of(row))
    return args_of(node) if _kind(node) else ()


def _as_fraction(value: quantities.Value) -> Fraction:
    if isinstance(value, Fraction):
        return value
    sign, mantissa, exponent, _ = (int(part) for part in value._mpf_)
    size = Fraction(mantissa) * Fraction(2) ** max(-2_000, min(2_000, exponent))
    return -size if sign else size
