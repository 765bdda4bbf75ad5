"""What traces say, read as text."""

from __future__ import annotations

from widthwise.core.backend import Tokenizer
from widthwise.core.literal import Tags
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.saying import Saying
from widthwise.core.prompting.stated_score import stated_score
from widthwise.core.prompting.verdict import bare, choice, concluded, verdict, word
from widthwise.core.session.thinking import thinking_tokens
from widthwise.core.trace.excerpt import Excerpt
from widthwise.core.trace.trace import Trace


class Transcript:
    """Reads texts, verdicts, choices and excerpts from traces, as the model's format and tokenizer spell them."""

    def __init__(self, format: PromptFormat, tokenizer: Tokenizer, saying: Saying) -> None:
        self._format = format
        self._tokenizer = tokenizer
        self._saying = saying

    def said(self, trace: Trace) -> str:
        """What ``trace`` says after its thinking, without control tokens; nothing while it thinks."""
        return self._saying.said(trace)

    def response(self, trace: Trace) -> str:
        """All of ``trace``, including its thinking, without control tokens."""
        return self._saying.response(trace)

    def solution(self, trace: Trace) -> str:
        """The part of ``trace`` that a reader gets to see."""
        return concluded(self.said(trace), self._format.shown_after)

    def is_thinking(self, trace: Trace) -> bool:
        """Whether ``trace`` ends inside its thinking."""
        return self._saying.is_open(trace)

    def concluding(self, trace: Trace) -> Tags:
        """The text that makes ``trace`` state its answer at once, including what closes its thinking."""
        if not self.is_thinking(trace):
            return Tags(self._format.answer_now)
        written = trace.beginning.segment.text + trace.completion
        return Tags(self._saying.thinking.closing_of(written) + self._format.answer_now.lstrip("\n"))

    def thinking_tokens(self, trace: Trace) -> int | None:
        """How many tokens the thinking of ``trace`` has, including its closing mark; None if none is closed."""
        return thinking_tokens(trace, self._saying, self._tokenizer)

    def thought_length(self, trace: Trace) -> int:
        """The number of tokens in the trace's thinking; all that were sampled if none is closed."""
        thinking = self.thinking_tokens(trace)
        return trace.tokens if thinking is None else thinking

    def ending(self, text: str, tokens: int) -> str:
        """The last ``tokens`` tokens of ``text``; all of it if it is not longer."""
        ids = self._tokenizer.encode(text)
        return text if len(ids) <= tokens else self._tokenizer.decode(ids[len(ids) - tokens :])

    def verdict(self, trace: Trace) -> float | None:
        """The probability of "right" with which a judge's reply ends (see ``Session.verdict``)."""
        words = self._format.verdicts
        begin, text = self._saying.last(trace)
        if trace.finish != "stop" and not bare(text, words):
            return None
        return verdict(trace.segment, text, self._tokenizer, words, begin)

    def choice(self, trace: Trace, count: int) -> int | None:
        """The number from 1 to ``count`` with which a judge's reply ends; None if it names none, or several."""
        return choice(self.said(trace), count) if trace.finish == "stop" else None

    def preference(self, trace: Trace) -> float:
        """P(the first) of a reply that chooses between two (see ``Session.preference``)."""
        begin, text = self._saying.last(trace)
        stated = verdict(trace.segment, text, self._tokenizer, ("1", "2"), begin)
        return float(self.choice(trace, 2) == 1) if stated is None else stated

    def value(self, trace: Trace) -> float | None:
        """What a judge's reply says that a beginning is worth (see ``Session.value``)."""
        text, words = self.said(trace), tuple(self._format.values)
        if trace.finish != "stop" and not bare(text, words):
            return None
        said = word(text, words)
        return None if said is None else self._format.values[said]

    def grade(self, trace: Trace, least: float, most: float) -> float | None:
        """How good an answer is, by the number or the word that a judge's reply states (see ``Session.grade``)."""
        if trace.finish != "stop":
            return None
        text, grades = self.solution(trace), self._format.grades
        said = word(text, tuple(grades)) if grades else None
        return stated_score(text, least, most) if said is None else grades[said]

    def excerpt(self, trace: Trace, since: Trace) -> Excerpt:
        """What ``trace`` has grown since ``since``, without an end-of-sequence token."""
        return Excerpt.of(trace, since, self._tokenizer)

    def tail(self, excerpt: Excerpt, start: int) -> Excerpt:
        """``excerpt`` from character ``start`` on."""
        return excerpt.behind(start, self._tokenizer)

    def first(self, excerpt: Excerpt, end: int) -> Excerpt:
        """``excerpt`` up to character ``end``."""
        return excerpt.before(end, self._tokenizer)
