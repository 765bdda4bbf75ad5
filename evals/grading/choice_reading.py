"""Reading which of a question's options a text chooses: by its letter, or by a text that only that option has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from widthwise.evals.grading.lines import DOUBT
from widthwise.evals.grading.meaning import meaning
from widthwise.evals.grading.remarks import answer_in, corrected
from widthwise.evals.grading.statement import MAX_STATEMENTS, Statement

LETTERS = "ABCDEFGHIJ"
"""The letters of options; a question has at most that many."""

_WRAPPER = re.compile(r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mathsf|mbox|boxed|bf|rm)\s?\{([^{}]*)\}")
_MARKUP = re.compile(r"</?\w{1,6}>|\\[()\[\],;:! ]|[*`$~\"“”]|(?<!\w)'|'(?!\w)|\\q?quad(?![a-z])")
_NOUN = r"(?:(?:the\s+)?(?:correct\s+|final\s+)?(?:option|choice|letter|answer)(?:\s+is\b)?\s*:?\s*)?"
_REASON = (
    r"(?:because|since|as|due|given|rather|instead|not|and\s+(?:not|the|so|this|thus)|but"
    r"|is\s+(?:the\s+)?(?:correct|right|best))"
)
_END = rf"(?=\s*(?:$|[).,:;!\]}}]|[-–—]{{1,3}}\s|\(\s|\((?=\w)|{_REASON}\b))"
_LETTER = re.compile(
    rf"(?i:[-–—\s]*{_NOUN})(?:[(\[{{]\s*(?P<bracketed>[A-Za-z])\s*[)\]}}]|(?P<plain>[A-Z])(?![\w'’^_]){_END}"
    r"|(?P<small>[a-z])(?=\s*[).]*\s*$))"
)
_TITLED = re.compile(rf"(?i:{_NOUN})([A-J])\s+(\S.*)", re.DOTALL)
"""A letter with only a blank before the option's text: ``B Venus``."""
_ANOTHER = re.compile(
    r"[)\]}.]?\s*(?:,|/|&|\+|\b(?:and|or)\b){1,2}\s*(?:(?:and|or|option|choice|possibly|maybe|perhaps|even)\s+){0,3}[(\[]?[A-J](?=[)\],.;:/&]|\s*$|\s+(?:and|or|are)\b)"
)
_ASKED = re.compile(r"[)\]}.]?\s*\?")
_DELIMITER = re.compile(r"[)\]}]?[\s.:;,–—-]*")
_NOT_BUT = re.compile(r"(?i)^\W*not\s+\W{0,3}[a-j]\W{0,3},?\s+but\s+(?:rather\s+)?")
_LETTER_LAST = re.compile(r"(.*\S)\s*[(\[]\s*(?:(?i:option|choice)\s+)?([A-J])\s*[)\]]\W*", re.DOTALL)
"""A letter in brackets after the option's text: ``Venus (B)``."""
_MAX_LINE, _AROUND = 300, 80


def choice(statement: str, prose: bool, options: Sequence[str]) -> str | None:
    """The letter of the option that ``statement`` chooses.

    Empty if it chooses none; None if it names several, a nonexistent one, or a letter with another option's text.
    ``options`` are the texts in the order of their letters; if empty, every letter is an option.
    """
    text = plain(_NOT_BUT.sub("", corrected(statement)) if prose else statement)
    found = _LETTER.match(text)
    letter = (found["bracketed"] or found["plain"] or found["small"]).upper() if found else ""
    if not found or letter not in LETTERS:
        return _titled(text, options) or _by_text(statement, prose, options)
    rest = text[found.end() :]
    if _ASKED.match(rest):
        return ""
    if _ANOTHER.match(rest) or (options and letter not in LETTERS[: len(options)]):
        return None
    said = normal(_DELIMITER.sub("", rest, count=1).strip(" ()"))
    of_text = [LETTERS[i] for i, option in enumerate(options) if said and normal(option) == said]
    return letter if not of_text or letter in of_text else None


def _titled(text: str, options: Sequence[str]) -> str:
    found = _TITLED.fullmatch(text.strip())
    last = _LETTER_LAST.fullmatch(text.strip())
    letter, said = (found[1], found[2]) if found else (last[2], last[1]) if last else ("", "")
    place = LETTERS.index(letter) if letter else len(options)
    return letter if place < len(options) and normal(options[place]) == normal(said) else ""


def _by_text(statement: str, prose: bool, options: Sequence[str]) -> str:
    """The letter of the only option whose text is what ``statement`` says; empty if there is none, or several."""
    first, _, rest = statement.partition(",")
    alone = (first,) if prose and not _begins_another(rest, options) else ()
    for said in dict.fromkeys((statement, answer_in(statement, prose), *alone)):
        spelled = normal(said)
        same = [i for i, option in enumerate(options) if spelled and normal(option) == spelled]
        same = same or (_of_one_value(said, options) if spelled else [])
        if same:
            return LETTERS[same[0]] if len(same) == 1 else ""
    return ""


def _begins_another(rest: str, options: Sequence[str]) -> bool:
    """Whether the text after a comma continues with other options."""
    said = normal(rest)
    return said.startswith(("and ", "or ")) or any(said.startswith(normal(option)) for option in options)


def _of_one_value(said: str, options: Sequence[str]) -> list[int]:
    """The options with the same number or formula: ``0.5`` for ``\\frac12``."""
    meant = meaning(said)
    if meant.node is None:
        return []
    return [i for i, option in enumerate(options) if (its := meaning(option)).node is not None and its.key == meant.key]


def plain(text: str) -> str:
    """``text`` without emphasis, quotes and the marks of formulas."""
    for _ in range(3):
        text = _WRAPPER.sub(r"\1", text)
    return _MARKUP.sub(" ", text).strip().lstrip("> ")


def normal(text: str) -> str:
    """The common form of an option's text: case, blanks, emphasis and a final full stop do not count."""
    return " ".join(plain(text).casefold().split()).rstrip(" .")


# --- Statements that only choices are made in ------------------------------------------------------------------------

_BEST = (
    r"(?:only\s+)?(?:correct|right|best"
    r"|(?:most\s+)?(?:likely|plausible|appropriate|suitable|accurate|reasonable|probable))"
)
_CHOSEN = re.compile(
    r"(?i)(?<!\bif )(?<!whether )(?<!suppose )(?<!assume )(?<!assuming )"
    rf"\b(?:the|my|our)\s+(?:(?:final\s+|{_BEST}\s+){{0,2}}(?:answer|option|choice|letter)"
    rf"|(?:{_BEST}\s+){{1,2}}(?:statement|response|alternative|one))"
    r"\s+(?:is|must\s+be|should\s+be|would\s+be|will\s+be|has\s+to\s+be)\b(?:\s+(?:[a-z]+ly|therefore|thus|hence|then|indeed))?"
    r"\s*[:：]?|(?m:^)\W{0,4}(?:my|final|selected|chosen|best|correct)\s+(?:choice|option|selection|letter|guess)[*_]{0,2}\s*[:：]"
    r"|[\"']answer[\"']\s*:|(?<=[.!?])[ \t]+(?:final\s+)?answer\s*[:：]"
)
_PICKED = re.compile(
    r"(?i)\b(?:I|we)(?:['’]d|['’]ll|\s+would|\s+will)?\s+(?:(?:go|am\s+going)\s+with|choose|select|pick)\b"
    r"(?=\W{0,4}(?:option\W{1,4}|choice\W{1,4}|answer\W{1,4}|letter\W{1,4})?(?-i:[A-J(\[]))"
)
_CALLED_RIGHT = re.compile(
    r"(?:(?:^|[.!?:\n])\W{0,4}|(?:[Ss]o|[Tt]hus|[Hh]ence|[Tt]herefore|that|[Oo]nly)[,:]?\s+|\b(?i:option|choice|answer)\s+)"
    rf"(?P<said>[(\[]?[A-J][)\]]?(?![\w'’])[.:)]?(?:[^\S\n][^\n.?!]{{0,80}}?)?)\s+(?:is|must\s+be|seems)\s+(?:therefore\s+|thus\s+|clearly\s+)?"
    rf"(?:the\s+)?{_BEST}\b(?![^.\n]{{0,80}}\?)"
)
_BARE = re.compile(rf"\W{{0,6}}(?i:{_NOUN})\W{{0,3}}[A-Ja-j](?![\w'’])")
_CONCLUDED = re.compile(
    r"(?:^|[.!?\n])\s*(?:[Ss]o|[Tt]hus|[Hh]ence|[Tt]herefore)[,:]?\s+(?:it\s+is\s+)?([(\[]?[A-J][)\]]?)\W{0,3}$"
)


def chosen(text: str) -> Iterator[Statement]:
    """``The right answer is C``, ``I choose C``; last first. A writer may pick something other than the answer."""
    for pattern, certain in ((_CHOSEN, True), (_PICKED, False)):
        for match in list(pattern.finditer(text))[-MAX_STATEMENTS:][::-1]:
            said = text[match.end() : match.end() + _MAX_LINE].partition("\n")[0]
            if _LETTER.match(plain(said)) and not DOUBT.search(text, max(0, match.start() - _AROUND), match.start()):
                yield Statement("sentence", match.start(), said, certain)


def called_right(text: str) -> Iterator[Statement]:
    """``Option C is correct``, last first: uncertain, because a text that weighs its options says so of parts, too."""
    for match in list(_CALLED_RIGHT.finditer(text))[-MAX_STATEMENTS:][::-1]:
        yield Statement("called right", match.start("said"), match["said"], certain=False)


def standing_alone(text: str, options: Sequence[str]) -> Iterator[Statement]:
    """A choice in the last or the first line of a text, or in its last words; none if the lines list options."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or (len(lines) > 1 and all(map(_BARE.match, lines))):
        return
    if concluded := _CONCLUDED.search(text[-_MAX_LINE:].rstrip()):
        yield Statement("last words", len(text), concluded[1])
    for line in dict.fromkeys((lines[-1], lines[0])):
        if _is_bare(line, options) or (len(lines) == 1 and len(line) <= _MAX_LINE and not _LETTER.match(plain(line))):
            yield Statement("line", text.find(line), line)


def _is_bare(line: str, options: Sequence[str]) -> bool:
    """Whether a line is a letter, alone or before its option's text, and not a sentence that begins with one."""
    text = plain(line[:_MAX_LINE])
    found = _LETTER.match(text)
    if found is None or len(line) > _MAX_LINE:
        return False
    rest = normal(_DELIMITER.sub("", text[found.end() :], count=1))
    place = LETTERS.find((found["bracketed"] or found["plain"] or found["small"]).upper())
    return not rest or (0 <= place < len(options) and rest.startswith(normal(options[place])))
