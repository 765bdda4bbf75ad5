"""One spelling for the many ways to write the same answer: what can be decided by looking, without algebra.

Equal normal forms mean equal answers; different ones mean nothing yet.
"""

from __future__ import annotations

import re
from functools import lru_cache

MAX_CHARS = 2_000
"""Longer strings are only stripped."""

_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
_UNICODE = {
    "−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "÷": "/", "π": "\\pi ", "∞": "\\infty ", "°": "^\\circ",
    "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "∪": "\\cup ", "∈": "\\in ", "√": "\\sqrt", "²": "^2", "³": "^3",
    "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "\u00a0": " ", "，": ",", "：": ":", "．": ".",
}  # fmt: skip
_UNICODE_TABLE = str.maketrans(_UNICODE)

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|rm|bf|mbox|hbox|operatorname\*?)"
    r"\s*\{([^{}]*)\}"
)
_WRAPPED_IN_FORMULA = re.compile(rf"{_WRAPPER.pattern}(\s*\^\s*(?:\{{[23]\}}|[23]))?")
_ORDINAL = re.compile(r"(?<=\d)\s*\^?\{?\s*(?:\\(?:text|mathrm|textrm)\{\s*)?(?:st|nd|rd|th)\b\}{0,2}")
_UNIT_WORDS = (
    r"(?:square|cubic|sq\.?|cu\.?)?\s*(?:units?|inch(?:es)?|f(?:ee|oo)t|yards?|miles?|(?:centi|milli|kilo)?met(?:er|re)s?"
    r"|cm|mm|km|(?:kilo|milli)?grams?|kg|pounds?|lbs?|ounces?|oz|lit(?:er|re)s?|ml|gallons?|seconds?|minutes?|hours?"
    r"|days?|weeks?|months?|years?|dollars?|cents?|euros?|yuan|degrees?|radians?|mph|people|students?|ways?|grade)"
)
_UNIT_POWER = r"(?:\s*(?:\^\{?[23]\}?|per\s+\w+|/\s*\w+))?"
_UNIT = re.compile(rf"(?<=[\d}})])(?:\s|\\[ ,;])+{_UNIT_WORDS}{_UNIT_POWER}\s*\.?$", re.IGNORECASE)
_PERCENT = re.compile(r"\\?%|(?<=[\d}\s])\s*(?:percent(?:age)?|per cent|pct)\b\.?", re.I)
_DEGREES = re.compile(r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree\b|\\textdegree\b")
_SPACING = re.compile(r"\\(?:[,;:!> ]|q?quad\b|thinspace\b|medspace\b|enspace\b|hspace\*?\{[^{}]*\})|~")
_SIZING = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\.?|\\(?:displaystyle|limits)(?![a-zA-Z])")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\s*\\!|\\!\s*,|,\\,)\s*(?=\d{3}(?!\d))")
_PLAIN_THOUSANDS = re.compile(r"[-+]?\\?\$?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)")
_SPACED_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_FRACTION = re.compile(r"\\[dtc]?frac(?![a-zA-Z])\s*")
_SHORT_FRACTION = re.compile(r"\\frac(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d|[a-z]))")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(\d|[a-zA-Z])(?![a-zA-Z])")
_ONE_IN_BRACES = re.compile(r"([\^_])\{(\w)\}")
_ASSIGNED = re.compile(
    r"(?:\\?[A-Za-z]+(?:_\{?\w{1,8}\}?)?(?:\s*\([A-Za-z, ]{1,20}\))?|\([A-Za-z]\w?(?:,\s*[A-Za-z]\w?)*\))"
    r"\s*(?:=|\\in(?![a-z]))"
)
_SYNONYMS = ((r"\geqslant", r"\ge"), (r"\leqslant", r"\le"), (r"\geq", r"\ge"), (r"\leq", r"\le"), (r"\neq", r"\ne"),
             (r"\gt", ">"), (r"\lt", "<"), (r"\lbrace", r"\{"), (r"\rbrace", r"\}"), (r"\langle", "("),
             (r"\rangle", ")"), (r"\cdot", r"\times"), (r"\dotsc", r"\dots"), (r"\ldots", r"\dots"))  # fmt: skip
_SYNONYM = re.compile("|".join(rf"{re.escape(word)}(?![a-zA-Z])" for word, _ in _SYNONYMS))
_SYNONYM_TABLE = dict(_SYNONYMS)
_NEEDED_SPACE = re.compile(r"(\\[a-zA-Z]+|\d)\s+(?=([a-zA-Z\d]))")


def normalise(answer: str) -> str:
    """The normal form of an answer: no spacing, no units, one spelling of fractions, percent and numbers."""
    return _normalised(answer) if len(answer) <= MAX_CHARS else answer.strip()


@lru_cache(maxsize=100_000)
def _normalised(answer: str) -> str:
    text = _single_backslashes(answer.strip().translate(_UNICODE_TABLE))
    text = _unwrapped(_trailing_dropped(text))
    text = _without_spacing_commands(text)
    text = _without_units(text)
    text = _one_spelling(text)
    text = _without_name(text)
    text = _trailing_dropped(_without_spaces(text))
    return _cased(_leading_zero(text))


def plain_text(answer: str) -> str:
    """``answer`` with ``\\text{}`` and the like replaced by what they hold."""
    return _WRAPPER.sub(r"\1", answer)


def _single_backslashes(text: str) -> str:
    """Undo doubly escaped LaTeX; inside a matrix a double backslash ends a row."""
    return text if "\\begin" in text or "&" in text else re.sub(r"\\\\(?=[a-zA-Z])", r"\\", text)


def _unwrapped(text: str) -> str:
    """Without the dollars, brackets and boxes that enclose all of it."""
    for start, end in _DELIMITERS:
        if len(text) > len(start) + len(end) and text.startswith(start) and text.endswith(end):
            inside = text[len(start) : -len(end)]
            if start not in inside and end not in inside:
                text = inside.strip()
    if text.startswith(("\\boxed{", "\\fbox{")) and text.endswith("}") and text.count("{") == text.count("}"):
        text = text[text.index("{") + 1 : -1].strip()
    return text


def _without_spacing_commands(text: str) -> str:
    text = _THOUSANDS.sub("", text)
    text = _SPACING.sub(" ", _SIZING.sub("", text)).replace("\\$", "").replace("$", "").strip()
    return text.replace(",", "") if _PLAIN_THOUSANDS.fullmatch(text) else text


def _without_units(text: str) -> str:
    """A number keeps its percent sign and loses every other unit; words stay where they are the answer."""
    text = _PERCENT.sub("%", _DEGREES.sub("", _ORDINAL.sub("", text)))
    if any(character.isdigit() for character in _WRAPPER.sub("", text)):
        text = _WRAPPED_IN_FORMULA.sub(_kept_in_formula, text)
    return _UNIT.sub("", plain_text(text).strip())


def _kept_in_formula(match: re.Match[str]) -> str:
    """What becomes of text inside a formula: connectives and symbols stay, units and remarks go."""
    words = match[1].strip()
    if words in ("and", "or", ","):
        return " , "
    return words + (match[2] or "") if len(words) == 1 or any(c.isdigit() for c in words) else ""


def _one_spelling(text: str) -> str:
    text = _SYNONYM.sub(lambda match: _SYNONYM_TABLE[match[0]], text)
    text = _SHORT_FRACTION.sub(_full_fraction, _FRACTION.sub(r"\\frac", text))
    text = _SHORT_ROOT.sub(r"\\sqrt{\1}", text)
    return _ONE_IN_BRACES.sub(r"\1\2", text)


def _full_fraction(match: re.Match[str]) -> str:
    above, below = match[1] or match[2] or "", match[3] or match[4] or ""
    return f"\\frac{{{above.strip()}}}{{{below.strip()}}}"


def _without_name(text: str) -> str:
    """``x = 5`` and ``f(x) = 5`` are 5; an equation between more than that stays whole."""
    name = _ASSIGNED.match(text)
    rest = text[name.end() :] if name else ""
    return rest if rest.strip() and "=" not in rest and not re.search(r"[<>]|\\[lg]e(?![a-z])", rest) else text


def _without_spaces(text: str) -> str:
    """Drop blanks except those that part two numbers, two words, or a command from its letter."""
    text = " ".join(text.split())
    if _SPACED_THOUSANDS.fullmatch(text):
        return text.replace(" ", "")
    text = _NEEDED_SPACE.sub(lambda match: match[1] + _gap(match[1], match[2]), text)
    return re.sub(r"(?<![\w])\s+|\s+(?![\w])", "", text)


def _gap(before: str, after: str) -> str:
    return " " if before[-1].isdigit() == after.isdigit() else ""


def _trailing_dropped(text: str) -> str:
    return text.rstrip(" \t\r\n.,;:\\")


def _leading_zero(text: str) -> str:
    """.5 is 0.5, 007 is 7."""
    text = re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)
    return re.sub(r"^([-+]?)0+(?=\d)", r"\1", text) if re.fullmatch(r"[-+]?\d+(?:\.\d+)?", text) else text


def _cased(text: str) -> str:
    """Words are compared without case and parentheses; a single letter in parentheses is a choice."""
    if choice := re.fullmatch(r"\(([A-Z])\)", text):
        return choice[1]
    return text.lower() if len(text) > 1 and all(c.isalpha() or c in " '-" for c in text) else text
