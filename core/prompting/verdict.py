"""What a judge's reply says: a verdict, or a choice among numbered candidates.

Only the last line of a reply is read, and strictly: a judge that ends in anything else abstains.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

import numpy as np

from widthwise.core.backend import Tokenizer
from widthwise.core.trace.token_ends import token_ends
from widthwise.core.trace.trace import Segment

_LINE_CHARS = 500
_MARKUP = " \t\r\n*_`\"'.!()[]{}$"
_CODE = re.compile(r"^```[a-zA-Z0-9]*[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\d.])\d{1,6}(?![\d]|\.\d)")


def concluded(text: str, mark: str) -> str:
    """What follows the last ``mark``; all of ``text`` if nothing does, or if ``mark`` is empty."""
    conclusion = text.rpartition(mark)[2] if mark else text
    return conclusion if conclusion.strip() else text


def choice(text: str, count: int) -> int | None:
    """The only number from 1 to ``count`` in the last line of ``text``; None for none, one out of range, or several."""
    line, _ = _last_line(text)
    named = {int(number) for number in _NUMBER.findall(line)}
    return named.pop() if len(named) == 1 and 1 <= min(named) <= count else None


def bare(text: str, words: Collection[str]) -> bool:
    """Whether ``text`` is a verdict and nothing else."""
    return text.strip(_MARKUP).lower() in words


def word(text: str, words: Sequence[str]) -> str | None:
    """The one of ``words`` in which the last line of ``text`` ends, or with which it begins; None if it is none."""
    found = _stated(text, words)
    return None if found is None else words[found[1]]


def program(text: str) -> str | None:
    """The last code block of ``text``; None if there is none."""
    blocks = _CODE.findall(text)
    return blocks[-1] if blocks else None


def printed(output: str) -> bool | None:
    """The truth value in the last line of a checking program's ``output``; None for any other line."""
    return {"True": True, "False": False}.get(output.rstrip()[-_LINE_CHARS:].rpartition("\n")[2].strip())


def verdict(segment: Segment, text: str, tokenizer: Tokenizer, words: tuple[str, str], begin: int = 0) -> float | None:
    """P(right) of a judge's reply ``segment``, which says ``text`` from character ``begin`` on; None without a verdict.

    The verdict is the first of ``words`` (right) or the second (wrong). If the most likely tokens are known where the
    verdict begins, the two are normalised against each other, with all spellings of each added up. If only the sampled
    token's log-probability is known, the other word gets the remaining probability. (GenRM, Zhang et al., arXiv
    2408.15240.)
    """
    found = _stated(text, words)
    if found is None:
        return None
    position, right = found[0], found[1] == 0
    sampled = 1.0 if right else 0.0
    token = _token_at(segment, tokenizer, begin + position)
    if token is None or segment.stats is None:
        return sampled
    if segment.stats.top_ids is not None and segment.stats.top_logprobs is not None:
        return _between(segment.stats.top_ids[token], segment.stats.top_logprobs[token], tokenizer, words, sampled)
    chance = math.exp(min(float(segment.stats.logprobs[token]), 0.0))
    return sampled if math.isnan(chance) else chance if right else 1 - chance


def _stated(text: str, words: Sequence[str]) -> tuple[int, int] | None:
    """Where the verdict begins in ``text``, and which of ``words`` it is: the last line's last word, or its first."""
    line, begin = _last_line(text)
    spelled, known = "|".join(map(re.escape, words)), [word.lower() for word in words]
    if words[0].isalpha():
        patterns = [rf"(?<!\w)(?<!or )(?<!not )({spelled})\W*$", rf"^\W*({spelled})(?=\s*[,.:;])"]
    else:
        patterns = [rf"^\s*({spelled})\s*$"]
    for pattern in patterns:
        if match := re.search(pattern, line, re.IGNORECASE):
            return begin + match.start(1), known.index(match[1].lower())
    return None


def _last_line(text: str) -> tuple[str, int]:
    """The last line that is not blank, and where it begins; if it is long, only its end counts."""
    kept = text.rstrip()
    begin = max(kept.rfind("\n") + 1, len(kept) - _LINE_CHARS)
    return kept[begin:], begin


def _token_at(segment: Segment, tokenizer: Tokenizer, position: int) -> int | None:
    """The token of ``segment`` that holds its character at ``position``."""
    ends = token_ends(tokenizer, segment.token_ids, segment.text)
    return None if ends is None else int(np.searchsorted(ends, position, side="right"))


def _between(
    ids: Sequence[int], logprobs: Sequence[float], tokenizer: Tokenizer, words: tuple[str, str], sampled: float
) -> float:
    """P(first word) against P(second word) over the tokens with which either can begin."""
    mass = [0.0, 0.0]
    for token, logprob in zip(ids, logprobs, strict=True):
        spelled = tokenizer.decode([int(token)]).strip(_MARKUP).lower()
        begun = [bool(spelled) and word.lower().startswith(spelled) for word in words]
        if any(begun) and not all(begun) and math.isfinite(logprob):
            mass[begun.index(True)] += math.exp(logprob)
    return mass[0] / sum(mass) if sum(mass) > 0 else sampled
