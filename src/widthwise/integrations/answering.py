"""A conversation answered by a strategy, for programs that ask models in messages."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from widthwise.core.backend import Backend
from widthwise.core.conversation import Message
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.session.answers import stated
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.result import Result
from widthwise.core.trace.trace import Trace, name
from widthwise.engines import open as open_model
from widthwise.engines import open_engines
from widthwise.evals.grading.choice_reading import LETTERS
from widthwise.evals.store.outcome import UNFINISHED
from widthwise.evals.suites.choice_rows import CHOOSE
from widthwise.evals.suites.suite import Suite
from widthwise.evals.suites.suites import grader_for
from widthwise.evaluation import Evaluation
from widthwise.model import Model
from widthwise.settings import RunSettings

_log = logging.getLogger(__name__)

_LONG = 200
"""How many characters a text needs so that two traces cannot be equal by chance."""


@dataclass(frozen=True)
class Answered:
    """The result of one conversation. ``trace`` is shown for the answer; None if no trace contains it."""

    problem: Problem
    setting: Setting
    strategy: str
    result: Result
    trace: Trace | None

    @property
    def text(self) -> str:
        """What the answer's trace says, without its thinking; if no trace contains the answer, the boxed answer."""
        if self.trace is not None:
            return self._without_stop(self.setting.saying.said(self.trace).strip())
        return "" if self.result.answer is None else f"\\boxed{{{self.result.answer}}}"

    @property
    def thought(self) -> str:
        """What the answer's trace thinks."""
        return "" if self.trace is None else self.setting.saying.reasoning(self.trace).strip()

    @property
    def report(self) -> dict[str, Any]:
        """What a log keeps beside the traces, as plain values."""
        election = self.result.election
        return {
            "strategy": self.strategy,
            "model": self.setting.backend.name,
            "answer": self.result.answer,
            "trace": None if self.trace is None else name(self.trace.id),
            "tied": election.tied,
            "classes": [{"answer": c.answer, "votes": c.weight, "traces": len(c.traces)} for c in election.classes],
            "ledger": self.result.ledger.record,
            "errors": list(self.result.errors),
            "notes": [[name(note.trace), note.text] for note in self.result.notes],
        }

    @property
    def traces(self) -> list[dict[str, Any]]:
        """All traces as samples of the recorded-trace schema."""
        votes = {t.id: i for i, c in enumerate(self.result.election.classes) for t in c.traces}
        return [self._row(trace, votes.get(trace.id)) for trace in self.result.traces]

    def _row(self, trace: Trace, vote: int | None) -> dict[str, Any]:
        grader = self.setting.grader.for_problem(self.problem)
        unread = trace.finish in UNFINISHED
        return {
            "id": name(trace.id),
            "text": trace.completion,
            "answer": None if unread else stated(trace, grader, self.setting.saying),
            "finish": trace.finish,
            "tokens": trace.tokens,
            "vote": vote,
        }

    def _without_stop(self, text: str) -> str:
        """The text before the stop string that ended it, as chat programs expect it."""
        found = [at for stop in self.setting.params.stop if (at := text.find(stop)) >= 0]
        return text[: min(found, default=len(text))]


class Answering:
    """A strategy that answers conversations; what it needs is opened once, and closed when the program ends.

    ``options`` are those of ``ww.solve``. Without a ``grader``, choices are read if a question has options, and
    mathematical answers otherwise; without an ``instruction``, only questions with options get one.
    """

    def __init__(self, strategy: Any, **options: Any) -> None:
        self._copies_told = False
        kept = {name: _kept(options, name) for name in ("model", "reward_model", "embedding_model")}
        self.settings = RunSettings.of(strategy, **{**options, **kept}).unshared("the problems of another program")

    async def answer(
        self,
        messages: Sequence[Message],
        name: str,
        *,
        backend: Backend | None = None,
        seed: int = 0,
        options: Sequence[str] = (),
        sampling: Mapping[str, Any] | None = None,
    ) -> Answered:
        """What the strategy makes of a conversation whose last message is the user's.

        ``name`` is the problem's id; all randomness derives from it and the seeds. ``backend`` replaces the model,
        ``options`` are those to choose from, and ``sampling`` are defaults of ``SamplingParams``. Raises ``UsageError``
        for what a strategy cannot be asked, and ``BackendError`` if every request failed.
        """
        problem = _problem(messages, name, options)
        settings = replace(self.settings, seed=self.settings.seed + seed, model=backend or self.settings.model)
        asking = replace(settings.asking, given={**(sampling or {}), **settings.asking.given})
        grader = settings.grader or grader_for([replace(problem, answer="A") if options else problem])
        suite = Suite("conversation", (problem,), grader, "conversation", CHOOSE if options else "")
        evaluation = Evaluation.of(suite, replace(settings, asking=asking))
        engines = await open_engines(evaluation.settings)
        try:
            setting = evaluation.setting(engines)
            result = await evaluation.strategy.solve(problem, setting)
        finally:
            await engines.close()
        self._check(result, name)
        return Answered(problem, setting, str(evaluation.strategy), result, _spokesman(result, name))

    def _check(self, result: Result, name: str) -> None:
        """Raises ``BackendError`` if every request failed; reports failures, and once copies."""
        texts = [trace.completion for trace in result.traces if trace.finish not in UNFINISHED]
        if not texts and result.answer is None and result.errors:
            raise BackendError(f"every request failed: {result.errors[0]}")
        if result.errors:
            _log.warning("%s: %d requests failed (first: %s)", name, len(result.errors), result.errors[0])
        if len(texts) > 1 and len(set(texts)) == 1 and len(texts[0]) > _LONG and not self._copies_told:
            self._copies_told = True
            _log.warning(
                "%s: all %d traces have the same text; at temperature 0 more traces add nothing", name, len(texts)
            )


def _kept(options: Mapping[str, Any], name: str) -> Any:
    """A model in the options, kept open for all calls; an already open one belongs to its owner."""
    model = options.get(name)
    if not isinstance(model, str):
        return model
    args = {"model": "backend_args", "reward_model": "reward_args"}.get(name)
    opened = open_model(model, role=name, **(options.get(args) or {} if args else {}))  # type: ignore[arg-type]
    atexit.register(_closed, opened)
    return opened


def _closed(model: Model) -> None:
    try:
        model.close()
    except Exception as error:
        _log.debug("%s did not close: %s", model.name, error)


def _problem(messages: Sequence[Message], name: str, options: Sequence[str]) -> Problem:
    """The conversation as a problem, with its options below the question."""
    asked = Problem.asked(messages, id=name)
    if not options:
        return asked
    if len(options) > len(LETTERS):
        raise UsageError(f"a question may have {len(LETTERS)} options at most, not {len(options)}")
    lines = [f"({LETTERS[i]}) {option}" for i, option in enumerate(options)]
    metadata = {**asked.metadata, "options": list(options)}
    return replace(asked, text="\n".join([asked.text, "", *lines]), metadata=metadata)


def _spokesman(result: Result, name: str) -> Trace | None:
    """The trace that is shown: one of the winners'; if no trace states an answer, the first that reached its end."""
    if result.election.trace is not None or result.answer is not None:
        return result.election.trace
    ended = [trace for trace in result.traces if trace.finish == "stop"]
    said = [trace for trace in result.traces if trace.finish != "error"]
    _log.warning("%s: no trace states an answer that the grader can read; the first trace is shown", name)
    return next(iter([*ended, *said]), None)
