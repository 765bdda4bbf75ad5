"""How much of a trace is thinking, in tokens."""

from __future__ import annotations

import numpy as np

from widthwise.core.backend import Tokenizer
from widthwise.core.prompting.saying import Saying
from widthwise.core.trace.token_ends import token_ends
from widthwise.core.trace.trace import Segment, Trace


def thinking_tokens(trace: Trace, saying: Saying, tokenizer: Tokenizer) -> int | None:
    """How many tokens of ``trace`` were sampled up to the last mark that closes its thinking; None if none does."""
    left = 0 if saying.is_open(trace) else len(saying.thought(trace))
    if not left:
        return None
    tokens = 0
    for segment in trace.path:
        if segment.origin != "prompt" and left > 0:
            tokens += _until(segment, left, tokenizer) if segment.origin == "sampled" else 0
            left -= len(segment.text)
    return tokens


def _until(segment: Segment, end: int, tokenizer: Tokenizer) -> int:
    """The segment's tokens up to the one that holds its character before ``end``."""
    if end >= len(segment.text):
        return len(segment)
    ends = token_ends(tokenizer, segment.token_ids, segment.text)
    if ends is None:  # a recording whose tokens do not spell its text
        return len(segment)
    return min(int(np.searchsorted(ends, end, side="left")) + 1, len(segment))
