"""One request's answer while it comes in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from widthwise.backends.http.dialect import AnswerReader
from widthwise.core.backend import Delta, Usage


class Answer:
    """What was received, and what it cost.

    ``last`` is the delta that ends it, held back since the usage comes after it. ``stopped_here`` says that
    the end was found on this side and the server would go on.
    """

    def __init__(self, reader: AnswerReader, prompt_length: int, *, counts_alike: bool) -> None:
        self._reader = reader
        self._prompt_length = prompt_length
        self._counts_alike = counts_alike
        self.usage = Usage(0, prompt_length)
        self.last: Delta | None = None
        self.started = False
        self.stopped_here = False

    def take(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        """The deltas in one event, but for the last."""
        self._note_usage(event.get("usage") or {})
        for choice in event.get("choices") or ():
            delta = self._reader.read(choice)
            if delta.finish is not None:
                self.last = delta
                self.stopped_here = not choice.get("finish_reason")
            elif len(delta.token_ids):
                self.started = True
                yield delta

    def _note_usage(self, reported: Mapping[str, Any]) -> None:
        cached = (reported.get("prompt_tokens_details") or {}).get("cached_tokens")
        if cached and self._counts_alike:  # otherwise here everything is counted in pieces
            self.usage = Usage(cached, self._prompt_length - cached)
