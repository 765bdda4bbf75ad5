"""A run as a log of Inspect's, which ``inspect view`` shows and ``read_eval_log`` reads."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspect_ai.event import InfoEvent
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalMetric,
    EvalPlan,
    EvalPlanStep,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
    write_eval_log,
)
from inspect_ai.model import ChatMessage, ModelOutput, ModelUsage
from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, Score

from widthwise.core.prompting.saying import Saying
from widthwise.core.trace.trace import Trace, name
from widthwise.evals.replacement import replacement
from widthwise.evals.store.inspect_log import TRACES
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.recorded_saying import saying_in
from widthwise.evals.store.store import Store
from widthwise.integrations.inspect.conversation import assistant, from_messages, reply, usage_of
from widthwise.version import VERSION

_SOLVER = "widthwise/widthwise"


def export_log(store: Store, path: Path) -> int:
    """Write a run to a ``.eval`` or ``.json`` file; returns the number of problems written.

    A problem of a strategy is one sample: the trace that won, the strategy's answer as its score, and all traces in the
    sample's store. For a run that no strategy answered (an import), each trace is an epoch of its problem.
    """
    run = _Run(store)
    samples = [sample for outcome in store.outcomes() if outcome.state != "open" for sample in run.samples(outcome)]
    with replacement(path) as file:
        write_eval_log(run.log(samples), file, format="json" if path.suffix == ".json" else "eval")
    return len({sample.id for sample in samples})


@dataclass(frozen=True, slots=True)
class _Run:
    """A run, with what its samples have in common."""

    store: Store

    def log(self, samples: Sequence[EvalSample]) -> EvalLog:
        said = self._said
        created = str(self.store.manifest.get("created") or "1970-01-01T00:00:00+00:00")
        outcomes = list(self.store.outcomes())
        finished = all(outcome.state != "open" for outcome in outcomes)
        usage: dict[str, ModelUsage] = {}
        for sample in samples:
            for model, spent in sample.model_usage.items():
                usage[model] = usage.get(model, ModelUsage()) + spent
        return EvalLog(
            status="success" if finished else "cancelled",
            eval=EvalSpec(
                created=created,
                eval_id=str(self.store.manifest.get("digest") or ""),
                task=str(said.get("suite") or self.store.path.stem),
                dataset=EvalDataset(
                    name=str(said.get("suite") or ""),
                    samples=len(outcomes),
                    sample_ids=[outcome.problem.id for outcome in outcomes],
                ),
                solver=_SOLVER if self._strategy else None,
                solver_args={"strategy": self._strategy} if self._strategy else None,
                model=self._model,
                config=EvalConfig(epochs=max((sample.epoch for sample in samples), default=1)),
                packages={"widthwise": VERSION},
                metadata={"widthwise": dict(said)},
            ),
            plan=EvalPlan(steps=[EvalPlanStep(solver=_SOLVER, params=dict(said))] if self._strategy else []),
            results=_results(self._scorer, samples, len(outcomes)),
            stats=EvalStats(started_at=created, completed_at=created, model_usage=usage),
            samples=list(samples),
        )

    def samples(self, outcome: Outcome) -> Iterator[EvalSample]:
        """The samples of one problem."""
        pairs = [
            (trace, leaf)
            for trace, leaf in zip(self.store.traces(outcome.problem.id), outcome.leaves, strict=True)
            if leaf.finish != "joined"
        ]
        if self._strategy:
            yield self._answered(outcome, pairs)
            return
        for epoch, (trace, leaf) in enumerate(pairs, 1):
            yield self._sample(outcome, trace, leaf.answer, leaf.correct, epoch=epoch)

    def _answered(self, outcome: Outcome, pairs: Sequence[tuple[Trace, Leaf]]) -> EvalSample:
        report = {
            "strategy": self._strategy,
            "model": self._model,
            "answer": outcome.answer,
            "trace": None if outcome.trace is None else name(outcome.trace),
            "tied": outcome.tied,
            "ledger": outcome.ledger.record,
            "errors": list(outcome.errors),
        }
        rows = [_row(trace, leaf) for trace, leaf in pairs]
        shown = next((trace for trace, _ in pairs if trace.id == outcome.trace), None)
        spokesman = shown if shown is not None or outcome.answer is not None or not pairs else pairs[0][0]
        sample = self._sample(outcome, spokesman, outcome.answer, outcome.correct)
        sample.metadata |= {"widthwise": report}
        sample.store = {"widthwise:report": report, TRACES: rows}
        sample.model_usage = {self._model: usage_of(outcome.ledger)}
        sample.output.usage = usage_of(outcome.ledger)
        sample.events = [
            InfoEvent(source="widthwise", data=report),
            *(InfoEvent(source=f"widthwise trace {row['id']}", data=row) for row in rows),
        ]
        return sample

    def _sample(
        self, outcome: Outcome, trace: Trace | None, answer: str | None, correct: bool | float | None, epoch: int = 1
    ) -> EvalSample:
        problem, output = outcome.problem, self._output(trace, answer)
        asked: list[ChatMessage] = from_messages([*problem.earlier, {"role": "user", "content": problem.text}])
        score = Score(value=_value(correct), answer=answer, explanation=output.completion)
        failed = outcome.errors[0] if outcome.state == "error" and answer is None and outcome.errors else None
        return EvalSample(
            id=problem.id,
            epoch=epoch,
            input=asked if problem.earlier else problem.text,
            choices=list(map(str, problem.metadata.get("options") or [])) or None,
            target=problem.answer or "",
            messages=[*asked, output.message],
            output=output,
            scores={} if failed else {self._scorer: score},
            metadata=dict(problem.metadata),
            error=EvalError(message=failed, traceback="", traceback_ansi="") if failed else None,
        )

    def _output(self, trace: Trace | None, answer: str | None) -> ModelOutput:
        if trace is None:
            said = "" if answer is None else f"\\boxed{{{answer}}}"
            return reply(assistant("", said, self._model), "stop")
        message = assistant(self._saying.reasoning(trace).strip(), self._saying.said(trace).strip(), self._model)
        return reply(message, trace.finish)

    @property
    def _said(self) -> dict[str, Any]:
        return {**self.store.manifest["configuration"], **self.store.manifest.get("graded", {})}

    @property
    def _strategy(self) -> str | None:
        return self._said.get("strategy")

    @property
    def _model(self) -> str:
        return str(self._said.get("model") or "unknown")

    @property
    def _scorer(self) -> str:
        return str(self._said.get("grader") or "widthwise")

    @property
    def _saying(self) -> Saying:
        return saying_in(self.store.manifest)


def _value(correct: bool | float | None) -> str | float:
    """A grade in Inspect's terms; an answer that is right in part is a number there, too."""
    if isinstance(correct, float) and 0 < correct < 1:
        return correct
    return NOANSWER if correct is None else CORRECT if correct else INCORRECT


_WORTH = {CORRECT: 1.0, INCORRECT: 0.0, NOANSWER: 0.0}


def _row(trace: Trace, leaf: Leaf) -> dict[str, Any]:
    return {
        "id": name(trace.id),
        "text": trace.completion,
        "answer": leaf.answer,
        "correct": leaf.correct,
        "finish": leaf.finish,
        "tokens": leaf.tokens,
        "vote": leaf.vote,
    }


def _results(scorer: str, samples: Sequence[EvalSample], problems: int) -> EvalResults:
    """The accuracy over the samples and its standard error, in Inspect's form."""
    values = [(sample.scores or {})[scorer].value for sample in samples if sample.scores]
    right = [value if isinstance(value, float) else _WORTH[str(value)] for value in values]
    mean = sum(right) / len(right) if right else 0.0
    error = statistics.stdev(right) / math.sqrt(len(right)) if len(right) > 1 else 0.0
    metrics = {name: EvalMetric(name=name, value=value) for name, value in (("accuracy", mean), ("stderr", error))}
    score = EvalScore(name=scorer, scorer=scorer, scored_samples=len(right), metrics=metrics)
    return EvalResults(total_samples=max(problems, len(samples)), completed_samples=len(right), scores=[score])
