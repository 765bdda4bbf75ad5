"""What answers mean, as keys: answers with equal keys are the same, answers with different keys are not.

A key consists of exact fractions, of values at fixed points, and of the structure around them. So equality of keys is
an equivalence relation, and thousands of answers are grouped without comparing any two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

from widthwise.evals.grading import quantities
from widthwise.evals.grading.evaluation import OF_INTEGERS, Values, values_of
from widthwise.evals.grading.quantities import TooLarge, Undefined, Value
from widthwise.evals.grading.terms import (
    INFINITY,
    MARK,
    Node,
    NotUnderstood,
    Number,
    Symbol,
    Term,
    is_value,
    spelled,
    variables,
    walk,
    words,
)
from widthwise.evals.grading.understanding import opaque, understood

Key: TypeAlias = tuple[Any, ...]

_INTEGER = re.compile(r"-?\d{1,15}")
_SYMMETRIC = words("= != approx cong perp parallel iff equiv")
_MIRRORED = {">": "<", ">=": "<=", "supset": "subset", "supseteq": "subseteq"}
LOST: Key = ("lost",)
_ALIKE = {"in base": "based", "set": "list", "both": "list"}
_DOLLARS = (Symbol(f"{MARK}dollar"), Number(Fraction(1)))
"""What a number without a unit may mean; an angle in degrees is read like this, too."""
_UNORDERED = frozenset(("list", "cup", "cap", "land", "lor", "record"))


@dataclass(frozen=True, slots=True)
class Meaning:
    """``node`` is None if the answer was not fully understood; ``why`` then says what prevented it.

    ``open``: a part of it could not be evaluated, so a different key does not mean a different answer.
    """

    key: Key
    node: Node | None = None
    open: bool = False
    why: str = ""


@lru_cache(maxsize=100_000)
def meaning(answer: str) -> Meaning:
    """The meaning of one answer."""
    if _INTEGER.fullmatch(answer):
        return Meaning(("fraction", int(answer), 1), Number(Fraction(int(answer))))
    try:
        node = understood(answer)
        return _meaning(node)
    except (NotUnderstood, Undefined) as error:
        return Meaning(("text", opaque(answer)), why=str(error))
    except RecursionError:
        return Meaning(("text", opaque(answer)), why="nested too deeply")


def _meaning(node: Node) -> Meaning:
    keys = Keys()
    return Meaning(keys.of(node), node, keys.open)


@lru_cache(maxsize=100_000)
def key_of(node: Node) -> Key:
    """The key of a part; raises Undefined if it has no value."""
    return Keys().of(node)


class Keys:
    """Makes keys, and notes whether a value could not be computed."""

    def __init__(self) -> None:
        self.open = False

    def of(self, node: Node) -> Key:
        if is_value(node):
            return self._value(node)
        if isinstance(node, Term):
            return self._term(node)
        return ("name", spelled(node))

    def _value(self, node: Node) -> Key:
        self.open |= any(map(_is_unevaluated, walk(node)))
        try:
            found = values_of(node)
        except TooLarge:
            self.open = True
            return ("form", spelled(node))
        keys = self._keys(found, Fraction(1))
        same = keys[0] is not None and all(key == keys[0] for key in keys)
        return keys[0] if same and keys[0] is not None else ("values", *keys)

    def _term(self, node: Term) -> Key:
        head, args = node.head, node.args
        if head.startswith("chain "):
            return self._relation(head.split()[1:], args)
        special = {"named": self._named, "record": self._record, "measure": self._measure, "modulo": self._congruence,
                   "clock": self._clock, "neg": self._negative}  # fmt: skip
        if head in special:
            return special[head](args)
        if head == "titled":
            return self._relation(["="], args)
        if head == "phrase":  # a 3 by 4 matrix is not a 4 by 3 matrix
            return (head, *(("name", spelled(a)) if a in _products(args) else self.of(a) for a in args))
        self.open |= _is_unevaluated(node)
        keys = [self.of(argument) for argument in args]
        head = _ALIKE.get(head, head)
        return (head, *(sorted(keys, key=repr) if head in _UNORDERED else keys))

    def _named(self, args: Sequence[Node]) -> Key:
        return self.of(args[1])

    def _record(self, args: Sequence[Node]) -> Key:
        pairs = [(self.of(a.args[0]), self.of(a.args[1])) for a in args if isinstance(a, Term)]
        return ("record", *sorted(pairs, key=repr))

    def _negative(self, args: Sequence[Node]) -> Key:
        return ("name", "-infinity") if args[0] == INFINITY else ("neg", *map(self.of, args))

    def _clock(self, args: Sequence[Node]) -> Key:
        keys = [self.of(argument) for argument in args]
        return ("clock", *(keys[:2] if len(keys) == 3 and keys[2] == ("fraction", 0, 1) else keys))

    def _measure(self, args: Sequence[Node]) -> Key:
        value, unit = args
        assert isinstance(unit, Term)
        scale, *dimensions = unit.args
        if not dimensions or dimensions == list(_DOLLARS):
            return self.of(value)
        scaled = Term("*", (value, scale)) if is_value(value) else value
        return ("measure", self.of(scaled), *map(spelled, dimensions))

    def _congruence(self, args: Sequence[Node]) -> Key:
        """Remainders of integers are compared as such."""
        statement, modulus = args
        match statement, modulus:
            case Term("chain equiv", (left, Number(right))), Number(m) if m > 0:
                return ("congruence", self.of(left), _fraction(right % m), _fraction(m))
            case Number(value), Number(m) if m > 0:
                return ("remainder", _fraction(value % m), _fraction(m))
        return ("modulo", self.of(statement), self.of(modulus))

    def _relation(self, signs: list[str], sides: Sequence[Node]) -> Key:
        if signs[0] in _MIRRORED:
            signs, sides = [_MIRRORED.get(sign, sign) for sign in signs[::-1]], sides[::-1]
        if len(signs) == 1 and signs[0] in ("=", "!=", "<", "<=") and all(map(is_value, sides)):
            key = self._proportional(signs[0], sides)
            if key is not None:
                return key
        keys = [self.of(side) for side in sides]
        symmetric = len(set(signs)) == 1 and signs[0] in _SYMMETRIC
        return ("relation", *signs, *(sorted(keys, key=repr) if symmetric else keys))

    def _proportional(self, sign: str, sides: Sequence[Node]) -> Key | None:
        """An equation is the difference of its sides, up to a factor; an inequality, up to a positive factor."""
        try:
            values = values_of(Term("+", (sides[1], Term("neg", (sides[0],)))))
        except (TooLarge, Undefined):
            return None
        first = next((value for value in values.found if value is not None and not quantities.is_zero(value)), None)
        if first is None or values.constant:
            return None
        factor = first if sign in ("=", "!=") else abs(first)
        return ("relation", sign, *self._keys(values, factor))

    def _keys(self, values: Values, factor: Value) -> tuple[Key | None, ...]:
        """The keys of values over a factor: None where undefined, ``LOST`` where not computed."""
        self.open |= bool(values.lost)
        keys = [None if v is None else quantities.key(quantities.divide(v, factor)) for v in values.found]
        return tuple(LOST if n in values.lost else key for n, key in enumerate(keys))


def _products(args: Sequence[Node]) -> list[Node]:
    return [argument for argument in args if isinstance(argument, Term) and argument.head == "*"]


def _is_unevaluated(part: Node) -> bool:
    """Whether a part has a value that is not computed: a limit, an endless sum, the derivative of a formula.

    An integral is computed, but without certainty: it may be found equal to something, never different.
    """
    match part:
        case Term("limit" | "integral", _):
            return True
        case Term(head, _) if head in OF_INTEGERS:
            return bool(variables(part))
        case Term("sum" | "prod", _):
            return not is_value(part)
        case Term("call", (Symbol(name), Term())):
            return " by " in name
    return False


def _fraction(value: Fraction) -> Key:
    return ("fraction", value.numerator, value.denominator)


def apart(a: Key, b: Key) -> bool:
    """Whether two formulas have known values that differ, whatever could not be computed."""
    if a[0] != "values" or b[0] != "values":
        return False
    return any(x != y for x, y in zip(a[1:], b[1:], strict=False) if LOST not in (x, y) and None not in (x, y))


def constant(node: Node) -> Value | None:
    """The value of a formula without variables; None for anything else."""
    if not is_value(node):
        return None
    try:
        found = values_of(node)
    except (TooLarge, Undefined):
        return None
    return found.found[0] if found.constant else None


def shown(answer: str) -> str:
    """The canonical form of an answer for readers."""
    found = meaning(answer)
    if found.node is None:
        return str(found.key[1])
    return _shown(found.key, found.node)


def _shown(key: Key, node: Node) -> str:
    match key:
        case ("fraction", above, below):
            return str(Fraction(above, below))
        case ("real" | "complex", *_):
            return f"{spelled(node)} = {quantities.mp.nstr(quantities.number(constant(node)), 15)}"
    return spelled(node)
