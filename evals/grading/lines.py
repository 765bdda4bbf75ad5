"""Reading answers that a line, a sentence or a pair of tags states: ``ANSWER: 42``, ``The answer is 42``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from widthwise.evals.grading.remarks import SUBJECT
from widthwise.evals.grading.statement import MAX_ANSWER_CHARS, MAX_STATEMENTS, Statement, like_a_value

_SPACE = r"[ \t]{1,9}"
_LINE_START = (
    r"^[^\S\n]{0,8}(?:(?:[>#*_$`-]{1,6}|<\w{1,6}>)[^\S\n]{0,4}){0,3}(?:\\text(?:bf|it)?\{)?"
    r"(?:(?:so|thus|hence|therefore),?[ \t]{1,4})?"
    rf"(?:(?:the|my|our|final|correct|short|exact){_SPACE}){{0,3}}"
)
_ANSWER_LINE = re.compile(
    rf"(?im){_LINE_START}"
    rf"(?:answer[*_}}]{{0,4}}[ \t]{{0,9}}(?:[:：=]|->|→|[—–-][ \t])|answer{_SPACE}is\b[:：]?|ans[.:：])"
    r"[*_}]{0,4}(?:[ \t]\}|</\w{1,6}>)?"
)
_HEADER = re.compile(rf"(?im){_LINE_START}answer[*_}}#]{{0,4}}[ \t]{{0,9}}$")
_SHORT_LINE = re.compile(r"(?m)^[ \t]{0,8}A:")
_HASHES = re.compile(r"####")
_HEADING = re.compile(r"^\W{0,3}\d+[.:)](?:\s|$)|\s[A-Z][a-z]+")
_QUESTION = (
    rf"(?:this|the|our|your|that){_SPACE}(?:[a-z]{{1,12}}{_SPACE}){{0,3}}"
    r"(?:problem|question|puzzle|riddle|equation|expression|exercise|task|calculation)"
)
_BEHIND = re.compile(
    rf"(?i)(?:,{_SPACE}which)?{_SPACE}is{_SPACE}(?:the|our|my){_SPACE}(?:(?:final|correct|required|desired){_SPACE})?answer"
    rf"(?:{_SPACE}(?:to|for|of){_SPACE}{_QUESTION})?(?=[ \t]{{0,3}}(?:[.!,;)]|$|\n|since\b|because\b))"
)
"""What follows a value that is called the answer."""
_OPENING = re.compile(r"(?i)(?:(?:and|so|now|then|thus|hence|therefore|finally),?[ \t]{1,4})+")
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_CLAUSE_END = re.compile(r"(?i)[:;](?=\s)|(?:^|[^\d)}\]$]),(?=\s)|,?\s(?:so|thus|hence|therefore)\b,?")
_HEDGED = re.compile(
    r"(?i)\b(?:not|never|no|doubt\w*|if|whether|suppose|assum\w+|imagine|pretend|guess\w*|sa(?:y|ys|id)|claim\w*|think|thought"
    r"|may|maybe|might|could|perhaps|wrong|false)\b|n['’]t\b"
)
"""What precedes "7 is the answer" in a sentence that may not mean it."""
_SENTENCE = re.compile(
    r"(?i)(?<!\bif )(?<!whether )(?<!suppose )(?<!assume )(?<!assuming )"
    rf"(?:\b(?P<kind>final|correct|best|desired|required|requested|the|our|my){_SPACE}"
    rf"(?:(?P<final>final)|correct|desired|required|numerical|exact)?(?:{_SPACE}|(?<=[ \t]))(?:answers?|option|choice)"
    rf"(?:{_SPACE}(?:to|for|of){_SPACE}{_QUESTION})?"
    rf"{_SPACE}(?:is|are|=|equals|must{_SPACE}be|should{_SPACE}be|would{_SPACE}be|will{_SPACE}be)(?!\w)"
    r"|(?:(?<=so )|(?<=hence )|(?<=thus )|(?<=therefore )|(?<=, ))answer[ \t]{1,9}is\b"
    r"|(?:最终)?答案(?:是|为|為|[:：])|\br[ée]ponse(?: finale)?(?: est\b| ?:)|\brespuesta(?: final)?(?: es\b|:)"
    r"|\bantwort(?: ist\b|:)|\bответ(?: ?:|\s[—–-]))"
    r"(?:[ \t]{0,9}[:：])?"
)
DOUBT = re.compile(
    r"(?i)(?:(?<!no )(?<!beyond )(?<!without )\bdoubt(?:s|ed|ful)?\b"
    r"|\b(?:unlikely|untrue|false|wrong|unclear|uncertain)\b"
    r"|(?:\b(?:not|never|cannot|nobody|no[ -]one)|n['’]t)\b"
    r"(?!\s+(?:too\s+|very\s+)?(?:hard|difficult|surpris|only|just|forget))"
    r"|\b(?:suppose|assum(?:e|ing)|imagine|pretend)\b)[^.,;:!?\n]{0,60}(?<!so )\b(?:that|whether|if)\s$"
)
"""What precedes "the answer is 7" if the text does not assert it: "I doubt that", "it is not true that"."""
_WORD = re.compile(
    r"[Aa](?:nswer|NSWER|ntwort)|[Oo](?:ption|PTION)|[Cc](?:hoice|HOICE)|[Rr](?:[ée]ponse|espuesta)|答案|[Оо]твет"
)
_MAX_WORDS = 4 * MAX_STATEMENTS
_AROUND = 80
_TAG = re.compile(r"(?i)<(/?)(?:final_?)?answer>")
_DISPLAYED = re.compile(r"\s*(?:\\\[(.+?)\\\]|\$\$(.+?)\$\$)", re.DOTALL)
_MARKUP = " \t*_#:：}>"
_QUOTED = re.compile(r"(?m)^[ \t]*>[ \t]?")
_NEXT_LINE_WORDS = 8
_LINE_WORDS = 16
_ONLY_LINE_CHARS = 100


def answer_lines(text: str) -> Iterator[Statement]:
    """Lines such as ``ANSWER: 42`` or ``**Final answer:** 42``, or a header and the line after it; last first."""
    for match in _last(_ANSWER_LINE, text):
        yield from _line(text, match)
    for match in _last(_HEADER, text):
        yield from _line(text, match)


def short_answer_lines(text: str) -> Iterator[Statement]:
    """Lines ``A: 42``, last first."""
    for match in _last(_SHORT_LINE, text):
        said = _after(text, match.end())
        yield Statement("answer line", match.start(), said, any(map(str.isdigit, said)))


def hashes(text: str) -> Iterator[Statement]:
    """GSM8K's ``#### 42``, last first; certain if it does not look like a fourth-level heading."""
    for match in _last(_HASHES, text):
        said = text[match.end() : match.end() + MAX_ANSWER_CHARS].partition("\n")[0].strip()
        if like_a_value(said):
            yield Statement("hashes", match.start(), said, _HEADING.search(said) is None)


def sentences(text: str) -> Iterator[Statement]:
    """``The answer is 42.``, last first; certain if it calls the answer final or continues as a value does."""
    for match in _stating(text):
        if said := _after(text, match.end()):
            final = match["final"] or (match["kind"] or "").lower() == "final"
            yield Statement("sentence", match.start(), said, bool(final) or like_a_value(_without_filler(said)))


def called_answers(text: str) -> Iterator[Statement]:
    """``42 is the answer``, ``6 * 7 = 42, which is the answer``, last first; only text that follows a value."""
    for match in _last(_BEHIND, text):
        window = text[max(0, match.start() - 2 * _AROUND) : match.start()]
        sentence = _SENTENCE_END.split(window)[-1]
        said = _CLAUSE_END.split(sentence)[-1].strip(_MARKUP)
        opening = _OPENING.match(said)
        said = said[opening.end() :] if opening else said
        whole = len(sentence) < len(window) or match.start() == len(window)
        if whole and _comes_to_a_value(said) and _entire(said) and not _HEDGED.search(sentence):
            yield Statement("sentence", match.start(), said)


def tags(text: str) -> Iterator[Statement]:
    """``<answer>42</answer>``, last first; the last may lack its end, if generation stopped at it."""
    end: int | None = len(text)
    for tag in reversed(list(_TAG.finditer(text))[-2 * MAX_STATEMENTS :]):
        if tag[1]:
            end = tag.start()
        elif end is not None:
            said = " ".join(text[tag.end() : min(end, tag.end() + MAX_ANSWER_CHARS + 1)].split())
            if said and end - tag.end() <= MAX_ANSWER_CHARS:
                yield Statement("tags", tag.start(), said, end=end)
            end = None


def only_line(text: str) -> Iterator[Statement]:
    """The text itself if it is a single short line: an answer without any words."""
    line = text.strip()
    if line and len(line) <= _ONLY_LINE_CHARS and "\n" not in line:
        yield Statement("only line", 0, line)


_FILLER = re.compile(
    r"(?i)\s*(?:(?:therefore|thus|then|now|hence|simply|just|exactly|indeed|clearly|actually|that|equal\s+to|given\s+by|"
    r"(?:the\s+)?(?:number|value|integer|digit|fraction|expression)(?!\s+of)|(?:option|choice)(?=\s+\W{0,3}[A-J]\b))"
    r"(?:\s*[:,])?\s+)+"
)


def _without_filler(said: str) -> str:
    """What is stated, without "therefore" and the like before it."""
    filler = _FILLER.match(said)
    return said[filler.end() :] if filler else said


def _stating(text: str) -> list[re.Match[str]]:
    """The places where a sentence states an answer, last first; only the surroundings of its key words are searched."""
    found: list[re.Match[str]] = []
    for word in list(_WORD.finditer(text))[-_MAX_WORDS:]:
        begin = max(word.start() - _AROUND, found[-1].end() if found else 0)
        match = _SENTENCE.search(text, begin, word.end() + 2 * _AROUND)
        if match and match.start() <= word.start() and not DOUBT.search(text, begin, match.start()):
            found.append(match)
    return found[-MAX_STATEMENTS:][::-1]


def _entire(said: str) -> bool:
    """Whether all brackets that ``said`` closes are opened in it; the content of a box is read there."""
    return "boxed" not in said and all(said.count(opening) == said.count(close) for opening, close in ("()", "{}"))


def _line(text: str, match: re.Match[str]) -> Iterator[Statement]:
    said = _after(text, match.end())
    if said.endswith("$") and said.count("$") % 2:  # $\text{ANSWER: 42}$
        said = said[:-1]
    if said.endswith("}") and said.count("}") > said.count("{"):
        said = said[:-1]
    if said and (len(said.split()) <= _LINE_WORDS or _comes_to_a_value(said)):
        yield Statement("answer line", match.start(), said)


def _comes_to_a_value(said: str) -> bool:
    return like_a_value(said) or SUBJECT.match(said) is not None


def _last(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    return list(pattern.finditer(text))[-MAX_STATEMENTS:][::-1]


def _after(text: str, place: int) -> str:
    """What follows a mark: the rest of its line, else the next line; a displayed formula whole."""
    window = text[place : place + 2 * MAX_ANSWER_CHARS]
    line, _, following = window.partition("\n")
    if not line.strip(_MARKUP):
        window = _QUOTED.sub("", following).lstrip(" \t\n`")
        if len(following) - len(window) > 40:
            return ""
        line = window.partition("\n")[0]
        if not (len(line.split()) <= _NEXT_LINE_WORDS or _comes_to_a_value(line)):
            return ""
    displayed = _DISPLAYED.match(window)
    if displayed and "\n" in displayed[0]:
        return " ".join(displayed[0].split())
    return _without_filler(line.strip())
