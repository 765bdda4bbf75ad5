"""Keeps the thinking of traces within a budget of tokens: one trace of a draw may be sampled in several pieces."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Literal

from widthwise.core.backend import SamplingParams
from widthwise.core.errors import UsageError
from widthwise.core.literal import Tags
from widthwise.core.problem import Problem
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.conditions import recorded_prompt
from widthwise.core.session.setting import Setting
from widthwise.core.session.thought_budget import ThoughtBudget
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.session.writer import Writer
from widthwise.core.trace.trace import Segment, Trace, TraceId, name

Turn = Literal["closed", "again", "said"]
"""What happens between two pieces of a trace. "closed": its thinking was closed at the limit. "again": it thinks on,
and its closing mark is replaced. "said": nothing is inserted, because the trace ended its thinking itself or did not
think at all.
"""


class Thoughts:
    """Says where a draw begins under a budget, how far a trace's next piece goes, and what comes between pieces.

    A piece of thinking ends where the backend stops it: at a closing mark or at the limit. So every token is sampled,
    charged and recorded like any other, and inserted text is known to be inserted. ``answer_now`` asks for the answer
    after thinking that was closed.
    """

    def __init__(self, problem: Problem, setting: Setting, tree: TraceTree, writer: Writer, accounts: Accounts) -> None:
        self._problem = problem
        self._marks = setting.thinking
        self._saying = setting.saying
        self._answer_now = setting.format.answer_now
        self._backend, self._tokenizer = setting.backend, setting.tokenizer
        self._context = setting.backend.max_model_len
        self._tree = tree
        self._writer = writer
        self._accounts = accounts
        self._begun: dict[TraceId, Trace] = {}

    def begun(self, trace: Trace, budget: ThoughtBudget | None, *, judging: bool) -> Trace:
        """Where a draw from ``trace`` begins: after its thinking, if that is to be left out or is used up."""
        if budget is None or budget.tokens is None or not self._thinks(trace) or trace.tokens < budget.tokens:
            return trace
        if trace.id not in self._begun:
            started = bool(trace.completion.strip()) or not budget.leaves_out
            text = self._closing(trace, judging) if started else Tags(self._thinking.left_out(self._prompt(trace)))
            fact = "spent" if started else "left out"
            self._begun[trace.id] = self._writer.append(trace, text, facts={"thought": fact})
        return self._begun[trace.id]

    def bounded(self, trace: Trace, budget: ThoughtBudget | None, params: SamplingParams) -> SamplingParams:
        """How the next piece of ``trace`` is sampled, given the ``params`` of everything drawn there."""
        if budget is None or not self._thinks(trace) or not (budget.tokens is not None or self._waits(trace, budget)):
            return params
        left = None if budget.tokens is None else budget.tokens - trace.tokens
        limits = [limit for limit in (left, params.max_tokens) if limit is not None]
        stop = dict.fromkeys((*params.stop, *self._thinking.closing))
        return replace(params, stop=tuple(stop), max_tokens=min(limits, default=None))

    def turn(self, piece: Trace, budget: ThoughtBudget, params: SamplingParams, *, judging: bool) -> Turn | None:
        """What follows ``piece``, which has ended; None if the trace ends with it."""
        assert piece.parent is not None
        if not self._thinks(piece.parent):
            return None
        limited = piece.finish == "length" and self._used_up(piece, budget)
        if self._thinks(piece):
            return "closed" if limited and self._fits(piece, self._closing(piece, judging)) else None
        if self._waits(piece, budget) and self._may_think_on(piece, budget):
            return "again"
        own = piece.segment.reason in params.stop or piece.segment.reason not in self._thinking.closing
        return "said" if limited or (piece.finish == "stop" and not own) else None

    def _used_up(self, piece: Trace, budget: ThoughtBudget) -> bool:
        """Whether the limit that ended a piece was the budget's.

        A server that takes text counts its own tokens, which differ from those it is known by here.
        """
        approximate = not self._backend.capabilities.token_ids and not getattr(self._backend, "recorded", False)
        return budget.tokens is not None and (piece.tokens >= budget.tokens or approximate)

    def onward(self, piece: Trace, turn: Turn, *, judging: bool) -> Trace:
        """The trace from which sampling continues after ``piece``."""
        if turn == "again":
            return self._again(piece, judging)
        text = self._closing(piece, judging) if turn == "closed" else ""
        return self._writer.append(piece, text, facts={"thought": turn})

    @property
    def _thinking(self) -> Thinking:
        if self._marks is None:
            raise UsageError(
                "the model does not think separately from its answer: thinking and waits have nothing to limit"
            )
        return self._marks

    def _thinks(self, trace: Trace) -> bool:
        """Whether what is sampled after ``trace`` may be thinking, whether it has begun or not."""
        text, prompt = trace.completion, self._prompt(trace)
        begun = self._thinking.begun(prompt) or self._saying.begun(trace)
        if self._thinking.is_open(text, begun):
            return True
        if begun or any(close in text for close in self._thinking.closing):
            return False
        unsaid = not text.strip() or self._thinking.opening(text) is not None
        return unsaid and self._thinking.left_out(prompt) != ""

    def _prompt(self, trace: Trace) -> str:
        """The text that the trace begins with; for recorded traces, the prompt that was recorded."""
        beginning = trace.beginning
        return (self._recorded_prompt if beginning.id == (0,) else None) or beginning.segment.text

    @cached_property
    def _recorded_prompt(self) -> str | None:
        return recorded_prompt(self._backend, self._problem.id)

    def _waits(self, trace: Trace, budget: ThoughtBudget) -> bool:
        """Whether the trace is to think on if it closes its thinking."""
        return [s.metadata.get("thought") for s in trace.path].count("again") < budget.waits

    def _closing(self, trace: Trace, judging: bool) -> Tags:
        """What closes the thinking of ``trace`` and asks for the answer; a judge is not asked for one.

        A trace that does not think, which pruners may conclude too, is only asked for its answer.
        """
        if self._marks is None or not self._thinks(trace):
            return Tags("" if judging else self._answer_now)
        missing = self._thinking.opening(trace.completion) or ""
        return Tags(missing + self._end_of(trace, missing) + ("" if judging else self._answer_now.lstrip("\n")))

    def _end_of(self, trace: Trace, opening: str) -> str:
        """What closes the thinking, or the rest of it if the limit fell inside the model's own closing mark."""
        end = self._tokenizer.encode(self._thinking.close.lstrip())
        last = trace.segment.token_ids[-len(end) :].tolist()
        begun = next((k for k in range(len(end) - 1, 0, -1) if last[-k:] == end[:k]), 0)
        if begun:
            return self._tokenizer.decode(end[begun:])
        return self._thinking.closing_of(self._prompt(trace) + trace.completion + opening)

    def _may_think_on(self, piece: Trace, budget: ThoughtBudget) -> bool:
        """Whether the piece has closed its thinking before the limit, and the model's context has room for more."""
        text = piece.completion
        if not any(close in text for close in self._thinking.closing):
            return False
        kept = piece.tokens - len(piece.segment) + self._kept(piece)
        return (budget.tokens is None or kept < budget.tokens) and self._fits(piece, self._thinking.again)

    def _fits(self, piece: Trace, text: str) -> bool:
        """Whether a token can be sampled after ``piece`` and ``text``."""
        return self._context is None or len(piece.token_ids) + len(self._tokenizer.encode(text)) < self._context

    def _kept(self, piece: Trace) -> int:
        """How many of the piece's tokens lie entirely before the mark that closes its thinking."""
        before, tokens = self._before(piece), len(piece.segment)
        while tokens and len(self._tokenizer.decode(piece.segment.token_ids[:tokens])) > before:
            tokens -= 1
        return tokens

    def _before(self, piece: Trace) -> int:
        """How many of the piece's characters come before the mark that closes its thinking."""
        text = piece.completion
        return max(len(self._thinking.before_closing(text)) - len(text) + len(piece.segment.text), 0)

    def _again(self, piece: Trace, judging: bool) -> Trace:
        """``piece`` with its closing mark replaced by the word to think on.

        The mark's tokens become a fragment: they were sampled, but are not part of the trace.
        """
        tokens, before = self._kept(piece), self._before(piece)
        kept, mark = self._cut(piece.segment, tokens)
        left = piece.segment.text[len(kept.text) : before]
        start = self._tree.keep(replace(piece, segment=kept, sequential=piece.sequential - len(mark)), judged=judging)
        end = Trace(self._tree.next_id(start.id), mark, start, piece.sequential)
        self._tree.keep(end, fragment=True, judged=judging)
        if not judging:
            self._accounts.discard(len(mark))
        break_ = "" if (kept.text + left)[-1:].isspace() else "\n"
        facts = {"thought": "again", "cut": name(end.id)}
        return self._writer.append(start, left + break_ + self._thinking.again, after=[end], facts=facts)

    def _cut(self, segment: Segment, tokens: int) -> tuple[Segment, Segment]:
        """The segment's first ``tokens``, and those that close its thinking."""
        kept, mark = (
            replace(
                segment,
                token_ids=segment.token_ids[part],
                text=self._tokenizer.decode(segment.token_ids[part]),
                stats=None if segment.stats is None else segment.stats.part(part),
                params="",  # the digest of the request covers everything that it delivered
            )
            for part in (slice(None, tokens), slice(tokens, None))
        )
        return kept, replace(mark, finish="pruned", reason="it thinks on", usage=None, metadata={"thought": "closed"})
