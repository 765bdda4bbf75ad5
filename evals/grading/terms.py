"""The small values that answers are read into: numbers, symbols, and terms made of a head and arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


class NotUnderstood(ValueError):
    """The text is not, as a whole, an answer of a known kind."""


@dataclass(frozen=True, slots=True)
class Number:
    """An exact value; for a decimal, also the step of its last place and its number of significant digits."""

    value: Fraction
    step: Fraction = Fraction(0)
    digits: int = 0

    def times(self, factor: Fraction) -> Number:
        return Number(self.value * factor, self.step * abs(factor), self.digits)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name: a variable, a constant, or words; names of things other than variables begin with a mark."""

    name: str


@dataclass(frozen=True, slots=True)
class Term:
    """An operation, a function or a structure (``head``) applied to ``args``."""

    head: str
    args: tuple[Node, ...] = ()


Node: TypeAlias = Number | Symbol | Term

PI, IMAGINARY, INFINITY = Symbol("pi"), Symbol("i"), Symbol("infinity")
MARK = "\0"
BOUND = Symbol(MARK + "bound")
"""What a bound variable is renamed to."""
_NAMED = frozenset({"call", "integral", "limit"})
"""Terms whose value is drawn from their names and arguments."""
CONSTANTS = frozenset({"pi", "e", "i"})
ZERO, ONE, TEN = Number(Fraction(0)), Number(Fraction(1)), Number(Fraction(10))
REALS = Term("()", (Term("neg", (INFINITY,)), INFINITY))

VALUES = words(
    "+ * / ^ neg ! !! % deg sqrt root abs floor ceil binom mod call exp ln log sin cos tan cot sec csc arcsin arccos "
    "arctan sinh cosh tanh max min gcd lcm integral sum prod limit gamma real imaginary conjugate"
)
"""Heads of terms whose value is a number."""


def integer(value: int) -> Number:
    return Number(Fraction(value))


def is_value(node: Node) -> bool:
    """Whether the node is a number, a variable or a formula made only of these."""
    if isinstance(node, Term):
        return node.head in _NAMED or (node.head in VALUES and all(map(is_value, node.args)))
    return isinstance(node, Number) or (node != INFINITY and not is_marked(node.name))


def is_marked(name: str) -> bool:
    """Whether a name does not belong to a variable but to a set, a figure, words, a function."""
    return name.startswith(MARK) and name != BOUND.name


def args_of(node: Node) -> tuple[Node, ...]:
    """The arguments of a term; nothing for a number or a name."""
    return node.args if isinstance(node, Term) else ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it."""
    yield node
    for argument in args_of(node):
        yield from walk(argument)


def symbols(node: Node) -> set[str]:
    """The names in a node."""
    return {part.name for part in walk(node) if isinstance(part, Symbol)}


def variables(node: Node) -> set[str]:
    return {name for name in symbols(node) - CONSTANTS if not name.startswith(MARK)}


def spelled(node: Node) -> str:
    """The node in prefix notation: it is shown in this form, and equals only itself."""
    if isinstance(node, Number):
        return str(node.value)
    if isinstance(node, Symbol):
        return node.name.replace(MARK, "")
    return f"{node.head}({', '.join(map(spelled, node.args))})"
