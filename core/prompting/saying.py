"""Separates what a model says to its reader from its thinking and from control tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, wraps
from typing import Any, Literal, TypeVar

import numpy as np

from widthwise.core.backend import Tokenizer
from widthwise.core.prompting.thinking import USUAL, Thinking
from widthwise.core.trace.trace import Segment, Trace

AnswerInThinking = Literal["never", "last", "text"]
"""When an answer in the thinking counts. "never"; "last": if the thinking is closed, what follows it states no answer,
and the text is not known to have come to its own end; "text": like any other text.
"""

BEGUN = "thinking_begun"
"""Key in a sample's metadata: the prompt had opened the thinking, and was not recorded."""

_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<|endoftext|>", "<end_of_turn>"),
    *("<\uff5cend\u2581of\u2581sentence\uff5c>", "<|return|>", "<|call|>", "<|end|>", "<|endofassistant|>"),
)
"""Tokens with which models end their turn."""
_LAST = ("</s>", "<eos>")
"""So do these, but they may occur in a program or a web page: they end a text only at its very end."""

_OTHERS = (
    *("<|im_start|>", "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>", "<start_of_turn>"),
    *("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"),
)
"""Other control tokens, which are not text in any family."""

END_UNKNOWN = "end_unknown"
"""Key in a sample's metadata: it was not recorded whether the sample came to its own end."""

AFTER_END = "characters_after_end"
"""Key in a segment's metadata: how many characters at its end spell the token that ends it. An earlier spelling of that
token is plain text. Only the tokens tell the difference, and a replay does not have them.
"""

_DIGITS = 10
Read = TypeVar("Read", bound=Callable[..., Any])
_Piece = tuple[str, int | None]
"""A text and where it ends, None if only the text tells. What follows the model's end was not said by it."""


def _as_its_model(read: Read) -> Read:
    """A reading of a trace that is done as the trace's own model speaks."""

    @wraps(read)
    def reading(saying: Saying, trace: Trace, *rest: Any) -> Any:
        return read(saying.for_model_of(trace), trace, *rest)

    return reading  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Saying:
    """Reads what traces say: what follows their thinking, up to their end, without control tokens.

    A trace that is cut off inside its thinking has said nothing. ``ends`` are the spelled-out end-of-sequence tokens of
    the model and ``controls`` its control tokens, where known; the common ones are always known. ``end_ids`` are the
    token ids of the ends: a text that merely spells an end has not ended there if its tokens say otherwise. ``others``
    are how the other models of a run are read, by name: a trace is read as its own model speaks.
    """

    thinking: Thinking = USUAL
    ends: tuple[str, ...] = ()
    controls: frozenset[str] = frozenset()
    end_ids: frozenset[int] = frozenset()
    others: Mapping[str, Saying] = field(default_factory=dict)

    @classmethod
    def of(cls, thinking: Thinking | None, tokenizer: Tokenizer) -> Saying:
        """For a model that marks its thinking this way; None for a model whose marks are not known."""
        ends = sorted(tokenizer.decode([end]) for end in tokenizer.eos_ids)
        return cls(thinking or USUAL, tuple(filter(None, ends)), frozenset(tokenizer.controls), tokenizer.eos_ids)

    def beside(self, others: Mapping[str, Saying]) -> Saying:
        """This one for the first of several models, with those of the others by name."""
        return replace(self, others=dict(others))

    def for_model_of(self, trace: Trace) -> Saying:
        """How the model speaks that ``trace`` belongs to."""
        return self.others.get(trace.model, self) if self.others else self

    @_as_its_model
    def begun(self, trace: Trace) -> bool:
        """Whether the trace's prompt opens the thinking."""
        recorded = any(node.segment.metadata.get(BEGUN) is True for node in trace.lineage)
        return recorded or self.thinking.begun(trace.beginning.segment.text)

    @_as_its_model
    def is_open(self, trace: Trace) -> bool:
        """Whether the trace ends inside its thinking."""
        return self.thinking.is_open(trace.completion, self.begun(trace))

    @_as_its_model
    def noted(self, trace: Trace) -> Trace:
        """The trace with a note of where its last segment ends (``AFTER_END``), if its text alone would mislead."""
        text, end = trace.segment.text, self._known_end(trace.segment)
        pieces = [*self._pieces(trace)[:-1], (text, None)]
        *_, (_, _, told) = self._spans(pieces, self.begun(trace))
        return trace if end in (None, told) else trace.annotated({AFTER_END: str(len(text) - end)})

    @_as_its_model
    def said(self, trace: Trace) -> str:
        """What the trace says to its reader."""
        return self._said(self._pieces(trace), self.begun(trace))

    @_as_its_model
    def thought(self, trace: Trace) -> str:
        """The trace's thinking, as written."""
        return self.thinking.thought(trace.completion, self.begun(trace))

    @_as_its_model
    def reasoning(self, trace: Trace) -> str:
        """The trace's thinking as text: without the marks around it and without control tokens."""
        return self._clean(self._marks_left_out(self.thought(trace)))

    @_as_its_model
    def response(self, trace: Trace) -> str:
        """The whole response, thinking included, up to its end and without control tokens."""
        return self._response(self._pieces(trace), self.begun(trace))

    @_as_its_model
    def last(self, trace: Trace) -> tuple[int, str]:
        """What the trace's last segment says, as written, and where that begins in the segment's text."""
        *_, (text, begin, end) = [("", 0, 0), *self._spans(self._pieces(trace), self.begun(trace))]
        return begin, text[begin:end]

    @_as_its_model
    def readable(self, trace: Trace, counted: AnswerInThinking) -> str:
        """The text in which to look for an answer; thinking that may count is enclosed in the usual marks.

        Thinking that was closed for the model, not by it, was cut short: it counts no more than open thinking. And a
        model that came to its own end has said everything it had to say.
        """
        ended = trace.finish == "stop" and trace.segment.metadata.get(END_UNKNOWN) is not True
        only_said = counted == "last" and (ended or self._closed_for_it(trace))
        return self._readable(self._pieces(trace), self.begun(trace), "never" if only_said else counted)

    def readable_text(self, text: str, counted: AnswerInThinking, begun: bool = False, ended: bool = False) -> str:
        """Like ``readable``, for a trace of which only the text is known.

        ``begun``: its prompt opened the thinking; ``ended``: it came to its own end.
        """
        return self._readable([(text, None)], begun, "never" if ended and counted == "last" else counted)

    def parts(self, text: str, counted: AnswerInThinking) -> list[str]:
        """The parts of a text in which to look for an answer, most trusted first."""
        pieces = [(text, None)]
        if counted == "text":
            return [self._response(pieces, begun=False)]
        return [part for part in (self._said(pieces, begun=False), self._closed(text, False, counted)) if part]

    def _readable(self, pieces: Sequence[_Piece], begun: bool, counted: AnswerInThinking) -> str:
        if counted == "text":
            return self._response(pieces, begun)
        said, thought = self._said(pieces, begun), self._closed("".join(text for text, _ in pieces), begun, counted)
        return f"<think>{self._clean(thought)}</think>{said}" if thought else said

    def _closed_for_it(self, trace: Trace) -> bool:
        """Whether the mark that closes the trace's thinking was inserted."""
        left = len(self.thought(trace))
        for segment in trace.path:
            left -= len(segment.text) if segment.origin != "prompt" else 0
            if left <= 0:
                return segment.origin == "inserted"
        return False

    def _closed(self, text: str, begun: bool, counted: AnswerInThinking) -> str:
        """The closed thinking that may count if what follows it states no answer; open thinking never counts."""
        if counted != "last" or self.thinking.is_open(text, begun):
            return ""
        return self._marks_left_out(self.thinking.thought(text, begun))

    def _marks_left_out(self, thought: str) -> str:
        for opening, closing in self.thinking.marks:
            thought = thought.replace(opening, "").replace(closing, "\n\n")
        return thought.strip()

    def _said(self, pieces: Sequence[_Piece], begun: bool) -> str:
        return self._clean("".join(text[begin:end] for text, begin, end in self._spans(pieces, begun)))

    def _response(self, pieces: Sequence[_Piece], begun: bool) -> str:
        thought = self.thinking.thought("".join(text for text, _ in pieces), begun)
        return self._clean(thought) + self._said(pieces, begun)

    def _spans(self, pieces: Sequence[_Piece], begun: bool) -> Iterator[tuple[str, int, int]]:
        """The range of each text that speaks to the reader; empty for texts before the end of the thinking."""
        start = len(self.thinking.thought("".join(text for text, _ in pieces), begun))
        for text, end in pieces:
            begin = min(max(start, 0), len(text))
            start -= len(text)
            yield text, begin, self._end(text, begin) if end is None else max(begin, end)

    def _pieces(self, trace: Trace) -> list[_Piece]:
        return [(s.text, self._known_end(s)) for s in trace.path if s.origin != "prompt"]

    def _known_end(self, segment: Segment) -> int | None:
        """Where the segment's text ends according to its tokens or a note of them; None if only the text tells."""
        text, after = segment.text, segment.metadata.get(AFTER_END)
        if segment.origin != "sampled":
            return len(text)
        if isinstance(after, str) and after.isdecimal() and len(after) < _DIGITS:
            return max(len(text) - int(after), 0)
        ended = np.isin(segment.token_ids, list(self.end_ids))
        if not self.end_ids or not len(ended) or ended[:-1].any():
            return None
        return len(text) - max((len(e) for e in self.ends if text.endswith(e)), default=0) if ended[-1] else len(text)

    def _end(self, text: str, begin: int) -> int:
        """Where the text after ``begin`` ends: before the first token that ends a turn."""
        found = [at for end in (*self.ends, *_ENDS) if (at := text.find(end, begin)) >= 0]
        end = min(found, default=len(text))
        while (kept := text[begin:end].rstrip()).endswith(_LAST):
            end = begin + len(kept) - max(len(last) for last in _LAST if kept.endswith(last))
        return end

    def _clean(self, text: str) -> str:
        """``text`` without control tokens, and without thinking marks that consist of them."""
        thinking = self.thinking
        return _steering(self.controls, self.ends, thinking.close, thinking.marks).sub(_blank, text)


def _blank(found: re.Match[str]) -> str:
    return "\n\n" if found.lastgroup == "close" else ""


@lru_cache(maxsize=64)
def _steering(
    controls: frozenset[str], ends: tuple[str, ...], close: str, marks: tuple[tuple[str, str], ...]
) -> re.Pattern[str]:
    """Matches what is not text: control tokens, and the marks of thinking that contain them."""
    tokens = sorted({*controls, *ends, *_ENDS, *_OTHERS}, key=len, reverse=True)
    made = [mark for pair in marks for mark in pair if any(token in mark for token in tokens)]
    closing = f"(?P<close>{re.escape(close)})|" if any(token in close for token in tokens) else ""
    return re.compile(closing + "|".join(map(re.escape, (*made, *tokens))))
