"""What is read from a session's traces: answers, texts, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from widthwise.core.answer import AnswerClass
from widthwise.core.errors import UsageError
from widthwise.core.session.shared import Shared
from widthwise.core.session.view import View
from widthwise.core.trace.excerpt import Excerpt
from widthwise.core.trace.trace import Trace


class Reads:
    """The half of a session that reads traces; it samples nothing and charges nothing."""

    _shared: Shared
    _view: View

    def answer(self, trace: Trace) -> str | None:
        """The answer ``trace`` states; None if pruned, aborted, failed, a fragment, or without a vote (``weight``)."""
        return self._shared.answers.answer(trace)

    def stated(self, trace: Trace) -> str | None:
        """The answer ``trace`` states, whether its vote counts or not."""
        return self._shared.answers.stated(trace)

    async def classes(self, traces: Sequence[Trace]) -> list[AnswerClass]:
        """The traces that state an answer, grouped by equivalent answers, in order of first appearance.

        A class weighs the sum of its traces' votes: one each, unless a pruner says otherwise (``weight``).
        """
        if isinstance(traces, Trace):
            raise UsageError("session.classes takes a list of traces, session.classes([trace]), not a single trace")
        given = list(traces) if isinstance(traces, Iterable) else [traces]
        if strangers := [trace for trace in given if not isinstance(trace, Trace)]:
            raise UsageError(f"session.classes takes a list of traces, not {strangers[0]!r:.60}")
        return await self._shared.answers.classes(given)

    def weight(self, trace: Trace) -> float:
        """How much the trace's vote counts: 1 unless pruners say otherwise, 0 for no vote."""
        return self._shared.votes.weight(trace.id)

    async def valid(self, trace: Trace) -> bool:
        """Whether ``trace`` states an answer that passes every check possible without the reference."""
        return await self._shared.answers.valid(trace)

    def solution(self, trace: Trace) -> str:
        """What ``trace`` says to a reader: without its thinking and without control tokens."""
        return self._shared.voices.of(trace).transcript.solution(trace)

    def response(self, trace: Trace) -> str:
        """All of ``trace``, including its thinking, without control tokens."""
        return self._shared.voices.of(trace).transcript.response(trace)

    def thinking_tokens(self, trace: Trace) -> int | None:
        """How many tokens the thinking of ``trace`` has, including its closing mark; None if none is closed."""
        return self._shared.voices.of(trace).transcript.thinking_tokens(trace)

    def is_thinking(self, trace: Trace) -> bool:
        """Whether ``trace`` ends inside its thinking: it has said nothing so far."""
        return self._shared.voices.of(trace).transcript.is_thinking(trace)

    def thought_length(self, trace: Trace) -> int:
        """The number of tokens in the trace's thinking; all that were sampled if none is closed."""
        return self._shared.voices.of(trace).transcript.thought_length(trace)

    def ending(self, text: str, tokens: int) -> str:
        """The last ``tokens`` tokens of ``text``; all of it if it is not longer."""
        return self._shared.voices.of(self._view.root).transcript.ending(text, tokens)

    def excerpt(self, trace: Trace, since: Trace) -> Excerpt:
        """What ``trace`` has grown since ``since``, to be put into another trace; without an end-of-sequence token."""
        return self._shared.voices.of(trace).transcript.excerpt(trace, since)

    def tail(self, excerpt: Excerpt, start: int) -> Excerpt:
        """``excerpt`` from character ``start`` on."""
        return self._shared.voices.of(self._view.root).transcript.tail(excerpt, start)

    def begun(self, trace: Trace, end: int) -> Excerpt:
        """The first ``end`` characters that ``trace`` has written since its prompt, to be put into another trace."""
        transcript = self._shared.voices.of(trace).transcript
        return transcript.first(transcript.excerpt(trace, trace.beginning), end)

    def verdict(self, trace: Trace) -> float | None:
        """The probability of "right" with which a judge's reply ends; None if it ends without a verdict.

        Read from the log-probabilities of the verdict's token if they were recorded; else 1 or 0. A reply that was cut
        off says something only if it is nothing but a verdict.
        """
        return self._shared.voices.of(trace).transcript.verdict(trace)

    def value(self, trace: Trace) -> float | None:
        """What the beginning of a solution is worth by the word with which a judge's reply ends; None for no such word.

        The words and their worth are those of the model's prompt format. A reply that was cut off says something only
        if it is nothing but the word.
        """
        return self._shared.voices.of(trace).transcript.value(trace)

    def grade(self, trace: Trace, least: float, most: float) -> float | None:
        """The number from ``least`` to ``most`` with which a judge's reply ends, or what its word is worth; else None.

        The words and their worth are those of the model's prompt format, if it has any.
        """
        return self._shared.voices.of(trace).transcript.grade(trace, least, most)

    def choice(self, trace: Trace, count: int) -> int | None:
        """The number from 1 to ``count`` with which a judge's reply ends; None if it names none, or several."""
        return self._shared.voices.of(trace).transcript.choice(trace, count)

    def preference(self, trace: Trace) -> float:
        """The probability with which a judge's reply that chooses 1 or 2 (see ``choice``) prefers the first.

        Read from the log-probabilities of the number's token if they were recorded and the last line is nothing but the
        number; else 1 or 0.
        """
        return self._shared.voices.of(trace).transcript.preference(trace)

    def side_by_side(self, first: Trace, second: Trace) -> tuple[str, str]:
        """Both texts, without control tokens, up to the length of the shorter one, for a judge of partial solutions."""
        return self._shared.voices.of(self._view.root).questions.side_by_side(
            self.response(first), self.response(second)
        )
