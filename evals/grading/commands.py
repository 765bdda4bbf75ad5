"""What LaTeX commands build: fractions, roots, matrices, decorated names, derivatives, sums and integrals."""

from __future__ import annotations

from widthwise.evals.grading.atoms import Atoms
from widthwise.evals.grading.terms import (
    BOUND,
    INFINITY,
    MARK,
    ONE,
    REALS,
    Node,
    NotUnderstood,
    Number,
    Symbol,
    Term,
    words,
)
from widthwise.evals.grading.tokens import Token

_MATRICES = words("pmatrix bmatrix matrix Bmatrix smallmatrix array vmatrix")


class Commands(Atoms):
    """Reads the commands of a formula; each has a method of its own."""

    def _command(self, name: str) -> Node:
        if name.endswith("frac"):
            return self._fraction()
        if name.endswith("binom"):
            return Term("binom", (self.argument(), self.argument()))
        if name in ("boxed", "fbox", "mathit", "underline"):
            return self.argument()
        if name.startswith("begin "):
            return self._matrix(name.removeprefix("begin "))
        if name in ("infty", "emptyset", "varnothing"):
            return INFINITY if name == "infty" else Term("set")
        if name.endswith(("dots", "dotsc", "dotsb")):
            return Symbol(MARK + "dots")
        if name in ("sum", "prod"):
            return self._series(name)
        special = {"sqrt": self._root, "mathbb": self._number_set, "int": self._integral, "lim": self._limit}
        return special[name]() if name in special else self._decorated(name)

    def _root(self) -> Node:
        degree: Node | None = None
        if self.at("["):
            self.next()
            degree = self.sum()
            self.expect("]")
        inside = self._whole_argument()
        return Term("sqrt", (inside,)) if degree is None else Term("root", (inside, degree))

    def _whole_argument(self) -> Node:
        """``\\sqrt12`` means the root of twelve, whatever LaTeX prints."""
        if self.token.kind in ("number", "letter"):
            return self.atom() if self.token.kind == "number" else self.argument()
        return self.atom()

    def _decorated(self, name: str) -> Node:
        """A decorated name is a different name; a bold number is just a number."""
        inside = self._decoration() if self.at("{") and name in ("overline", "overrightarrow") else self.argument()
        if name in ("mathbf", "boldsymbol") and (isinstance(inside, Number) or _capital(inside)):
            return inside
        if name in ("hat", "bar", "vec", "dot", "ddot", "tilde", "mathbf", "mathcal") and isinstance(inside, Symbol):
            return self._name(f"{name} {inside.name}")
        return Term("call", (Symbol(MARK + name), inside))

    def _decoration(self) -> Node:
        return Symbol(f"{MARK}over " + self._spelling())

    def _number_set(self) -> Node:
        name = self._spelling()
        plus = ""
        while self.at("^", "_"):
            sign = self.next().text
            plus += sign + self._spelling()
        return REALS if name == "R" and not plus else Symbol(f"{MARK}{name}{plus}")

    # --- Fractions and derivatives ------------------------------------------------------------------------------

    def _fraction(self) -> Node:
        start = self._at
        if (derivative := self._derivative()) is not None:
            return derivative
        self._at = start
        return Term("/", (self.argument(), self.argument()))

    def _derivative(self) -> Node | None:
        """``\\frac{dy}{dx}`` is one thing, not a quotient; ``\\frac{d}{dx}`` applies to what follows."""
        above, below = self._group_tokens(), self._group_tokens()
        if not above or not below or above[0].text not in ("d", "partial") or below[0].text != above[0].text:
            return None
        if not all(t.kind == "letter" or t.text in "^_{}" or t.text.isdigit() for t in below) or len(below) < 2:
            return None
        rest, order = _after_order(above[1:])
        name = Symbol(f"{MARK}{above[0].text}{order} by {''.join(t.text for t in below if t.text not in '{}')}")
        if not rest:
            return Term("call", (name, self.power()))
        return Term("call", (name, self._parsed(rest)))

    def _group_tokens(self) -> list[Token]:
        """The tokens of a group in braces, which is skipped."""
        if not self.at("{"):
            return []
        self.next()
        depth = 1
        inside: list[Token] = []
        while self.token.kind != "end":
            token = self.next()
            depth += (token.text == "{") - (token.text == "}")
            if depth == 0:
                return inside
            inside.append(token)
        raise NotUnderstood("a brace that is not closed")

    def _parsed(self, tokens: list[Token]) -> Node:
        with self.deeper():
            part = type(self)(tokens)
            part._depth = self._depth
            node = part.relation()
            part.expect_end()
            return node

    # --- Sums, integrals, limits --------------------------------------------------------------------------------

    def _bounds(self) -> tuple[Node | None, Node | None]:
        low = high = None
        while self.at("_", "^"):
            if self.next().text == "_":
                low = self._parsed(self._group_tokens()) if self.at("{") else self._one()
            else:
                high = self._parsed(self._group_tokens()) if self.at("{") else self._one()
        return low, high

    def _one(self) -> Node:
        return self._parsed([self.next()])

    def _series(self, head: str) -> Node:
        low, high = self._bounds()
        body = self.product()
        match low:
            case Term("chain =", (Symbol(name), start)) if high is not None:
                return Term(head, (start, high, renamed(body, name)))
        raise NotUnderstood("a sum without bounds")

    def _limit(self) -> Node:
        low, high = self._bounds()
        body = self.product()
        match low:
            case Term("chain to", (Symbol(name), place)) if high is None:
                return Term("limit", (_place(place), renamed(body, name)))
        raise NotUnderstood("a limit without a place")

    def _integral(self) -> Node:
        low, high = self._bounds()
        depth, end = 0, self._at
        while self.ahead(end - self._at).kind != "end":
            token = self.ahead(end - self._at)
            depth += (token.text in "{([") - (token.text in "})]")
            if depth == 0 and token.text == "d" and self.ahead(end - self._at + 1).kind == "letter":
                break
            end += 1
        else:
            raise NotUnderstood("an integral without a variable")
        body = self._parsed(list(self._tokens[self._at : end])) if end > self._at else ONE
        name = self._tokens[end + 1].text
        self._at = end + 2
        places = tuple(_place(place) for place in (low, high) if place is not None)
        return Term("integral", (*places, renamed(body, name)))

    # --- Matrices -----------------------------------------------------------------------------------------------

    def _matrix(self, kind: str) -> Node:
        if kind not in _MATRICES:
            raise NotUnderstood(f"an environment that is not read: {kind}")
        if kind == "array":
            self._spelling()
        rows: list[Node] = []
        cells: list[Node] = []
        while True:
            cells.append(self.relation())
            mark = self.next()
            if mark.text == "&":
                continue
            rows.append(Term("row", tuple(cells)))
            cells = []
            if mark.text == "\\\\":
                if self.token.text != f"end {kind}":
                    continue
                mark = self.next()
            if mark.text != f"end {kind}":
                raise NotUnderstood("a matrix that is not closed")
            return _matrix(rows, kind)


def _matrix(rows: list[Node], kind: str) -> Node:
    if len({len(row.args) for row in rows if isinstance(row, Term)}) != 1:
        raise NotUnderstood("rows of different lengths")
    matrix = Term("matrix", tuple(rows))
    return Term("call", (Symbol(MARK + "determinant"), matrix)) if kind == "vmatrix" else matrix


def _place(node: Node) -> Node:
    """A bound of an integral, with infinity as a possible value."""
    if isinstance(node, Term) and node.head == "neg":
        return Term("neg", (_place(node.args[0]),))
    return Symbol(MARK + "infinity") if node == INFINITY else node


def _capital(node: Node) -> bool:
    return isinstance(node, Symbol) and len(node.name) == 1 and node.name.isupper()


def _after_order(tokens: list[Token]) -> tuple[list[Token], str]:
    """``^{2} y`` without its order, and the order."""
    if not tokens or tokens[0].text != "^":
        return tokens, ""
    if len(tokens) > 3 and tokens[1].text == "{":
        return tokens[4:], tokens[2].text
    return tokens[2:], tokens[1].text if len(tokens) > 1 else ""


def renamed(node: Node, name: str) -> Node:
    """``node`` with its bound variable ``name`` renamed to the common name of bound variables."""
    if isinstance(node, Symbol):
        return BOUND if node.name == name else node
    if isinstance(node, Term):
        return Term(node.head, tuple(renamed(argument, name) for argument in node.args))
    return node
