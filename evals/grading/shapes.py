"""The shape of an answer: what is named, what is an interval, what is a list, and both signs of a plus-minus."""

from __future__ import annotations

from collections.abc import Sequence

from widthwise.evals.grading.terms import (
    CONSTANTS,
    INFINITY,
    MARK,
    REALS,
    Node,
    Number,
    Symbol,
    Term,
    is_value,
    symbols,
    variables,
)

_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_MINUS_INFINITY = Term("neg", (INFINITY,))
INTERVALS = frozenset(("()", "[)", "(]", "[]"))


def shaped(node: Node) -> Node:
    """One clause: both signs of a plus-minus, a name's value, an inequality's interval."""
    if any(isinstance(part, Term) and part.head in ("+-", "-+") for part in _top_values(node)):
        return combined([shaped(_signed(node, "+-")), shaped(_signed(node, "-+"))])
    if isinstance(node, Term) and node.head.startswith("chain "):
        return _chain(node)
    if isinstance(node, Term) and (node.head == "list" or node.head in INTERVALS or node.head in ("cup", "row")):
        return Term(node.head, tuple(_flattened([shaped(item) for item in node.args], node.head)))
    return node


def _top_values(node: Node) -> list[Node]:
    """All parts of a clause but those in the brackets of a list or tuple."""
    if isinstance(node, Term) and (node.head == "list" or node.head in INTERVALS):
        return []
    return [node, *(part for arg in (node.args if isinstance(node, Term) else ()) for part in _top_values(arg))]


def _flattened(items: list[Node], head: str) -> list[Node]:
    """A set that holds both signs of something holds two things."""
    if head != "list":
        return items
    return [part for item in items for part in _parts(item, "list")]


def _parts(item: Node, head: str) -> tuple[Node, ...]:
    """What a pair of both signs, or a union, is made of; anything else is one thing."""
    together = isinstance(item, Term) and item.head == head and (head != "list" or len(item.args) == 2)
    return item.args if isinstance(item, Term) and together else (item,)


def _is(node: Node, head: str) -> bool:
    return isinstance(node, Term) and node.head == head


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
    """``x = 1/3 \\approx 0.33`` says what stands before; ``p \\approx 3`` says three."""
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
            return record(list(zip(names, value.args, strict=True)))  # type: ignore[union-attr]
        if is_label(label) and not _holds(value, label) and not (is_label(value) and not _is_constant(value)):
            return _named(label, value)
        if is_label(label) and _is(label, "call") and not _holds(value, label):
            return _named(label, value)
    if _is_constant(left) and _is_constant(right) and not isinstance(left, Number):
        return right if isinstance(right, Number) else Term("chain =", (left, right))
    if _is_constant(right) and _of_capitals(left):
        return Term("named", (left, right))
    return Term("chain =", (left, right))


def _named(label: Node, value: Node) -> Node:
    """``f'(x) = ...`` and ``f^{-1}(x) = ...`` say of what; other names do not matter."""
    matters = any("'" in name or "^" in name or name.startswith(("dot ", "ddot ")) for name in symbols(label))
    return Term("titled" if matters else "named", (label, shaped(value)))


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
            return not name.startswith(f"{MARK}d") and not name.startswith(f"{MARK}partial") and all(
                isinstance(a, Symbol | Number) or _is(a, "chain mid") or _of_capitals(a) for a in args)  # fmt: skip
        case Term("*", args):
            return all(isinstance(a, Symbol) and (a.name.isupper() or a.name.startswith(MARK) or a.name == "m")
                       for a in args) and not all(isinstance(a, Symbol) and a.name == "m" for a in args)  # fmt: skip
    return False


def _of_capitals(node: Node) -> bool:
    """Whether a formula is made of points only: ``\\frac{NO}{BO}``."""
    names = symbols(node)
    return bool(names) and is_value(node) and all(name[:1].isupper() and len(name) == 1 for name in names)


def _is_constant(node: Node) -> bool:
    return is_value(node) and not variables(node) and not any(name.startswith(MARK) for name in symbols(node))


def _holds(node: Node, label: Node) -> bool:
    """Whether the value mentions its own name, so that the equation says more than a name."""
    name = label.name if isinstance(label, Symbol) else label.args[0].name  # type: ignore[union-attr]
    return name in symbols(node)


def _tuple_names(label: Node, value: Node) -> list[Node]:
    """The names of ``(x, y) = (1, 2)``."""
    if not (_is(label, "()") and isinstance(value, Term) and value.head in INTERVALS):
        return []
    names = list(label.args)  # type: ignore[union-attr]
    return names if all(map(is_label, names)) and len(names) == len(value.args) else []


def record(pairs: Sequence[tuple[Node, Node]]) -> Node:
    """Values under names, as they were written."""
    return Term("record", tuple(Term("named", (name, shaped(value))) for name, value in pairs))


def _interval(signs: list[str], sides: list[Node]) -> Node | None:
    """The interval that an inequality in one variable says."""
    if signs == ["!="] and isinstance(sides[0], Symbol) and _is_constant(sides[1]):
        return Term("cup", (Term("()", (_MINUS_INFINITY, sides[1])), Term("()", (sides[1], INFINITY))))
    if len(signs) == 1 and isinstance(sides[1], Symbol) and signs[0] in _MIRRORED and not isinstance(sides[0], Symbol):
        signs, sides = [_MIRRORED[signs[0]]], sides[::-1]
    if len(signs) == 2 and signs[0][0] == signs[1][0] == ">":
        signs, sides = [_MIRRORED[sign] for sign in signs[::-1]], sides[::-1]
    if len(signs) == 1 and _is_variable(sides[0]) and _is_bound(sides[1]):
        low, high = signs[0] in (">", ">="), signs[0] in ("<", "<=")
        if low:
            return Term("[)" if signs[0] == ">=" else "()", (sides[1], INFINITY))
        return Term("(]" if signs[0] == "<=" else "()", (_MINUS_INFINITY, sides[1])) if high else None
    rising = len(signs) == 2 and set(signs) <= {"<", "<="}
    if rising and _is_variable(sides[1]) and _is_bound(sides[0]) and _is_bound(sides[2]):
        return Term(("[" if signs[0] == "<=" else "(") + ("]" if signs[1] == "<=" else ")"), (sides[0], sides[2]))
    return None


def _is_variable(node: Node) -> bool:
    return isinstance(node, Symbol) and node.name not in CONSTANTS and not node.name.startswith(MARK)


def _is_bound(node: Node) -> bool:
    return _is_constant(node) or node in (INFINITY, _MINUS_INFINITY)


# --- Lists ------------------------------------------------------------------------------------------------------


def combined(items: list[Node], either: bool = False) -> Node:
    """What a list of clauses says: a list of values, values under names, or one union of intervals."""
    items = [part for item in items for part in _parts(item, "list")]
    if either and all(_is_set(item) for item in items) and any(_is_ray(item) for item in items):
        return Term("cup", tuple(part for item in items for part in _parts(item, "cup")))
    named = [item for item in items if _is(item, "named")]
    labels = {item.args[0] for item in named if isinstance(item, Term)}
    if len(items) > 1 and len(named) == len(items) == len(labels):
        return Term("record", tuple(items))
    if items and _is(items[0], "named") and len(labels) == 1:
        return _values_of_one_name(items)
    return Term("list", tuple(items))


def _values_of_one_name(items: list[Node]) -> Node:
    """``x = 1, 2`` and ``x = 1 or x = 2`` are a list; ``(x, y) = (5, 8) and (8, 5)`` too."""
    bare = [item.args[1] if isinstance(item, Term) and item.head == "named" else item for item in items]
    return combined(bare) if bare != items else Term("list", tuple(items))


def _is_set(item: Node) -> bool:
    return isinstance(item, Term) and (item.head in INTERVALS or item.head == "cup") and item != REALS


def _is_ray(item: Node) -> bool:
    """Whether brackets can only be an interval's: half open, or without end."""
    if not isinstance(item, Term):
        return False
    if item.head == "cup":
        return True
    return item.head in ("[)", "(]") or any(end in (INFINITY, _MINUS_INFINITY) for end in item.args)
