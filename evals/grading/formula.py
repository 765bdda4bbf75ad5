"""A bounded recursive-descent parser of formulas: tokens in, one term out, and nothing is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from widthwise.evals.grading import lexicon
from widthwise.evals.grading.commands import Commands
from widthwise.evals.grading.terms import MARK, ZERO, Node, NotUnderstood, Number, Symbol, Term
from widthwise.evals.grading.tokens import Token

_SETS = {"cup": "cup", "cap": "cap", "setminus": "setminus"}


def parse(tokens: Sequence[Token]) -> Node:
    """The formula that all ``tokens`` together form. Raises NotUnderstood if they form none."""
    formula = Formula(tokens)
    node = formula.relation()
    formula.expect_end()
    return node


class Formula(Commands):
    """The levels of precedence from relations down to products."""

    def relation(self) -> Node:
        """A chain such as ``a < b = c``, followed by a modulus if it is a congruence."""
        if self.at("forall", "exists"):
            self.chained()
            return Term(self.next().text, (self.relation(),))
        node = self._comparison()
        if self.at("land", "lor"):
            self.chained()
            return Term(self.next().text, (node, self.relation()))
        return node

    def _comparison(self) -> Node:
        if self.at("lnot"):
            self.chained()
            return Term(self.next().text, (self._comparison(),))
        sides, signs = [self.ratio()], []
        while self.at(*lexicon.RELATIONS) or (self.in_braces and self.at("|", ":")):
            sign = self.next().text
            signs.append("mid" if sign in ("|", ":") else sign)
            sides.append(self.ratio())
        node = Term("chain " + " ".join(signs), tuple(sides)) if signs else sides[0]
        return self._modulus(node)

    def _modulus(self, node: Node) -> Node:
        """``... \\pmod{m}``, ``... (mod m)``, ``... \\mod m``."""
        bracket = self.at("(") and self.ahead().text == "pmod"
        if not bracket and not self.at("pmod"):
            return node
        if bracket:
            self.next()
        self.next()
        modulus = self.sum()
        if bracket:
            self.expect(")")
        return Term("modulo", (node, modulus))

    def ratio(self) -> Node:
        """``a : b : c``; numbers written as hours and minutes are marked as such."""
        first = self.token
        parts = [self.sets()]
        written = [first.text]
        while self.at(":") and not self.in_braces:
            self.next()
            written.append(self.token.text)
            parts.append(self.sets())
        if len(parts) == 1:
            return parts[0]
        clock = all(isinstance(p, Number) for p in parts) and all(len(w) == 2 and w.isdigit() for w in written[1:])
        return Term("clock" if clock else "ratio", tuple(parts))

    def sets(self) -> Node:
        node = self.sum()
        while self.at(*_SETS):
            self.chained()
            head = _SETS[self.next().text]
            other = self.sum()
            both = (*node.args, other) if isinstance(node, Term) and node.head == head != "setminus" else (node, other)
            node = Term(head, both)
        return node

    def sum(self) -> Node:
        with self.deeper():
            node = self._signed()
            while self.at("+", "-", "+-", "-+"):
                if self.at("+-", "-+"):
                    self.chained()
                node = _added(node, self.next().text, self.product())
            return node

    def _signed(self) -> Node:
        if not self.at("+", "-", "+-", "-+"):
            return self.product()
        sign = self.next().text
        if self.at("+", "-"):  # -(-3) needs its parentheses, but -+ and +- are slips
            raise NotUnderstood("two signs in a row")
        node = self.product()
        return _negated(node) if sign == "-" else node if sign == "+" else Term(sign, (ZERO, node))

    def product(self) -> Node:
        node = self.power()
        while True:
            if self.at("*", "times", "/", "mod"):
                operator = self.next().text
                if operator in ("/", "mod"):
                    self.chained()
                node = _multiplied(node, operator, self._factor())
            elif self.at("over", "choose"):
                self.chained()
                head = {"over": "/", "choose": "binom"}[self.next().text]
                node = Term(head, (node, self.product()))
            elif self.starts_factor():
                node = _multiplied(node, "", self.power())
            else:
                return node

    def _factor(self) -> Node:
        """A factor after an operator may have a sign: ``2 * -3``."""
        if self.at("-"):
            self.next()
            return _negated(self.power())
        return self.power()


def _added(node: Node, sign: str, other: Node) -> Node:
    if sign in ("+-", "-+"):
        return Term(sign, (node, other))
    addend = _negated(other) if sign == "-" else other
    return Term("+", (*node.args, addend) if isinstance(node, Term) and node.head == "+" else (node, addend))


def _negated(node: Node) -> Node:
    return node.times(Fraction(-1)) if isinstance(node, Number) else Term("neg", (node,))


def _multiplied(node: Node, operator: str, other: Node) -> Node:
    if operator in ("/", "mod"):
        return Term(operator, (node, other))
    if operator == "times" and _is_vector(node):
        return Term("call", (Symbol(MARK + "cross product"), node, other))
    if isinstance(node, Number) and (scale := _power_of_ten(other)):
        return node.times(scale)
    return Term("*", (*node.args, other) if isinstance(node, Term) and node.head == "*" else (node, other))


def _is_vector(node: Node) -> bool:
    return isinstance(node, Symbol) and (node.name == "nabla" or node.name.startswith(("vec ", "mathbf ")))


def _power_of_ten(node: Node) -> Fraction | None:
    """The value of ``10^k`` for a small k: with it, a decimal stays a decimal."""
    match node:
        case Term("^", (Number(base), Number(exponent))) if base == 10 and exponent.denominator == 1:
            return Fraction(10) ** int(exponent) if abs(exponent) <= 400 else None
    return None
