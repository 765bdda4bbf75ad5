"""What a strategy's result says to the client that asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from widthwise.core.session.ledger import Ledger
from widthwise.core.session.thinking import thinking_tokens
from widthwise.core.strategy.result import Result
from widthwise.core.trace.trace import Trace, name
from widthwise.serving.refusal import Refusal
from widthwise.serving.work import Work

_CUT = ("length", "budget")


@dataclass(frozen=True, slots=True)
class Reply:
    """``content`` and ``reasoning`` are what the representing trace says and thinks; ``finish`` is why it ended.

    ``usage`` counts the tokens of all traces; ``report`` is the answer with its votes, its ledger and its origin.
    """

    content: str
    reasoning: str
    finish: Literal["stop", "length"]
    usage: dict[str, Any]
    report: dict[str, Any]

    @classmethod
    def of(cls, work: Work, result: Result) -> Reply:
        """Raises ``Refusal`` if all of the model's requests failed."""
        trace = result.election.trace or (None if result.answer is not None else _spokesman(result))
        if trace is None and result.answer is None and result.errors:
            raise Refusal(502, f"the model failed: {result.errors[0]}", code="backend_error")
        saying = work.setting.saying
        content = f"\\boxed{{{result.answer}}}" if trace is None and result.answer is not None else ""
        return cls(
            content if trace is None else _without_stop(saying.said(trace), trace).strip(),
            "" if trace is None else saying.reasoning(trace).strip(),
            "length" if trace is not None and trace.finish in _CUT else "stop",
            _usage(result.ledger, 0 if trace is None else _shown(trace, work)),
            _report(work, result, trace),
        )


def _spokesman(result: Result) -> Trace | None:
    """The trace shown if none states an answer: the first one that reached its end, else the first one."""
    ended = [trace for trace in result.traces if trace.finish == "stop"]
    said = [trace for trace in result.traces if trace.finish != "error"]
    return next(iter([*ended, *said]), None)


def _without_stop(text: str, trace: Trace) -> str:
    """OpenAI's answers end before a stop string; ours keep it."""
    reason = trace.segment.reason
    return text.removesuffix(reason) if trace.finish == "stop" and isinstance(reason, str) else text


def _shown(trace: Trace, work: Work) -> int:
    """How many sampled tokens the content has."""
    saying = work.setting.saying
    if saying.is_open(trace):
        return 0
    return trace.tokens - (thinking_tokens(trace, saying, work.setting.of(trace).tokenizer) or 0)


def _usage(ledger: Ledger, shown: int) -> dict[str, Any]:
    """All tokens, of every trace and every judge; those not in the content count as reasoning."""
    prompt = ledger.prompt_computed + ledger.prompt_cached
    return {
        "prompt_tokens": prompt,
        "completion_tokens": ledger.total,
        "total_tokens": prompt + ledger.total,
        "prompt_tokens_details": {"cached_tokens": ledger.prompt_cached},
        "completion_tokens_details": {"reasoning_tokens": max(ledger.total - shown, 0)},
    }


def _report(work: Work, result: Result, trace: Trace | None) -> dict[str, Any]:
    election, budget = result.election, work.strategy.budget
    classes = [{"answer": c.answer, "votes": c.weight, "traces": len(c.traces)} for c in election.classes]
    limits = {} if budget is None else {k: v for k, v in asdict(budget).items() if v is not None}
    return {
        "answer": result.answer,
        "trace": None if trace is None else name(trace.id),
        "tied": election.tied,
        "classes": classes,
        "strategy": str(replace(work.strategy, budget=None)),
        "problem": work.problem.id,
        "seed": work.setting.seed,
        "budget": limits,
        "ledger": result.ledger.record,
        "errors": list(result.errors),
        "notes": [[name(note.trace), note.text] for note in result.notes],
    }
