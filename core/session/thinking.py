"""How much of a trace is thinking, in tokens."""

from __future__ import annotations

import numpy as np

from widthwise.core.backend import Tokenizer
from widthwise.core.trace.token_ends import token_ends
from widthwise.core.trace.trace import Segment, Trace


def thinking_tokens(trace: Trace, closing: str, tokenizer: Tokenizer) -> int | None:
    """How many tokens of ``trace`` were sampled up to the last ``closing``, where its thinking ends; or None."""
    for node in trace.lineage:
        if node.segment.origin != "prompt" and closing in node.segment.text:
            before = 0 if node.parent is None else node.parent.tokens
            return before + (_until(node.segment, closing, tokenizer) if node.segment.origin == "sampled" else 0)
    return None


def _until(segment: Segment, closing: str, tokenizer: Tokenizer) -> int:
    """The segment's tokens up to the one in which the last ``closing`` ends."""
    ends = token_ends(tokenizer, segment.token_ids, segment.text)
    if ends is None:  # a recording whose tokens do not spell its text
        return len(segment)
    end = segment.text.rindex(closing) + len(closing)
    return min(int(np.searchsorted(ends, end, side="left")) + 1, len(segment))
