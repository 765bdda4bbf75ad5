"""The tokens of an answer: LaTeX, plain text and Unicode mapped to one small alphabet by an allow-list."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from widthwise.evals.grading import lexicon
from widthwise.evals.grading.terms import NotUnderstood
from widthwise.evals.grading.units import UNITS

MAX_CHARS = 2_000
"""A longer text is not read as an answer: it equals only its own spelling."""
MAX_TOKENS = 800
_MAX_DIGITS = 300

_SCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789+-n0123456789n")
_SUPERSCRIPT, _SUBSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+"), re.compile("[₀₁₂₃₄₅₆₇₈₉ₙ]+")
_ROOT = re.compile("([³⁴])√")
_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": r"\div ",
    "∞": r"\infty ", "°": r"\degree ", "≤": "<=", "≥": ">=", "≠": "!=", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∉": r"\notin ", "√": r"\sqrt ", "±": r"\pm ", "∓": r"\mp ", "⁄": "/", "∕": "/", "′": "'", "’": "'", 
    "‘": "'", "“": '"', "”": '"', "¢": r"\text{ cents}", 
    "∅": r"\emptyset ", "≈": r"\approx ", "≡": r"\equiv ", "∖": r"\setminus ", "→": r"\to ", "ℝ": r"\mathbb{R}",
    "ℤ": r"\mathbb{Z}",
    "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "…": r"\dots ", "∫": r"\int ", "∑": r"\sum ",
    "∠": r"\angle ", "△": r"\triangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "。": ".", "、": ",", "∣": "|", "∶": ":", "ℓ": r"\ell ", "ħ": r"\hbar ", "∂": r"\partial ",
    "⟨": r"\langle ", "⟩": r"\rangle ",
}  # fmt: skip
_CHARACTER = re.compile("|".join(map(re.escape, _CHARACTERS)))
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\s*\\!|\\!\s*,|,\\,|\\[,;:! ])\s*(?=\d{3}(?!\d))")
_PLAIN_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d.,/])\d{1,3}(?: \d{3})+(?![\d/,]| \d)")
_BRACKETS = re.compile(r"[(\[]|\\\{|\\lbrace")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}/\d{2,4}")
_HALF_DAY = re.compile(r"(?<![A-Za-z\\])([ap])\.\s?m\.?(?![A-Za-z])", re.IGNORECASE)
_PLAIN_DERIVATIVE = re.compile(r"(?<![A-Za-z\\])d([A-Za-z])\s?/\s?d([A-Za-z])(?![A-Za-z])")
_CURRENCY = re.compile(r"(?:\bUS\s?)?\\\$|(?<![\d)}])[£€¥](?=\s?[\d.])|(?<=\d)\s?[€£¥]")

_ORDINALS = frozenset(("st", "nd", "rd", "th"))
_COLOUR = re.compile(r"\\(?:text)?color\s?\{[\w!]{1,40}\}|\\[hv]?phantom\s?\{[^{}]{0,40}\}")
_QUOTED = re.compile(r"""(["'`])(.*)\1""", re.DOTALL)
_NAMES = lexicon.GREEK | lexicon.FUNCTIONS.keys() | {"inf", "infinity", "Infinity"}
_KNOWN_WORDS = lexicon.SHORT_WORDS | lexicon.WORDS | lexicon.SCALES.keys() | lexicon.COUNTS.keys()
_PLAIN_WORDS = re.compile(r"[A-Za-z' .-]*[A-Za-z]{3}[A-Za-z' .-]*")

_TOKEN = re.compile(
    r"(?P<space>\s+|~|\\[,;:!> ]|\\hspace\*?\{[^{}]*\})"
    r"|(?P<command>\\[A-Za-z]+)\*?"
    r"|(?P<number>(?:\d+\.\d+|\.\d+|\d+\.(?!\d)|\d+)(?:[eE][-+]?\d{1,4}(?![\w.]))?)"
    r"|(?P<letters>[A-Za-z]+)"
    r"|(?P<op>\\[{}|%]|\*\*|<=|>=|==|!=|!!|->|[-+*/^_=<>!'()\[\]{},;:|%&.?])"
    r"|(?P<break>\\\\)"
    r"|(?P<greek>[\u0370-\u03ff])"
    r"|(?P<other>[^\W\d_]+)"
)


class Token(NamedTuple):
    """``kind``: number, letter (a name), function, command, op or word; ``spaced``: preceded by a blank."""

    kind: str
    text: str
    spaced: bool = False


END = Token("end", "")


def tokenise(answer: str) -> tuple[Token, ...]:
    """The tokens of an answer. Raises NotUnderstood for a text that is too long or has unknown characters."""
    if len(answer) > MAX_CHARS:
        raise NotUnderstood("too long")
    text = cleaned(answer)
    if _DATE.fullmatch(text):
        raise NotUnderstood("a date")
    words = _PLAIN_WORDS.fullmatch(text) is not None and text not in _NAMES
    found = tuple(_named(_lexed(text, words, "*" in text and "\\" not in text)))
    if len(found) > MAX_TOKENS:
        raise NotUnderstood("too many tokens")
    return found


def _named(tokens: list[Token]) -> Iterator[Token]:
    """The tokens, with words in a subscript merged into the name."""
    depth, before = 0, END
    for token in tokens:
        if depth or before.text == "_":
            depth += (token.text == "{") - (token.text == "}")
            token = token._replace(kind="letter") if token.kind == "word" else token
        yield token
        before = token


def cleaned(answer: str) -> str:
    """The answer in one character set, without dollars, doubled backslashes and closing punctuation."""
    text = _SUPERSCRIPT.sub(_raised, _SUBSCRIPT.sub(_lowered, _ROOT.sub(_rooted, answer.strip())))
    text = "".join(_fraction(c) if unicodedata.category(c) == "No" else c for c in text)
    text = _CHARACTER.sub(lambda match: _CHARACTERS[match[0]], text)
    text = _CHARACTER.sub(lambda match: _CHARACTERS[match[0]], unicodedata.normalize("NFKC", text))
    if "\\\\begin" in text or ("\\begin" not in text and "&" not in text):
        text = re.sub(r"\\\\(?=[A-Za-z\\(\[{])", r"\\", text)
    text = _without_delimiters(_COLOUR.sub("", text.replace("...", r"\dots ")))
    text = _PLAIN_DERIVATIVE.sub(r"\\frac{d\1}{d\2}", _HALF_DAY.sub(r" \1m ", _THOUSANDS.sub("", text)))
    if not _BRACKETS.search(text):
        text = _PLAIN_THOUSANDS.sub(lambda match: re.sub("[, ]", "", match[0]), text)
    text = re.sub(r"(?:[\s.,;:]|(?<!\\)\\)+$", "", text)
    return quoted[2].strip() if (quoted := _QUOTED.fullmatch(text)) else text


def _raised(match: re.Match[str]) -> str:
    return f"^{{{match[0].translate(_SCRIPTS)}}}"


def _lowered(match: re.Match[str]) -> str:
    return f"_{{{match[0].translate(_SCRIPTS)}}}"


def _rooted(match: re.Match[str]) -> str:
    return f"\\sqrt[{match[1].translate(str.maketrans('³⁴', '34'))}]"


def _fraction(character: str) -> str:
    above, bar, below = unicodedata.normalize("NFKC", character).partition("⁄")
    return f"\\frac{{{above}}}{{{below}}}" if bar and above and below else character


def _without_delimiters(text: str) -> str:
    """Without dollars and brackets around formulas, and without currency signs."""
    text = re.sub(r"(?<!\\)\$", "", _CURRENCY.sub(_currency, text))
    return re.sub(r"(?<!\\)\\[()\[\]]", " ", text).strip()


def _currency(match: re.Match[str]) -> str:
    name = {"£": "sterling", "€": "euro", "¥": "yen"}.get(match[0].strip(), "dollar")
    return f" \\{name} "


def _lexed(text: str, spoken: bool, python: bool) -> list[Token]:
    found: list[Token] = []
    position, spaced = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise NotUnderstood(f"an unknown character: {text[position]!r}")
        kind, position = match.lastgroup or "", match.end()
        if kind == "space" or (kind == "command" and match[0][1:].rstrip("*") in lexicon.IGNORED):
            spaced = True
            continue
        if kind == "command" and match["command"] in ("\\begin", "\\end"):
            inside, position = _argument(text, position)
            found.append(Token("command", f"{match['command'][1:]} {inside}", spaced))
        elif kind == "command" and match["command"][1:] in lexicon.TEXT:
            inside, position = _argument(text, position)
            found += _of_text(inside, match["command"][1:], spaced, found[-1] if found else END)
        else:
            before = found[-1] if found else END
            found += _tokens(kind, match[0], spaced, spoken, python, before, text[position : position + 1])
        spaced = False
        if len(found) > MAX_TOKENS:
            raise NotUnderstood("too many tokens")
    return found


def _argument(text: str, position: int) -> tuple[str, int]:
    """The content of the braces at ``position``, and where they end; nothing if there are none."""
    start = position + len(text[position:]) - len(text[position:].lstrip())
    if text[start : start + 1] != "{":
        return "", position
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return text[start + 1 : place], place + 1
    raise NotUnderstood("a brace that is not closed")


def _of_text(inside: str, command: str, spaced: bool, before: Token) -> list[Token]:
    """The content of ``\\text{...}``: a single letter or a function's name is mathematics, the rest is words."""
    bare = inside.strip()
    if bare in UNITS and (before.kind == "number" or before.text in (")", "}")):
        return [Token("word", bare, spaced)]
    if len(bare) == 1 and bare.isalpha() and bare.isascii() and bare == inside:
        return [Token("letter", bare, spaced)]
    if command in ("mathrm", "rm", "operatorname") and bare in lexicon.FUNCTIONS.keys() | lexicon.NAMED:
        return [Token("function", bare, spaced)]
    if command == "operatorname":
        return [Token("letter", bare, spaced)]
    tokens = _lexed(inside, True, False)
    return [t._replace(spaced=t.spaced or (i == 0)) for i, t in enumerate(tokens)]


def _tokens(kind: str, text: str, spaced: bool, spoken: bool, python: bool, before: Token, after: str) -> list[Token]:
    if kind == "command":
        return [_command(text[1:].rstrip("*"), spaced)]
    if kind == "letters":
        return _letters(text, spaced, spoken, python, before, after)
    if kind == "greek":
        return [_greek(text, spaced)]
    if kind == "number" and len(text) > _MAX_DIGITS:
        raise NotUnderstood("a number of too many digits")
    if kind == "op":
        text = {"**": "^", "==": "=", "->": "to", "\\|": "||", "\\%": "%"}.get(text, text)
    return [Token({"other": "word", "break": "op"}.get(kind, kind), text, spaced)]


def _command(name: str, spaced: bool) -> Token:
    if name in ("dollar", "sterling", "euro", "yen"):
        return Token("currency", name, spaced)
    if name in lexicon.OPERATORS:
        return Token("op", lexicon.OPERATORS[name], spaced)
    if name in lexicon.COMMANDS:
        return Token("command", name, spaced)
    if name in lexicon.FUNCTIONS or name in lexicon.NAMED:
        return Token("function", name, spaced)
    if name in lexicon.SYMBOLS:
        return Token("letter", name.removeprefix("var"), spaced)
    raise NotUnderstood(f"an unknown command: \\{name}")


def _greek(character: str, spaced: bool) -> Token:
    name = unicodedata.name(character, "").replace("FINAL ", "").replace("LAMDA", "LAMBDA").split()
    if name[:1] != ["GREEK"] or len(name) < 4:
        raise NotUnderstood(f"an unknown character: {character!r}")
    word = name[-2].lower() if name[-1] == "SYMBOL" else name[-1].lower()
    word = word.capitalize() if "CAPITAL" in name else word
    return Token("word", "Ω", spaced) if word == "Ohm" else Token("letter", word, spaced)


def _letters(run: str, spaced: bool, spoken: bool, python: bool, before: Token, after: str) -> list[Token]:
    if glued := re.fullmatch(r"(or|and)([A-Z])", run):
        return [Token("word", glued[1], True), Token("letter", glued[2], True)]
    lower = run.lower()
    if run in ("np", "math", "sympy", "sp") and after == ".":
        return [Token("module", run, spaced)]
    if run in ("oo", "inf", "infinity", "Infinity"):
        return [Token("command", "infty", spaced)]
    if run in _ORDINALS and (
        before.text in ("^", "{") or (before.kind == "number" and not spaced and not after.strip())
    ):
        return [Token("word", run, spaced)]
    if run in ("AM", "PM") and before.kind == "number":
        return [Token("word", lower, spaced)]
    if run == "mod":
        return [Token("op", "pmod", spaced)]
    if python and run in ("I", "E"):
        return [Token("letter", lower, spaced)]
    if (run in lexicon.FUNCTIONS or run in lexicon.NAMED) and not spoken and len(run) > 1:
        return [Token("function", run, spaced)]
    if run in lexicon.GREEK and not spoken:
        return [Token("letter", run.removeprefix("var"), spaced)]
    if len(run) == 1 and not spoken:
        return [Token("letter", run, spaced)]
    if spoken or _is_word(run, lower, spaced, before, after):
        return [Token("word", run if run in UNITS or len(run) == 1 else lower, spaced)]
    return [Token("letter", letter, spaced and i == 0) for i, letter in enumerate(run)]


def _is_word(run: str, lower: str, spaced: bool, before: Token, after: str) -> bool:
    """Whether consecutive letters are a word rather than a product of variables."""
    if before.kind == "number" and not spaced and lower not in ("st", "nd", "rd", "th", "am", "pm"):
        return False
    if not run.isupper() and lower in _KNOWN_WORDS:
        return True
    if run in UNITS and before.kind == "number":
        return True
    return len(run) > 3 and not (run.isupper() and len(run) < 5) and after not in ("^", "_")
