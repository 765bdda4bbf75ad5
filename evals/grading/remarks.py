"""What a statement says besides the answer: reasons, remarks and corrections are removed; conditions stay.

``72, which is the total`` states 72. ``5 if n is even`` and ``5, which is impossible`` do not state 5, and stay whole,
so that nothing is equal to them by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FORMULA = re.compile(
    r"\$\$[^$]{1,4000}\$\$|\$[^$]{1,4000}\$|\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]"
    r"|\\(?:text\w{0,2}|mbox|mathrm)\s?\{[^{}]*\}",
    re.DOTALL,
)
_FORMULA_MARK = re.compile(r"(?<!\\)\$|(?<!\\)\\[()\[\]]")
_EMPHASIS = re.compile(r"(?<![\w)*])(\*\*\*?|__)(?=\S)([^*_\n]{1,400})(?<=\S)\1(?![\w(*])")

_SENTENCE_END = re.compile(r"(?:(?<=\d)\.(?=\s)|(?:[.?]|(?:(?<=[a-z]{2})|(?<=[*¤]))!)(?=\s+[^a-z\s]|\s*$|<)|。)")
_CHOICE_POINT = re.compile(r"\W{0,3}[A-J]\W{0,3}$")
_PROSE = re.compile(
    r"\s*(?:therefore|thus|hence|so|this|that|since|because|we|it|i|note|let|the answer|here|wait|no|but|however)\b",
    re.I,
)
_CORRECTION = re.compile(
    r"(?i)[\s,;.(—–-]+(?:no[,.]?\s+wait|wait|no,|i\s+mean|or\s+rather|correction|sorry|scratch\s+that|make\s+that|oops)"
    r"[\s,:;.!—–-]+(?:it\s+is\s+|it's\s+|make\s+it\s+)?"
)
_REMARK = re.compile(
    r"""(?ix)(?:\s*[,;(—–]\s*|\s+-+\s+|\s+)(?:
        (?:which|since|because|unlike|hence|therefore|thus|giving|using|obtained|found|rounded|altogether|overall|meaning|making)\b
      | so\b(?!\s+that\s+[a-z]\s*[=<>])
      | such\s+(?!that)[a-z]+\b(?=\s*[.,;)]?\s*$)
      | the\s+(?:last|first|second|third|smallest|largest|same|only|correct|required|desired)\b
      | as\s+(?:required|desired|claimed|needed|requested|stated|expected|wanted|asked|shown|found|computed)\b
      | as\s+(?:calculated|above|before|well|we|can|per|given|the|it|you|this|a\s+result)\b
      | by\s+(?:symmetry|induction|the|our|using|an?|am-?gm|[A-Z][a-z]{2,})
      | after\s+(?:simplif|cancel|reduc|round|substitut|comput|combin|expand|all\b)
      | when\s+(?:rounded|simplified|expressed)
      | to\s+the\s+nearest\b | to\s+(?:\d+|one|two|three|four)\s+(?:decimal|significant)\b | correct\s+to\b
      | in\s+(?:total|all\b|simplest|lowest|reduced|exact|its\s+simplest|fact|this\s+case)
      | (?:total|respectively|only|exactly)\b(?=\s*[.,;)]?\s*$)
      | i\.?\s?e\.? | that\s+is\b | this\s+(?:is|follows|gives|means|completes|matches)\b
      | and\s+(?:we\s+are\s+done|this|that|so|thus|hence|therefore)\b
      | and\s+the\s+(?:answer|solution|problem|question|equation)\b
      | for\s+(?:this|the\s+given|the)\s+(?:problem|question|reasons?)\b | to\s+(?:this|the)\s+(?:problem|question)\b
      | or\s+(?:approximately|about|roughly|equivalently)\b | (?:approximately|approx\.|about|roughly)\s*[\d$\\] | ≈
      | assuming\b(?=\s+(?:no|all|i|we)\b) | from\s+(?:the|our|above|step|part|equation)\b | with\s+(?:the|equality)\b
      | is\s+(?:the\s+)?(?:final\s+|correct\s+|right\s+)?answer\b | is\s+(?:correct|right)\b
    )|\s*[;,(—–]\s*(?:as|here|see|note|indeed|recall|observe|check|it|we|they|you|there|all\s+other|the\s+(?:other|rest))\b"""
)
_BRACKETED = re.compile(
    r"(?i)\s\((?!extraneous|reject|discard)(?:=[^()]{1,80}|[a-z]{3,}(?:-[a-z]+)?|(?!(?:mod|base|for|when|if|or|and|in|up|counting|per|as)\b)"
    r"[a-z]+(?:[ ,'-]+[a-z]+){1,20}[.!]?)\)\s*$"
)
_NOT_BUT = re.compile(r"(?i)\s*not\s+[^\s,;]{1,20},?\s+but\s+(?:rather\s+)?")
_REASON = re.compile(r"(?i)[\s,;(—–]*(?:since|because|as|so|hence|therefore|thus)\b")
"""The beginning of a reason: what a reason denies is not the answer."""
_REMARKS = (_REMARK, _BRACKETED)
_CONTRAST = re.compile(
    r"(?i)\s*,?\s*(?:and\s+|but\s+)?(?:(?:(?:the\s+answer|it)\s+is\s+)?not|rather\s+than|instead\s+of)\s+\(?\S{1,12}"
    r"(?:\s+(?:as|since|because|like)\b.*)?\s*$"
)
_PLAIN = re.compile(r"\\?\$?\(?(?:[A-J]|[-+−]?[\d.,/]{1,20})\)?\$?")
_DENIAL = re.compile(
    r"(?i)\b(?:not|no|never|cannot|can't|isn't|doesn't|wrong|incorrect|impossible|contradict\w*|invalid|fails?|false|"
    r"unless|except|if|provided)\b"
)
_COMPARING = re.compile(
    r"(?i)\b(?:less|more|fewer|greater|larger|smaller|most|least|than|over|under|above|below|between|minimum|maximum|"
    r"about|approximately|dozen|hundreds?|thousands?|[mb]illions?|either|or|half|twice|times|with|where)\b|[<>≤≥≠]"
)
_MARKUP = re.compile(r"<\|[^|]{1,20}\|>\w*|[*_`]|\\{1,2}[a-zA-Z]+(?:\{[a-z]*\})?")
_CONCLUDING = re.compile(
    r"(?i)[=:：]|[^\x00-\u00ff]{2}|\b(?:is|are|equals?|gives?|gets?|find|have|has|est|es|ist|costs?)\b"
)
_FEW_WORDS, _MANY_WORDS = 2, 5
_LABEL = r"\s*(?:so\s+)?(?:the\s+)?(?:final\s+|correct\s+|right\s+)?ans(?:wer)?\s*(?:is\b\s*[:：]?|[:：=])"
_LABELS = (
    re.compile(rf"(?is)\\text\w{{0,2}}\s?\{{{_LABEL}\s*\}}\s*(.*)"),
    re.compile(rf"(?is)\\text\w{{0,2}}\s?\{{{_LABEL}\s*(.*)\}}\s*"),
    re.compile(rf"(?is){_LABEL}\s*(.+)"),
)
_TEXT_AT_END = re.compile(r"(?s)(.*\S)\s*\\(?:text|mbox|textrm|mathrm)\s?\{([^{}]*)\}\s*\.?")
SUBJECT = re.compile(
    r"(?i)\s*(?:(?:the|its|their|our|his|her)\s+(?:[^\s.,;=]{1,40}\s+){1,16}?(?:is|are|equals)|there\s+(?:are|is)|it\s+is"
    r"|(?:we|you)\s+(?:get|have|obtain|find)|[$\w\\{}()]{1,10}\s+is)\s+"
    r"(?:(?:exactly|equal\s+to|then|therefore|thus)\s+)?(?=[-+$\\(*]?[\d$\\(*])"
)
"""The subject of a sentence that continues with a value: "the value of x is", "there are"."""
_PLACEHOLDER = re.compile(
    r"(?i)[\s.?_…*-]*|[\[<(]?(?:\\text\w{0,2}\{)?(?:your\s+|the\s+)?(?:final\s+)?(?:answer|result|solution|integer|number|value)"
    r"(?:\s+here)?\}?[\])>]?|\\(?:text\w{0,2}|boxed|fbox)\s?\{[\s.?]*\}\.?"
)
_QUOTE_END = re.compile(r"(?<=[.,!])[\"\u201d](?=\s|$)")
_DESCRIPTION = re.compile(r"\s*an?(?:\s+[^\W\d_]+(?:['’-][^\W\d_]+)?[,:;]?){4}(?!\S)")
"""Many words about the answer: "a beautiful example of mathematics"."""
_UNFINISHED = re.compile(r"(?:[+/=^(\[{−×÷]|\s[-*])\s*$|\\(?:frac|cdot|times|div)\s*$")
"""The end of a text that was cut off within a formula."""
_NO_VALUE = re.compile(
    r"(?i)(?:indeed\s+)?(?:correct|right|wrong|incorrect|unique|clear|unclear|obvious|reasonable|helpful"
    r"|(?:as\s+)?(?:above|follows|below|stated)|as\s+shown|see|shown|provided|explained|(?:with)?in\s+the|the\s+same"
    r"|(?:an?|the)\s+(?:single\s+|positive\s+|whole\s+|non-?negative\s+)?(?:integer|number|sum|product|value)s?)"
    r"\b(?!\s*\d)"
)


def answer_in(statement: str, prose: bool) -> str:
    """The answer that ``statement`` states, without remarks; empty if it states none.

    The content of a box is not prose: a remark in it is inside ``\\text{}``. A question states nothing.
    """
    text = without_label(statement)
    if prose and _UNFINISHED.search(text):
        return ""
    if prose:
        text = _within(text)
    if prose and (subject := SUBJECT.match(text)):
        text = text[subject.end() :]
    if prose and (contrast := _NOT_BUT.match(text)):
        text = text[contrast.end() :]
    if _PLACEHOLDER.fullmatch(text.strip()) or _NO_VALUE.match(text):
        return ""
    text = _EMPHASIS.sub(r"\2", text)
    if prose:
        sentence = _first_sentence(text)
        if text[len(sentence) :].startswith("?"):
            return ""
        text = _without_remark(corrected(sentence))
        if _DESCRIPTION.match(text):
            return ""
    return bare(_without_text_remark(text))


def clauses(statement: str) -> list[str]:
    """The parts of the first sentence of ``statement`` between "so" or arrows, in full."""
    text = _first_sentence(_EMPHASIS.sub(r"\2", without_label(statement)))
    parts = re.split(
        r"(?i)[,;]?\s*(?:\b(?:and\s+)?(?:so|thus|hence|therefore|giving|which\s+gives)\b|\\Rightarrow|\\implies|⇒|→)[,:]?",
        text,
    )
    return [bare(part) for part in parts]


def without_label(statement: str) -> str:
    """A box may contain the words of an answer line: ``\\boxed{\\text{ANSWER: 42}}``."""
    inside = bare(statement) if FORMULA.fullmatch(statement.strip()) else statement
    for label in _LABELS:
        if match := label.fullmatch(inside):
            return match[1]
    return statement


def bare(text: str) -> str:
    """Without surrounding formula marks, emphasis and punctuation."""
    plain = _FORMULA_MARK.sub("", text.strip(" \t\n*_`"))
    return " ".join(plain.rstrip(" \t\n.,;:*`").lstrip(" \t\n,;:*`").split())


def hidden(text: str, formulas: Iterable[re.Match[str]] | None = None) -> str:
    """``text`` with its formulas masked, character by character, so that words in them are not found."""
    covered, place = [], 0
    for match in FORMULA.finditer(text) if formulas is None else formulas:
        covered += [text[place : match.start()], "¤" * len(match[0])]
        place = match.end()
    return "".join(covered) + text[place:]


def tells(text: str) -> bool:
    """Whether ``text`` talks about an answer rather than being one: sentences, the last of which arrives at a value.

    That sentence may contain at most one formula, and must not deny or compare anything.
    """
    plain = _MARKUP.sub(" ", hidden(text))
    last = re.split(r"[.!?。]\s", plain.strip(" .!?。\n"))[-1]
    words = sum(1 if word.isascii() else 1 + len(word) // 2 for word in re.findall(r"[^\W\d_]{2,}", plain))
    if words < (_FEW_WORDS if "¤" in last else _MANY_WORDS) or len(re.findall("¤+", last)) > 1:
        return False
    return bool(_CONCLUDING.search(last)) and not (_DENIAL.search(last) or _COMPARING.search(last))


def _within(text: str) -> str:
    """``text`` up to the close of a bracket or quotation that was opened before it: "(the answer is 7)"."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0 and character == ")" and _CHOICE_POINT.fullmatch(text[:place]) is None:
            return text[:place]
    quoted = _QUOTE_END.search(text)
    return text if quoted is None else text[: quoted.start()]


def _first_sentence(text: str) -> str:
    for end in _SENTENCE_END.finditer(hidden(text)):
        choice = _CHOICE_POINT.fullmatch(text[: end.start()]) and text[end.end() :].strip()
        if not choice or _PROSE.match(text, end.end()):
            return text[: end.start()]
    return text


def corrected(text: str) -> str:
    """What follows "no wait" and the like."""
    corrections = list(_CORRECTION.finditer(hidden(text)))
    tail = text[corrections[-1].end() :] if corrections else ""
    return tail if tail.strip() else text


def _without_remark(text: str) -> str:
    text = _without_contrast(text)
    plain = hidden(text)
    remark = _REMARK.search(plain)
    if remark and plain[: remark.start()].strip(" *_`("):
        if not _REASON.match(remark[0]) and _DENIAL.search(plain):
            return text
        text = text[: remark.start()]
    text = _BRACKETED.sub("", text) if not _DENIAL.search(text) else text
    return _without_contrast(text)


def _without_contrast(text: str) -> str:
    """Without what the answer is said not to be: "7, not 8"."""
    contrast = _CONTRAST.search(text)
    if contrast and _PLAIN.fullmatch(text[: contrast.start()].strip(" *_`")):
        return text[: contrast.start()]
    return text


def _without_text_remark(text: str) -> str:
    """Like ``_without_remark``, for words in a formula: ``72 \\text{ in total}``."""
    match = _TEXT_AT_END.fullmatch(text)
    if match and not _DENIAL.search(match[2]) and any(p.match(" " + match[2].strip()) for p in _REMARKS):
        return match[1]
    return text
