"""The shape of an answer: what is named, what is an interval, what is a list, and both signs of a plus-minus."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.evals.grading.lexicon import FUNCTIONS, NAMED
from widthwise.evals.grading.terms import (
    CONSTANTS,
    INFINITY,
    MARK,
    REALS,
    Node,
    Number,
    Symbol,
    Term,
    args_of,
    is_value,
    symbols,
    variables,
    walk,
)

_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_MINUS_INFINITY = Term("neg", (INFINITY,))
INTERVALS = frozenset(("()", "[)", "(]", "[]"))


def shaped(node: Node) -> Node:
    """One clause: both signs of a plus-minus, a name's value, an inequality's interval."""
    if any(isinstance(part, Term) and part.head in ("+-", "-+") for part in _top_values(node)):
        return _both(node)
    if isinstance(node, Term) and node.head.startswith("chain "):
        return _chain(node)
    if isinstance(node, Term) and node.head == "setminus" and node.args[0] == REALS:
        return _without_point(node)
    if isinstance(node, Term) and (node.head in INTERVALS or node.head in ("list", "set", "cup", "row")):
        items = [part for item in node.args for part in _parts(shaped(item), "both")]
        labels = {item.args[0] for item in items if isinstance(item, Term) and item.head == "named"}
        return Term("record" if len(labels) == len(items) > 1 else node.head, tuple(items))
    return node


def _without_point(node: Term) -> Node:
    """``\\mathbb{R} \\setminus \\{2\\}`` is the same as ``x \\ne 2``."""
    match node.args[1]:
        case Term("set", (point,)) if _is_constant(point):
            return Term("cup", (Term("()", (_MINUS_INFINITY, point)), Term("()", (point, INFINITY))))
    return node


def _both(node: Node) -> Node:
    """Both signs of anything that contains a plus-minus; a name before it belongs to both."""
    signed = [shaped(_signed(node, sign)) for sign in ("+-", "-+")]
    values = [item.args[1] if isinstance(item, Term) and item.head == "named" else item for item in signed]
    return Term("both", tuple(values))


def _top_values(node: Node) -> list[Node]:
    """All parts of a clause except those in the brackets of a list or tuple."""
    if isinstance(node, Term) and (node.head in ("list", "set") or node.head in INTERVALS):
        return []
    return [node, *(part for arg in args_of(node) for part in _top_values(arg))]


def _parts(item: Node, head: str) -> tuple[Node, ...]:
    """The parts joined by ``head``; anything else is a single part."""
    return item.args if isinstance(item, Term) and item.head == head else (item,)


def _head(node: Node) -> str:
    return node.head if isinstance(node, Term) else ""


def _is(node: Node, head: str) -> bool:
    return _head(node) == head


def _signed(node: Node, plus: str) -> Node:
    """``node`` with one of the two signs of every plus-minus."""
    if not isinstance(node, Term):
        return node
    args = tuple(_signed(argument, plus) for argument in node.args)
    if node.head not in ("+-", "-+"):
        return Term(node.head, args)
    return Term("+", args if node.head == plus else (args[0], Term("neg", (args[1],))))


# --- Names and relations ----------------------------------------------------------------------------------------


def _chain(node: Term) -> Node:
    signs = node.head.split()[1:]
    sides = list(node.args)
    if "approx" in signs:
        signs, sides = _without_approximations(signs, sides)
    if not signs:
        return shaped(sides[0])
    if set(signs) == {"="}:
        return _equation(sides)
    if signs == ["equiv"] and isinstance(sides[1], Term) and sides[1].head == "mod":
        return Term("modulo", (Term("chain equiv", (sides[0], sides[1].args[0])), sides[1].args[1]))
    if signs == ["in"] and isinstance(sides[0], Symbol):
        return shaped(sides[1])
    if (interval := _interval(signs, sides)) is not None:
        return interval
    return Term("chain " + " ".join(signs), tuple(sides))


def _without_approximations(signs: list[str], sides: list[Node]) -> tuple[list[str], list[Node]]:
    """``x = 1/3 \\approx 0.33`` says what precedes the sign; ``p \\approx 3`` says three."""
    first = signs.index("approx")
    if first == 0 and is_label(sides[0]):
        return ["="], sides[:2]
    return signs[:first], sides[: first + 1]


def _equation(sides: list[Node]) -> Node:
    if len(sides) > 2:
        return _long_equation(sides)
    left, right = sides
    for label, value in ((left, right), (right, left)):
        if names := _tuple_names(label, value):
            return record(list(zip(names, args_of(value), strict=True)))
        if is_label(label) and not _holds(value, label) and not (is_label(value) and not _is_constant(value)):
            return _named(label, value)
        if is_label(label) and _is(label, "call") and not _holds(value, label):
            return _named(label, value)
    numbers = [side for side in sides if isinstance(side, Number)]
    if _is_constant(left) and _is_constant(right) and len(numbers) == 1:
        return numbers[0]
    if _is_constant(right) and _is(left, "/") and _of_capitals(left):
        return Term("named", (left, right))
    return Term("chain =", (left, right))


def _named(label: Node, value: Node) -> Node:
    """A particular name (``f'(x)``, ``f(2)``, ``AB``, ``a_5``) is kept; ``x`` and ``f(x)`` do not matter."""
    plain = isinstance(label, Symbol) and len(label.name) == 1
    named = isinstance(label, Symbol) or _is(label, "call")
    matters = not plain and (not named or any(map(_is_particular, walk(label))))
    foreign = _is(label, "call") and variables(value) and not variables(label) & variables(value)
    return Term("titled" if matters or foreign else "named", (label, shaped(value)))


def _is_particular(part: Node) -> bool:
    """Whether a part of a name says more than a variable's letter."""
    if not isinstance(part, Symbol):
        return isinstance(part, Number) or _head(part).startswith("chain ")
    name = part.name.removeprefix(MARK)
    return (
        any(sign in name for sign in "'^_ ")
        or name in NAMED
        or name in FUNCTIONS
        or (part.name[0] != MARK and name.isupper())
    )


def _long_equation(sides: list[Node]) -> Node:
    """``m + n = 25 + 48 = 73`` says 73; ``x = y = 1`` says it of both."""
    *before, last = sides
    if _is_constant(last) and all(isinstance(side, Symbol) for side in before):
        return record([(side, last) for side in before])
    if all(_is_constant(side) for side in sides[1:]):
        return Term("named", (sides[0], last)) if is_label(sides[0]) else last
    if is_label(sides[0]) and not _holds(last, sides[0]):
        return Term("named", (sides[0], shaped(last)))
    return Term("chain " + " ".join("=" for _ in before), tuple(sides))


def is_label(node: Node) -> bool:
    """Whether a node can be the name of an answer: ``x``, ``x_1``, ``f(x)``, ``AB``, ``\\angle A``."""
    match node:
        case Symbol(name):
            return name not in CONSTANTS and node != INFINITY
        case Term("call", (Symbol(name), *args)):
            return " by " not in name and all(map(_names_argument, args))
        case Term("*", (Symbol("Delta" | "delta"), Symbol())):
            return True
        case Term("*", args):
            return all(isinstance(a, Symbol) and (a.name.isupper() or a.name.startswith(MARK) or a.name == "m")
                       for a in args) and not all(isinstance(a, Symbol) and a.name == "m" for a in args)  # fmt: skip
    return False


def _names_argument(node: Node) -> bool:
    """``x``, ``2``, ``A \\cup B`` or ``X = 2``, but no formula."""
    return isinstance(node, Symbol | Number) or _head(node).startswith("chain ") or _of_capitals(node)


def _of_capitals(node: Node) -> bool:
    """Whether a formula consists of points only: ``\\frac{NO}{BO}``."""
    names = symbols(node)
    return bool(names) and is_value(node) and all(name[:1].isupper() and len(name) == 1 for name in names)


def _is_constant(node: Node) -> bool:
    return is_value(node) and not variables(node) and not any(name.startswith(MARK) for name in symbols(node))


def _holds(node: Node, label: Node) -> bool:
    """Whether the value mentions its own name, so that the equation says more than a name."""
    names = symbols(args_of(label)[0]) if _is(label, "call") else symbols(label)
    return bool(names & symbols(node))


def _tuple_names(label: Node, value: Node) -> list[Node]:
    """The names of ``(x, y) = (1, 2)``."""
    if not (_is(label, "()") and _head(value) in INTERVALS):
        return []
    names = list(args_of(label))
    return names if all(map(is_label, names)) and len(names) == len(args_of(value)) else []


def record(pairs: Sequence[tuple[Node, Node]]) -> Node:
    """Values under names, as they were written."""
    return Term("record", tuple(Term("named", (name, shaped(value))) for name, value in pairs))


def _interval(signs: list[str], sides: list[Node]) -> Node | None:
    """The interval, or the two intervals, given by an inequality in one variable."""
    if len(signs) == 1 and signs[0] in ("!=", *_MIRRORED):
        return _ray(signs[0], sides[0], sides[1]) or _ray(_MIRRORED.get(signs[0], "!="), sides[1], sides[0])
    if len(signs) == 2 and signs[0][0] == signs[1][0] == ">":
        signs, sides = [_MIRRORED[sign] for sign in signs[::-1]], sides[::-1]
    if len(signs) == 2 and set(signs) <= {"<", "<="} and _is_bound(sides[0]) and _is_bound(sides[2]):
        opening, closing = "[" if signs[0] == "<=" else "(", "]" if signs[1] == "<=" else ")"
        return _between(opening, sides[0], sides[1], sides[2], closing)
    return None


def _ray(sign: str, side: Node, bound: Node) -> Node | None:
    """``x > 5``, ``x \\ne 5``, ``|x| < 5``."""
    if not _is_bound(bound):
        return None
    if sign == "!=":
        if not _is_variable(side) or not _is_constant(bound):
            return None
        return Term("cup", (Term("()", (_MINUS_INFINITY, bound)), Term("()", (bound, INFINITY))))
    if sign[0] == ">":
        return _between("[" if sign == ">=" else "(", bound, side, INFINITY, ")")
    low = Term("neg", (bound,)) if _is(side, "abs") else _MINUS_INFINITY
    inner = side.args[0] if isinstance(side, Term) and side.head == "abs" else side
    closed = sign == "<="
    return _between("[" if closed and inner is not side else "(", low, inner, bound, "]" if closed else ")")


def _between(opening: str, low: Node, side: Node, high: Node, closing: str) -> Node | None:
    """The interval of a variable, or both intervals if its absolute value is meant."""
    if _is_variable(side):
        return Term(opening + closing, (low, high))
    if not (isinstance(side, Term) and side.head == "abs" and _is_variable(side.args[0])):
        return None
    mirrored = {"(": ")", "[": "]", ")": "(", "]": "["}
    below = Term(mirrored[closing] + mirrored[opening], (_opposite(high), _opposite(low)))
    return Term("cup", (below, Term(opening + closing, (low, high))))


def _opposite(bound: Node) -> Node:
    return Term("neg", (bound,))


def _is_variable(node: Node) -> bool:
    return isinstance(node, Symbol) and node.name not in CONSTANTS and not node.name.startswith(MARK)


def _is_bound(node: Node) -> bool:
    return _is_constant(node) or node in (INFINITY, _MINUS_INFINITY)


# --- Lists ------------------------------------------------------------------------------------------------------


def combined(items: list[Node], either: bool = False) -> Node:
    """What a list of clauses says: a list of values, values under names, or one union of intervals."""
    items = [part for item in items for part in _parts(item, "both")]
    if either and all(_is_set(item) for item in items) and any(_is_ray(item) for item in items):
        return Term("cup", tuple(part for item in items for part in _parts(item, "cup")))
    labels = [item.args[0] for item in items if isinstance(item, Term) and item.head == "named"]
    if len(items) > 1 and len(labels) == len(items) and len(set(labels)) > 1:
        return _records(items, labels)
    if len(set(labels)) == 1 and _is(items[0], "named"):
        items = [item.args[1] if isinstance(item, Term) and item.head == "named" else item for item in items]
    return Term("list", tuple(items))


def _records(items: list[Node], labels: list[Node]) -> Node:
    """``p=5, q=2`` is one record, ``p=5, q=2; p=7, q=2`` are two."""
    size = len(set(labels))
    if labels != labels[:size] * (len(labels) // size):
        return Term("list", tuple(items))
    records = [Term("record", tuple(items[i : i + size])) for i in range(0, len(items), size)]
    return records[0] if len(records) == 1 else Term("list", tuple(records))


def _is_set(item: Node) -> bool:
    return isinstance(item, Term) and (item.head in INTERVALS or item.head == "cup") and item != REALS


def _is_ray(item: Node) -> bool:
    """Whether brackets can only be an interval's: half open, or unbounded."""
    if not isinstance(item, Term):
        return False
    if item.head == "cup":
        return True
    return item.head in ("[)", "(]") or any(end in (INFINITY, _MINUS_INFINITY) for end in item.args)
