"""The answer to one request, as it arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from widthwise.backends.http.dialect import AnswerReader
from widthwise.backends.http.finish import ended_by, is_answer
from widthwise.backends.http.stream import Batch, EndedInError
from widthwise.core.backend import Delta, Request, Usage
from widthwise.core.errors import BackendError


class Answer:
    """What was received, and what it cost.

    ``last`` is the delta that ends the answer, held back because the usage arrives after it. ``stopped_here`` says that
    the end was found on this side and the server would have gone on.
    """

    def __init__(self, reader: AnswerReader, request: Request, *, counts_alike: bool) -> None:
        self._reader = reader
        self._request = request
        self._counts_alike = counts_alike
        self._counted = 0
        self._used: Mapping[str, Any] = {}
        self.usage = Usage(0, len(request.prompt))
        self.last: Delta | None = None
        self.started = False
        self.stopped_here = False

    def take(self, batch: Batch) -> Iterator[Delta]:
        """The deltas in what arrived, except for the last.

        Raises EndedInError if the server ended the answer in any other way than by its end or its limit.
        """
        plain: list[Mapping[str, Any]] = []
        for event in batch.events:
            if event.get("usage"):
                self._note_usage(event["usage"])
            for choice in listed(event.get("choices")) if self.last is None else ():
                if not _brings_more(choice):
                    plain.append(choice)
                    continue
                yield from self._of_plain(plain)
                yield from self._of_last(choice)
        yield from self._of_plain(plain)
        if batch.done and self.last is None and self.started:
            self.last = self._end()

    @property
    def end(self) -> Delta:
        """The last delta, with everything the server has said about usage."""
        assert self.last is not None
        return replace(self._reader.ended(self.last, self._used), usage=self.usage)

    def failure(self, error: BackendError) -> BackendError:
        """What ``error`` means for this answer: if the server reports it after the beginning, the answer is void."""
        if isinstance(error, EndedInError) and self.started:
            return BackendError(str(error))
        return error

    def _of_plain(self, choices: list[Mapping[str, Any]]) -> Iterator[Delta]:
        """The delta of pieces that arrived together, which are removed from the list."""
        if choices and self.last is None:
            yield from self._noted(self._reader.read_plain(choices), stopped_here=True)
        choices.clear()

    def _of_last(self, choice: Mapping[str, Any]) -> Iterator[Delta]:
        """The delta of a piece that may be the last, or that comes with log-probabilities."""
        if self.last is None:
            reason = choice.get("finish_reason")
            yield from self._noted(self._reader.read(choice), stopped_here=not reason)
            if self.last is None and not is_answer(reason):
                raise EndedInError(ended_by(reason))

    def _noted(self, delta: Delta, *, stopped_here: bool) -> Iterator[Delta]:
        if delta.finish is not None:
            self.last, self.stopped_here = delta, stopped_here
        elif len(delta.token_ids):
            self.started = True
            yield delta

    def _end(self) -> Delta:
        """The end of an answer that the server ended without a reason: "length" if it used up its limit."""
        limit = self._request.params.max_tokens
        cut = limit is not None and self._counted >= limit
        return Delta(np.empty(0, np.int64), finish="length" if cut else "stop")

    def _note_usage(self, reported: Any) -> None:
        if not isinstance(reported, Mapping):
            return
        self._used = reported
        self._counted = max(self._counted, whole_number(reported.get("completion_tokens")))
        details = reported.get("prompt_tokens_details")
        cached = whole_number(details.get("cached_tokens")) if isinstance(details, Mapping) else 0
        if cached and self._counts_alike:  # otherwise everything here is counted in pieces
            cached = min(cached, len(self._request.prompt))
            self.usage = Usage(cached, len(self._request.prompt) - cached)


def _brings_more(choice: Mapping[str, Any]) -> bool:
    """Whether a piece carries more than what was sampled."""
    return bool(choice.get("finish_reason") or choice.get("logprobs") or choice.get("prompt_logprobs"))


def listed(choices: Any) -> list[Mapping[str, Any]]:
    """The choices of an event, whatever the event has in their place."""
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def whole_number(value: Any) -> int:
    """A count that a server reports; 0 for anything that is not a count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
