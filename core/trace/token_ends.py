"""Where each of the tokens that spell a text ends in it."""

from __future__ import annotations

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.backend import Tokenizer

_INCOMPLETE = "\ufffd"
"""What a tokenizer decodes an incomplete character's bytes to."""


def token_ends(tokenizer: Tokenizer, ids: IntArray, text: str) -> IntArray | None:
    """Characters of ``text`` up to the end of each of the tokens ``ids`` that spell it, ``int64 [t]``.

    Of the tokens that share one character, all but the last end before it. None if the tokens, one by one, do not spell
    the text.
    """
    distinct, places = np.unique(ids, return_inverse=True)
    spellings = [tokenizer.decode([token]) for token in distinct.tolist()]
    ends, spelled, begin = [], 0, 0
    for i, place in enumerate(places.tolist()):
        piece = spellings[place] if begin == i else tokenizer.decode(ids[begin : i + 1])
        if not piece.endswith(_INCOMPLETE) or i + 1 == len(ids):
            if not text.startswith(piece, spelled):
                return None
            spelled, begin = spelled + len(piece), i + 1
        ends.append(spelled)
    return np.array(ends, np.int64) if spelled == len(text) else None
