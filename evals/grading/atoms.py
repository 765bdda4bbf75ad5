"""The parts of a formula: numbers, names, functions, brackets, and what is attached to them."""

from __future__ import annotations

import contextlib
from abc import abstractmethod

from widthwise.evals.grading import lexicon
from widthwise.evals.grading.terms import IMAGINARY, MARK, REALS, Node, NotUnderstood, Number, Symbol, Term, integer
from widthwise.evals.grading.tokens import END
from widthwise.evals.grading.written_numbers import WrittenNumbers, decimal

_CALLED = frozenset(["f", "g", "h", "F", "G", "H", "Phi", "Theta", "Gamma", "zeta", "O", "P"])
"""Names that are functions whatever their parentheses contain."""
_CLOSING = {"[": "]", "langle": "rangle", "lfloor": "rfloor", "lceil": "rceil", "\\{": "\\}", "{": "}"}


class Atoms(WrittenNumbers):
    """Reads parts from left to right; each method reads one kind of part or raises NotUnderstood."""

    @abstractmethod
    def sum(self) -> Node: ...

    @abstractmethod
    def product(self) -> Node: ...

    @abstractmethod
    def relation(self) -> Node: ...

    # --- Powers and what else is attached -----------------------------------------------------------------------

    def power(self) -> Node:
        with self.deeper():
            return self._attached(self.atom())

    def _attached(self, node: Node) -> Node:
        while self.at("^", "!", "!!", "%", "deg", "'"):
            self.chained()
            if self.at("^"):
                self.next()
                node = self._raised(node)
            elif self.at("'"):
                self.next()
                node = Term("call", (Symbol(MARK + "derivative"), node))
            else:
                node = Term(self.next().text, (node,))
        return node

    def _raised(self, node: Node) -> Node:
        if self.at("{") and self.ahead().text in ("circ", "deg") and self.ahead(2).text == "}":
            self._at += 3
            return Term("deg", (node,))
        if self.at("circ", "deg"):
            self.next()
            return Term("deg", (node,))
        return Term("^", (node, self._exponent()))

    def _exponent(self) -> Node:
        sign = self.next().text if self.at("-", "+") else ""
        node = decimal(self.next().text) if self.token.kind == "number" else self.atom()
        if self.at("^"):
            self.next()
            self.chained()
            node = Term("^", (node, self._exponent()))
        return Term("neg", (node,)) if sign == "-" else node

    # --- Atoms --------------------------------------------------------------------------------------------------

    def atom(self) -> Node:
        token = self.next()
        if token.kind == "number":
            return self.number(token)
        if token.kind == "letter":
            return self._name(token.text)
        if token.kind == "function":
            return self._function(token.text)
        if token.kind == "command":
            return self._command(token.text)
        if token.kind == "module" and self.at("."):
            self.next()
            return self.atom()
        if token.kind == "op":
            return self._bracketed(token.text)
        raise NotUnderstood(f"{token.text or 'nothing'} is where a number or a name should be")

    def symbol(self, name: str) -> Node:
        return _named(name)

    def _name(self, name: str) -> Node:
        """A name with its subscript and primes, called if parentheses make it a function."""
        powers: list[Node] = []
        while self.at("_", "'", "^"):
            if self.at("_"):
                self.next()
                name += f"_{self._spelling()}"
            elif primes := self._primes():
                name += primes
            elif self._raising_stays():
                break
            else:
                self.next()
                powers.append(self._exponent())
        node = self._called(name, powers) if self.at("(") else None
        if node is not None:
            return node
        node = _named(name)
        for power in powers:
            node = Term("^", (node, power))
        return node

    def _raising_stays(self) -> bool:
        """``x^\\circ`` is read together with everything else that is attached."""
        after = self.ahead(2) if self.ahead().text == "{" else self.ahead()
        return after.text in ("circ", "deg")

    def _primes(self) -> str:
        """The primes at this point: ``'``, ``^{\\prime\\prime}``."""
        start, count = self._at, 0
        while self.at("'"):
            self.next()
            count += 1
        if self.at("^") and self.ahead().text == "'":
            self.next()
            return self._primes()
        if not count and self.at("^") and self.ahead().text == "{" and self.ahead(2).text == "'":
            self._at += 2
            while self.at("'"):
                self.next()
                count += 1
            if not self.at("}"):
                self._at, count = start, 0
            else:
                self.next()
        return "'" * count

    def _spelling(self) -> str:
        """A subscript is part of the name, whatever it says."""
        if not self.at("{"):
            return self.next().text
        self.next()
        depth = 1
        parts: list[str] = []
        while self.token is not END:
            token = self.next()
            depth += (token.text == "{") - (token.text == "}")
            if depth == 0:
                return "".join(parts)
            parts.append(token.text)
        raise NotUnderstood("a subscript that is not closed")

    def _called(self, name: str, powers: list[Node]) -> Node | None:
        """``f(x)``, ``P(A|B)``, ``f^{-1}(x)``, ``x(t)``, ``I(0)``; None if the parentheses contain a factor."""
        start = self._at
        self.next()
        bars, braces = self._bars, self.in_braces
        self._bars, self.in_braces = 0, True
        with contextlib.suppress(NotUnderstood):
            items, closing = self.items()
            function = name.partition("_")[0].rstrip("'") in _CALLED or name.endswith("'")
            plain = all(isinstance(item, Number | Symbol) or _negative(item) for item in items)
            if closing == ")" and items and (function or plain):
                self._bars, self.in_braces = bars, braces
                return _call(name + "".join(f"^{_spelled(p)}" for p in powers), items)
        self._at, self._bars, self.in_braces = start, bars, braces
        return None

    # --- Functions ----------------------------------------------------------------------------------------------

    def _function(self, name: str) -> Node:
        base = power = None
        while self.at("_", "^"):
            if self.next().text == "_":
                base = self.argument() if self.token.kind != "number" else decimal(self.next().text)
            else:
                power = self._exponent()
        if power == Term("neg", (integer(1),)) or power == integer(-1):
            name, power = lexicon.INVERSES.get(name, name + "^-1"), None
        node = _applied(name, base, self._arguments(name))
        return node if power is None else Term("^", (node, power))

    def _arguments(self, name: str) -> tuple[Node, ...]:
        """In parentheses or braces, or else the product up to the next sign or function."""
        if self.at("("):
            self.next()
            items, closing = self.items()
            if closing != ")":
                raise NotUnderstood("a parenthesis that is not closed")
            return items
        if name == "sqrt" or name in ("!", "binom"):
            raise NotUnderstood(f"{name} of nothing")
        factors = [self._operand()]
        while self.token.kind != "function" and self.starts_factor() and not self.at("(", "["):
            factors.append(self._operand())
        return (factors[0] if len(factors) == 1 else Term("*", tuple(factors)),)

    def _operand(self) -> Node:
        if self.at("-"):
            self.next()
            self.chained()
            return Term("neg", (self._operand(),))
        node = self.power()
        if self.at("/") and self.ahead().kind in ("number", "letter") and isinstance(node, Number | Symbol):
            self.next()
            node = Term("/", (node, self.power()))
        return node

    # --- Brackets -----------------------------------------------------------------------------------------------

    def items(self) -> tuple[tuple[Node, ...], str]:
        """The items between commas or semicolons up to a closing bracket, and that bracket."""
        found: list[Node] = []
        if self.at(")", "]", "}", "\\}", "rangle"):
            return (), self.next().text
        while True:
            found.append(self.relation())
            closing = self.next().text
            if closing not in (",", ";"):
                return tuple(found), closing

    def _bracketed(self, opening: str) -> Node:
        if opening in ("|", "||"):
            return self._bar(opening)
        if opening in ("triangle", "angle"):
            return Symbol(f"{MARK}{opening} {self._letters()}")
        if opening not in ("(", "[", "{", "\\{", "langle", "lfloor", "lceil"):
            raise NotUnderstood(f"{opening} is where a number or a name should be")
        bars, braces = self._bars, self.in_braces
        self._bars, self.in_braces = 0, opening == "\\{"
        items, closing = self.items()
        self._bars, self.in_braces = bars, braces
        return _group(opening, items, closing)

    def _letters(self) -> str:
        letters = ""
        if self.at("{"):
            return self._spelling()
        while self.token.kind in ("letter", "word") and not self.token.text.islower():
            letters += self.next().text
            if self.at("_"):
                self.next()
                letters += f"_{self._spelling()}"
        if not letters:
            raise NotUnderstood("a figure without a name")
        return letters

    def _bar(self, bar: str) -> Node:
        self._bars += 1
        node = self.sum()
        self._bars -= 1
        self.expect(bar)
        return Term("abs", (node,)) if bar == "|" else Term("call", (Symbol(MARK + "norm"), node))

    @abstractmethod
    def _command(self, name: str) -> Node: ...


def _negative(node: Node) -> bool:
    return isinstance(node, Term) and node.head == "neg" and isinstance(node.args[0], Number | Symbol)


def _named(name: str) -> Node:
    return IMAGINARY if name in ("i", "imath") else Symbol(name)


def _call(name: str, items: tuple[Node, ...]) -> Node:
    return Term("gamma", items) if name == "Gamma" and len(items) == 1 else Term("call", (Symbol(MARK + name), *items))


def _spelled(node: Node) -> str:
    return str(node.value) if isinstance(node, Number) else repr(node)


def _applied(name: str, base: Node | None, arguments: tuple[Node, ...]) -> Node:
    head = lexicon.FUNCTIONS.get(name, name)
    if head in ("max", "min", "gcd", "lcm") and len(arguments) == 1 and isinstance(arguments[0], Term):
        arguments = arguments[0].args if arguments[0].head == "set" else arguments
    if base is not None and head != "log":
        raise NotUnderstood(f"{name} with a subscript")
    if head in ("max", "min", "gcd", "lcm"):
        named = head in ("max", "min") and len(arguments) == 1
        return Term("call", (Symbol(MARK + head), *arguments)) if named else Term(head, arguments)
    if head in ("binom", "/"):
        return _of(2, head, arguments)
    if head == "log" and base is None and len(arguments) == 2:
        return Term("log", (arguments[0], arguments[1]))
    (argument,) = _of(1, head, arguments).args
    if head == "log":
        return Term("log", (argument, base)) if base is not None else Term("ln", (argument,))
    if head == "log10":
        return Term("log", (argument, integer(10)))
    if head == "cbrt":
        return Term("root", (argument, integer(3)))
    return Term("call", (Symbol(MARK + name), argument)) if head not in _COMPUTED else Term(head, (argument,))


_COMPUTED = frozenset(lexicon.FUNCTIONS.values())


def _of(count: int, head: str, arguments: tuple[Node, ...]) -> Term:
    if len(arguments) != count:
        raise NotUnderstood(f"{head} of {len(arguments)} arguments")
    return Term(head, arguments)


def _group(opening: str, items: tuple[Node, ...], closing: str) -> Node:
    if opening in ("(", "[") and closing in (")", "]"):
        if len(items) == 1 and (opening, closing) in (("(", ")"), ("[", "]")):
            return items[0]
        if len(items) > 1:
            return Term(opening + closing, items)
    elif closing == _CLOSING.get(opening):
        if opening == "langle" and items:
            return Term("()", items)
        if opening in ("lfloor", "lceil") and len(items) == 1:
            return Term(opening[1:], items)
        if opening == "{" and len(items) == 1:
            return items[0]
        if opening == "\\{":
            return _set(items)
        if opening == "{" and items:
            return Term("list", items)
    raise NotUnderstood("brackets that do not match")


def _set(items: tuple[Node, ...]) -> Node:
    """A set; ``{x | x > 3}`` is its condition."""
    match items:
        case (Term(head, (Symbol(), *sides)),) if head.startswith("chain mid "):
            return Term("chain " + head.removeprefix("chain mid "), tuple(sides))
        case (Term(head, (Symbol(), domain, *sides)),) if head.startswith("chain in mid ") and domain == REALS:
            return Term("chain " + head.removeprefix("chain in mid "), tuple(sides))
    return Term("set", items)
