"""A piece of a trace that is put into another one, by its exact tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.backend import Tokenizer
from widthwise.core.brief import Brief
from widthwise.core.literal import Tags, literal, unguarded
from widthwise.core.plain_json import well_formed
from widthwise.core.trace.token_ends import token_ends
from widthwise.core.trace.trace import Segment, Trace, name


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt(Brief):
    """What a trace has grown since some point: ``token_ids`` ``int64 [t]``, and ``text``, which they spell.

    ``model`` is the name of the model whose tokens they are (``Trace.model``).
    """

    token_ids: IntArray
    text: str
    model: str = ""

    @classmethod
    def of(cls, trace: Trace, since: Trace, tokenizer: Tokenizer) -> Excerpt:
        """Everything after ``since``, except for a closing end-of-sequence token."""
        segments: list[Segment] = []
        node: Trace | None = trace
        while node is not None and node is not since:
            segments.append(node.segment)
            node = node.parent
        ids = np.concatenate([np.empty(0, np.int64), *(s.token_ids for s in reversed(segments))])
        text = "".join(s.text for s in reversed(segments))
        if len(ids) and int(ids[-1]) in tokenizer.eos_ids:
            text = text.removesuffix(tokenizer.decode(ids[-1:]))
            ids = ids[:-1]
        return cls(ids, text, trace.model)

    def behind(self, start: int, tokenizer: Tokenizer) -> Excerpt:
        """The excerpt from character ``start`` on; its own tokens if one begins there, else the text encoded anew."""
        if start == 0:
            return self
        text, tokens = self.text[start:], tokens_until(self.token_ids, self.text, start, tokenizer)
        if tokens is None:
            return Excerpt(read_ids(text, tokenizer), text, self.model)
        return replace(self, token_ids=self.token_ids[tokens:], text=text)

    def before(self, end: int, tokenizer: Tokenizer) -> Excerpt:
        """The excerpt up to character ``end``; its own tokens if one ends there, else the text encoded anew."""
        text, tokens = self.text[:end], tokens_until(self.token_ids, self.text, end, tokenizer)
        ids = read_ids(text, tokenizer) if tokens is None else self.token_ids[:tokens]
        return replace(self, token_ids=ids, text=text)


def tokens_until(ids: IntArray, text: str, end: int, tokenizer: Tokenizer) -> int | None:
    """How many of the tokens ``ids`` spell the first ``end`` characters of ``text``; None if none ends there."""
    if end == 0:
        return 0
    ends = token_ends(tokenizer, ids, text)
    if ends is None:
        return None
    tokens = int(np.searchsorted(ends, end, side="left"))
    return tokens + 1 if tokens < len(ends) and ends[tokens] == end else None


def read_ids(text: str, tokenizer: Tokenizer) -> IntArray:
    """The tokens of a text that is data, ``int64 [t]``: control tokens that it spells do not become such."""
    return np.array(tokenizer.encode(literal(text, tokenizer.controls)), np.int64)


def joined_ids(pieces: Iterable[str | Excerpt], tokenizer: Tokenizer) -> tuple[IntArray, str]:
    """The pieces end to end, ``int64 [t]``, and their text; neighbouring texts are encoded as one.

    A text is data, unless it belongs to the model family's own ``Tags``.
    """
    runs: list[str | Excerpt] = []
    for piece in _guarded(pieces, tokenizer):
        if isinstance(piece, str) and runs and isinstance(runs[-1], str):
            runs[-1] += piece
        else:
            runs.append(piece)
    parts = [np.array(tokenizer.encode(r), np.int64) if isinstance(r, str) else r.token_ids for r in runs]
    text = "".join("".join(unguarded(r, tokenizer.controls)) if isinstance(r, str) else r.text for r in runs)
    return np.concatenate([np.empty(0, np.int64), *parts]), text


def _guarded(pieces: Iterable[str | Excerpt], tokenizer: Tokenizer) -> Iterator[str | Excerpt]:
    """The pieces; neighbouring texts that are data, taken together, spell no control token."""
    for kind, run in groupby(filter(lambda piece: piece != "", pieces), type):
        if kind is Excerpt:
            yield from run
        else:
            text = well_formed("".join(map(str, run)))
            yield text if kind is Tags else literal(text, tokenizer.controls)


def kept_before(trace: Trace, text: str, tokenizer: Tokenizer) -> tuple[Trace | None, Segment] | None:
    """What precedes the last ``text`` in one of the segments of ``trace``: whole segments, and part of one.

    None if ``text`` does not occur.
    """
    node: Trace | None = trace
    while node is not None and text not in node.segment.text:
        node = node.parent
    if node is None:
        return None
    segment, end = node.segment, node.segment.text.rindex(text)
    tokens = tokens_until(segment.token_ids, segment.text, end, tokenizer)
    ids = segment.token_ids[:tokens] if tokens is not None else read_ids(segment.text[:end], tokenizer)
    return node.parent, Segment("inserted", ids, segment.text[:end], metadata={"cut": name(trace.id)})


def first_tokens(trace: Trace, tokens: int, tokenizer: Tokenizer) -> tuple[Trace | None, Segment]:
    """The first ``tokens`` tokens of the last segment of ``trace``, or fewer, so that no character is cut in two."""
    ids = trace.segment.token_ids[:tokens]
    while len(ids) and not trace.segment.text.startswith(tokenizer.decode(ids)):
        ids = ids[:-1]
    text = tokenizer.decode(ids) if len(ids) else ""
    return trace.parent, Segment("inserted", ids, text, metadata={"cut": name(trace.id)})
