"""The parts of a trace tree that were not sampled: prompts, insertions, cut traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from widthwise.core.backend import Tokenizer
from widthwise.core.chat_options import ChatOptions
from widthwise.core.conversation import Conversation, Messages
from widthwise.core.literal import literal
from widthwise.core.plain_json import well_formed
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.trace.excerpt import Excerpt, first_tokens, joined_ids, kept_before
from widthwise.core.trace.trace import MODEL, Segment, Trace, TraceId, name

TextPieces = str | Sequence[str | Excerpt]
"""A text, or texts and pieces of other traces, end to end."""
InsertionFacts = Mapping[str, str]
"""What is kept with an insertion, by name."""

NO_FACTS: InsertionFacts = MappingProxyType({})


class Writer:
    """Writes prompts and insertions into the tree, and cuts traces; ``after`` and ``facts`` as in ``Session``.

    What is written is data, which cannot become control tokens, except for a family's own ``Tags``.
    """

    def __init__(
        self,
        tree: TraceTree,
        tokenizer: Tokenizer,
        chat: ChatOptions,
        thinking: Thinking | None = None,
        model: str = "",
    ) -> None:
        self._tree = tree
        self._named: InsertionFacts = {MODEL: model} if model else NO_FACTS
        self._tokenizer = tokenizer
        self._asked = Conversation((), chat) if thinking is None else Conversation((), chat, thinking.around)

    def prompt(
        self, place: TraceId, messages: Messages, *, after: Sequence[Trace] = (), facts: InsertionFacts = NO_FACTS
    ) -> Trace:
        """A new prompt below ``place``, from a conversation."""
        said = tuple({key: well_formed(text) for key, text in message.items()} for message in messages)
        asked = replace(self._asked, messages=said)
        ids = np.array(self._tokenizer.chat([self._read(message) for message in said], asked.options), np.int64)
        sequential = max((t.sequential for t in after), default=0)
        text, kept = self._tokenizer.decode(ids), _linked({**facts, **self._named}, after)
        segment = Segment("prompt", ids, text, metadata=kept, conversation=asked)
        return self._begin(Trace(self._tree.next_id(place), segment, None, sequential))

    def append(
        self, trace: Trace, text: TextPieces, *, after: Sequence[Trace] = (), facts: InsertionFacts = NO_FACTS
    ) -> Trace:
        """``trace`` with ``text`` appended."""
        pieces = [text] if isinstance(text, str) else [self._own(piece) for piece in text]
        ids, spelled = joined_ids(pieces, self._tokenizer)
        sequential = max(t.sequential for t in (trace, *after))
        segment = Segment("inserted", ids, spelled, metadata=_linked(facts, after))
        return self._begin(Trace(self._tree.next_id(trace.id), segment, trace, sequential))

    def cut(self, place: TraceId, trace: Trace, at: str | int) -> Trace:
        """``trace`` up to the last occurrence of a text (unchanged if there is none), or up to a token."""
        if isinstance(at, str):
            found = kept_before(trace, at, self._tokenizer)
        else:
            found = first_tokens(trace, at, self._tokenizer)
        if found is None:
            return trace
        self._tree.set_aside(trace)
        parent, kept = found
        if parent is None:  # no prompt is left that says whose trace it is
            kept = replace(kept, metadata={**kept.metadata, **self._named})
        trace_id = self._tree.next_id(place if parent is None else parent.id)
        return self._tree.keep(Trace(trace_id, kept, parent, 0 if parent is None else parent.sequential))

    def _own(self, piece: str | Excerpt) -> str | Excerpt:
        """A piece of another trace by its tokens if they are this model's, else as text."""
        if isinstance(piece, str) or piece.model == self._named.get(MODEL, ""):
            return piece
        return piece.text

    def _read(self, message: Mapping[str, str]) -> dict[str, str]:
        """A message as data: it cannot spell a control token."""
        return {key: literal(text, self._tokenizer.controls) for key, text in message.items()}

    def _begin(self, trace: Trace) -> Trace:
        return self._tree.keep(trace, fragment="thread" in trace.segment.metadata)


def _linked(facts: InsertionFacts, after: Sequence[Trace]) -> dict[str, Any]:
    """What a segment's metadata says of its origin: ``after`` which other traces, and ``facts``."""
    return {**facts, **({"after": list(map(_seen, after))} if after else {})}


def _seen(trace: Trace) -> str:
    """A trace's name, and how much of its last segment was seen if it still grows: ``0.3@128``."""
    return f"{name(trace.id)}@{len(trace.segment)}" if trace.grows else name(trace.id)
