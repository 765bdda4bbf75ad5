"""What an answer says, read as a whole: formulas, lists, units, times, labels, choices and words.

``understood`` gives a term, or raises NotUnderstood: then the answer is opaque text that equals only its own spelling.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from widthwise.evals.grading import lexicon
from widthwise.evals.grading.formula import parse
from widthwise.evals.grading.shapes import combined, shaped
from widthwise.evals.grading.terms import MARK, REALS, Node, NotUnderstood, Number, Symbol, Term, integer, is_value
from widthwise.evals.grading.tokens import Token, cleaned, tokenise
from widthwise.evals.grading.units import Unit, read_unit

_OPENING = frozenset(("(", "[", "{", "\\{", "langle", "lfloor", "lceil"))
_CLOSING = frozenset((")", "]", "}", "\\}", "rangle", "rfloor", "rceil"))
_REMARKS = frozenset(("where", "which", "since", "because", "as", "for", "so"))
_DENIALS = frozenset(
    ("not", "no", "never", "cannot", "wrong", "incorrect", "impossible", "invalid", "false", "contradicts", "fails")
)
"""Words of a remark that takes the answer back."""
_REALS = frozenset(("all real numbers", "all reals", "real numbers", "all real", "all real values", "any real number"))
_NONE_OF_THEM = re.compile(r"(?:there (?:is|are) )?(no(?: [a-z]+?){1,5})s?")
"""``no solution``, ``there are no solutions``."""
_ORDINALS = frozenset(("st", "nd", "rd", "th"))
_CHOICES = frozenset("ABCDEFGHIJ")
MAX_ITEMS = 200


@lru_cache(maxsize=50_000)
def understood(answer: str) -> Node:
    """The term that an answer is. Raises NotUnderstood."""
    tokens = tokenise(answer)
    while tokens and tokens[-1].text in (".", ","):
        tokens = tokens[:-1]
    if not tokens:
        raise NotUnderstood("nothing is said")
    return _answer(_without_frame(_without_ordinals(tokens)))


@lru_cache(maxsize=50_000)
def opaque(answer: str) -> str:
    """The normal spelling of an answer that is not understood."""
    try:
        return " ".join(token.text for token in tokenise(answer))
    except NotUnderstood:
        return " ".join(cleaned(answer[:4_000]).split()) + answer[4_000:]


def _without_frame(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Without the braces around everything, which LaTeX ignores: those of a box."""
    if tokens[0].text in ("boxed", "fbox") and len(tokens) > 3:
        tokens = tokens[1:]
    while len(tokens) > 2 and tokens[0].text == "{" and _encloses(tokens):
        tokens = tokens[1:-1]
    return tokens


def _without_ordinals(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """``12^{\\text{th}}`` is read as 12."""
    kept: list[Token] = []
    rest = list(tokens[::-1])
    while rest:
        texts = [token.text for token in rest[:-5:-1]]
        if kept and kept[-1].kind == "number" and texts[0] in _ORDINALS:
            rest.pop()
        elif texts[:2] == ["^", "{"] and texts[2:] and texts[2] in _ORDINALS and texts[3:] == ["}"]:
            del rest[-4:]
        elif texts[0] == "^" and texts[1:] and texts[1] in _ORDINALS:
            del rest[-2:]
        else:
            kept.append(rest.pop())
    return tuple(kept)


def _encloses(tokens: Sequence[Token]) -> bool:
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0:
            return i == len(tokens) - 1
    return False


# --- Lists ------------------------------------------------------------------------------------------------------


def _answer(tokens: Sequence[Token]) -> Node:
    if choice := _choice(tokens):
        return choice
    for separators in ((";", "\\\\"), (",", "and", "or")):
        parts, connectors = _split(tokens, separators)
        if len(parts) > MAX_ITEMS:
            raise NotUnderstood("a list that is too long")
        parts = [part for n, part in enumerate(parts) if not (n and _is_remark(part))]
        if len(parts) > 1:
            return combined([_answer(part) for part in parts], "or" in connectors)
        tokens = parts[0]
    return shaped(_clause(list(tokens)))


def _split(tokens: Sequence[Token], separators: tuple[str, ...]) -> tuple[list[list[Token]], list[str]]:
    """The parts between separators outside of brackets (none of them empty), and the separators."""
    parts: list[list[Token]] = [[]]
    connectors, depth, environment = [], 0, 0
    for i, token in enumerate(tokens):
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if token.kind == "command":
            environment += token.text.startswith("begin ") - token.text.startswith("end ")
        if depth <= 0 and environment == 0 and token.text in separators and token.kind in ("op", "word"):
            connectors.append(token.text)
            parts.append([])
        else:
            parts[-1].append(tokens[i])
    return [part for part in parts if part] or [[]], connectors


def _words(tokens: Sequence[Token]) -> set[str]:
    return {token.text for token in tokens if token.kind == "word"}


def _is_remark(part: Sequence[Token]) -> bool:
    """``where ...``, ``which is the total``, ``k \\in \\mathbb{Z}``: a remark on what precedes it."""
    if part[0].kind == "word" and part[0].text in _REMARKS:
        return len(part) > 1 and _DENIALS.isdisjoint(_words(part))
    membership = len(part) > 3 and part[0].kind == "letter" and part[1].text == "in" and part[2].text == "mathbb"
    return membership and part[4].text in ("Z", "N")


def _choice(tokens: Sequence[Token]) -> Node | None:
    """``(B)``, ``(B) 12``, ``B. 12 apples``, ``choice B``: the letter."""
    texts = [token.text for token in tokens[:4]]
    if len(tokens) == 3 and texts[0] == "(" and texts[2] == ")" and tokens[1].kind == "word" and len(texts[1]) == 1:
        return Symbol(texts[1])
    if len(tokens) >= 3 and texts[0] == "(" and texts[1] in _CHOICES and texts[2] == ")":
        apart = len(tokens) == 3 or tokens[3].spaced or tokens[3].kind in ("word", "number")
        return Symbol(texts[1]) if apart and tokens[3:4] != tokens[:1] and not _connects(tokens[3:]) else None
    if len(tokens) >= 3 and texts[0] in _CHOICES and texts[1] in (".", ")", ":") and tokens[2].spaced:
        return Symbol(texts[0]) if texts[1] != ":" or tokens[2].kind == "word" else None
    if len(tokens) in (2, 4) and texts[0] in ("option", "choice"):
        return _choice(tokens[1:]) if len(tokens) == 4 else Symbol(texts[1]) if texts[1] in _CHOICES else None
    return None


def _connects(rest: Sequence[Token]) -> bool:
    """Whether the text after a choice goes on to another choice, or takes it back."""
    return bool(_words(rest) & {"and", "or", "not", "but"}) or any(t.text in ("(", ",") for t in rest[:1])


# --- One thing --------------------------------------------------------------------------------------------------


def _clause(tokens: list[Token]) -> Node:
    tokens = _without_filler(tokens)
    if any(token.kind == "currency" for token in tokens):
        return _money(tokens)
    if not any(token.kind == "word" for token in tokens):
        return _compound_unit(tokens) or parse(tokens)
    if all(token.kind == "word" or token.text in ("-", "'", ".", "!", "?") for token in tokens):
        return _spoken(tokens)
    if (label := _word_label(tokens)) is not None:
        return label
    first = next(i for i, token in enumerate(tokens) if token.kind == "word")
    return _followed(tokens[:first], tokens[first:]) or _phrase(tokens)


def _money(tokens: list[Token]) -> Node:
    """``\\$5``, ``\\$3 \\text{ million}``: one sign, and a value."""
    signs = [token for token in tokens if token.kind == "currency"]
    node = _clause([token for token in tokens if token.kind != "currency"])
    unit = read_unit(signs[0].text)
    if len(signs) > 1 or unit is None:
        raise NotUnderstood("several signs of currency")
    return _measured(node, unit) if is_value(node) else node


def _without_filler(tokens: list[Token]) -> list[Token]:
    """Without words that introduce an answer; they stay if nothing else is said."""
    start = 0
    while start < len(tokens) and (_is_filler(tokens[start]) or (start and tokens[start].text == ":")):
        start += 1
    return tokens[start:] if start < len(tokens) else tokens


def _is_filler(token: Token) -> bool:
    return token.text in (lexicon.FILLER if token.kind == "word" else ("approx", "="))


def _spoken(tokens: list[Token]) -> Node:
    words = [t.text for t in tokens if t.text not in (".", "!")]
    text = " ".join(word for word in words if word not in lexicon.ARTICLES or len(words) == 1)
    if none := _NONE_OF_THEM.fullmatch(text):
        text = none[1]
    text = lexicon.ABBREVIATIONS.get(text, text)
    if text in _REALS:
        return REALS
    if text in lexicon.COUNTS:
        return integer(lexicon.COUNTS[text])
    return Symbol(text) if len(text) == 1 else Symbol(f"{MARK}words {text}")


def _word_label(tokens: list[Token]) -> Node | None:
    """``\\text{Anna} = 3``."""
    signs = [i for i, token in enumerate(tokens) if token.text == "=" and token.kind == "op"]
    if len(signs) != 1 or not all(token.kind in ("word", "letter") for token in tokens[: signs[0]]):
        return None
    name = " ".join(token.text for token in tokens[: signs[0]])
    if any(token.kind == "letter" for token in tokens[: signs[0]]):
        return None
    if not name or len(tokens) == signs[0] + 1:
        return None
    return Term("chain =", (Symbol(f"{MARK}words {name}"), _clause(tokens[signs[0] + 1 :])))


def _compound_unit(tokens: list[Token]) -> Node | None:
    """``9.8 m/s^2``: letters after a number that together form a unit, with a slash in it."""
    for i, token in enumerate(tokens[1:], 1):
        if token.kind == "letter" and token.spaced and tokens[i - 1].kind == "number":
            rest = tokens[i:]
            if any(t.text == "/" for t in rest) and (unit := read_unit(_text(rest), spoken=False)):
                return _measured(parse(tokens[:i]), unit)
    return None


def _followed(before: list[Token], after: list[Token]) -> Node | None:
    """A formula and words that say what is counted, how it is scaled, or what it applies to."""
    if not before:
        return None
    try:
        node = parse(before)
    except NotUnderstood:
        return None
    words = [token.text for token in after]
    if words[0] in lexicon.SCALES and isinstance(node, Number):
        scaled = node.times(Fraction(lexicon.SCALES[words[0]]))
        return scaled if len(words) == 1 else _with_unit(scaled, after[1:])
    if words[0] in ("percent", "percentage", "pct") and len(words) == 1:
        return Term("%", (node,))
    if words in (["am"], ["pm"]):
        return _time(node, words[0])
    if (based := _in_base(node, words)) is not None:
        return based
    if _qualifies(words):
        return node
    try:
        return _with_unit(node, after)
    except NotUnderstood:
        return None


def _qualifies(words: list[str]) -> bool:
    if words[0] in ("only", "exactly") and len(words) == 1:
        return True
    return words[:2] in (["in", "total"], ["as", "required"]) or words[0] in ("where", "since", "because") or (
        words[:1] == ["for"] and words[2:4] == ["in", "mathbb"]) or (
        words[0] == "for" and words[1:2] in (["all"], ["any"], ["every"], ["each"], ["some"]))  # fmt: skip


def _in_base(node: Node, words: list[str]) -> Node | None:
    if words[:-1] not in (["in", "base"], ["base"]) or not words[-1].isdigit() or not isinstance(node, Number):
        return None
    return Term("in base", (Symbol(MARK + str(node.value)), integer(int(words[-1][:4]))))


def _time(node: Node, half: str) -> Node | None:
    """Minutes since midnight."""
    parts = node.args if isinstance(node, Term) and node.head == "clock" else (node,)
    numbers = [int(part.value) for part in parts if isinstance(part, Number) and part.value.denominator == 1]
    if len(numbers) != len(parts) or not 1 <= numbers[0] <= 12 or any(n > 59 for n in numbers[1:]):
        return None
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return Term("time", (Number(Fraction((hours % 12 + 12 * (half == "pm")) * 3600 + minutes * 60 + seconds, 60)),))


def _with_unit(node: Node, after: list[Token]) -> Node | None:
    """The value with its unit; ``3 hours 30 minutes`` is a sum."""
    exponent = ("^", "{", "-")
    numbers = [i for i, token in enumerate(after) if token.kind == "number" and after[i - 1].text not in exponent]
    if not numbers:
        unit = read_unit(_text(after))
        return None if unit is None else _measured(node, unit)
    unit, rest = read_unit(_text(after[: numbers[0]])), _clause(after[numbers[0] :])
    match rest:
        case Term("measure", (Number(value), Term("unit", (Number(scale), *dimensions)))):
            if unit and isinstance(node, Number) and _dimensions(unit) == tuple(dimensions):
                return _measured(Number(node.value + value * scale / unit.scale), unit)
    return None


def _text(tokens: Sequence[Token]) -> str:
    return re.sub(r"\s*\^\s*(-?)\s*", r"^\1", re.sub(r"[{}]", "", " ".join(token.text for token in tokens)))


def _measured(node: Node, unit: Unit) -> Term:
    return Term("measure", (node, Term("unit", (Number(unit.scale), *_dimensions(unit)))))


def _dimensions(unit: Unit) -> tuple[Node, ...]:
    return tuple(part for name, power in unit.dimensions for part in (Symbol(MARK + name), integer(power)))


def _phrase(tokens: list[Token]) -> Node:
    """Words with formulas among them: equal word by word and formula by formula."""
    parts: list[Node] = []
    run: list[Token] = []
    for token in [*tokens, Token("word", "")]:
        if token.kind != "word":
            run.append(token)
            continue
        if run:
            parts.append(_piece(run))
            run = []
        if token.text and token.text not in lexicon.ARTICLES:
            parts.append(Symbol(f"{MARK}words {token.text}"))
    return Term("phrase", tuple(parts))


def _piece(run: list[Token]) -> Node:
    try:
        return parse(run)
    except NotUnderstood:
        return Symbol(f"{MARK}text {' '.join(token.text for token in run)}")
