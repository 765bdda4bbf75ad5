"""The runner: a strategy on every problem of a suite, into a run store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from widthwise.core.backend import Backend
from widthwise.core.errors import AccessRefused, UsageError, WidthwiseError, reason_of
from widthwise.core.problem import Grade, Grader, Problem
from widthwise.core.prompting.profile import facts_of
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.saying import Saying
from widthwise.core.session.answers import stated
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.result import Result
from widthwise.core.strategy.strategy import Strategy
from widthwise.core.trace.trace import Trace, TraceNote, name
from widthwise.evals.allocation.rounds import OnRound, Rounds
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.evals.beginning import Beginning
from widthwise.evals.grading.grade import checked
from widthwise.evals.measure.summary import Summary, summarise
from widthwise.evals.store.configuration import entry_of
from widthwise.evals.store.copies import copies_field
from widthwise.evals.store.database import StoreError
from widthwise.evals.store.outcome import UNFINISHED, Graded, Leaf, Outcome
from widthwise.evals.store.recorded_saying import record_of
from widthwise.evals.store.store import Store
from widthwise.evals.suites.suite import Suite
from widthwise.models.profiles import profile_of

_log = logging.getLogger(__name__)

_LONGEST_REASON = 2000
"""How many characters of a failure are stored and shown."""

OnOutcome = Callable[[Outcome], None]


async def run(
    suite: Suite,
    strategy: Strategy,
    setting: Setting,
    store: Store,
    *,
    suite_budget: SuiteBudget | None = None,
    concurrency: int = 32,
    on_outcome: OnOutcome = lambda outcome: None,
    on_round: OnRound = lambda ended: None,
) -> Summary:
    """Work on the problems that ``store`` does not have yet, at most ``concurrency`` at once.

    Problems advance independently, unless a ``suite_budget`` is shared out among them in rounds. What fails for one
    problem is recorded with it, and tried again the next time. The run itself is ended only by a store that cannot be
    written (``StoreError``), a backend that answers nothing more (``AccessRefused``), and a mistake of use
    (``UsageError``) that is known before anything is sampled or in which the first problems all fail. When the task is
    cancelled, every finished generation is in the store, and the same call continues from there. ``on_outcome`` is
    called for each problem when it is done, ``on_round`` for each round of a suite budget.
    """
    strategy.check_against(setting, store.problems())
    store.start_attempt(_backends(setting))
    store.note({"saying": record_of(setting.saying)})
    if setting.shape is not None and not setting.others:
        store.note({"shape": asdict(setting.shape)})
    work = _Work(setting, setting.saying, strategy, store, asyncio.Semaphore(concurrency), on_outcome, Beginning())
    try:
        await (work.solve_all() if suite_budget is None else work.share_out(suite_budget, on_round))
    except* AccessRefused as errors:
        raise AccessRefused(
            f"{_first(errors)}; the run was ended, and the same command continues with what is left"
        ) from None
    except* (StoreError, UsageError) as errors:
        raise _first(errors) from None
    finally:
        work.close()
    return summarise(store)


def _backends(setting: Setting) -> dict[str, Backend]:
    return {name: each.backend for name, each in setting.models.items()}


def setting_for(suite: Suite, backend: Backend, format: PromptFormat | None = None, **shared: Any) -> Setting:
    """What the sessions of a run on ``suite`` share; ``shared`` are other fields of ``Setting``."""
    profile = profile_of(facts_of(backend))
    thinking = shared.pop("thinking", profile.thinking)
    return Setting(
        Scheduler(backend),
        suite.grader,
        format or profile.format,
        instruction=suite.instruction,
        thinking=thinking,
        **shared,
    )


@dataclass(slots=True)
class _Work:
    """What the tasks of a run share."""

    setting: Setting
    saying: Saying
    strategy: Strategy
    store: Store
    slots: asyncio.Semaphore
    on_outcome: OnOutcome
    beginning: Beginning
    began: float = field(default_factory=time.monotonic)

    async def solve_all(self) -> None:
        """Answer every problem that is not done, and store each result."""
        todo = [outcome.problem for outcome in self.store.outcomes() if outcome.state != "done"]
        async with asyncio.TaskGroup() as group:
            for place, problem in enumerate(todo):
                group.create_task(self._answered(problem, place, self.strategy))

    async def share_out(self, budget: SuiteBudget, on_round: OnRound) -> None:
        """Answer all problems in rounds; they stay open until the last round is over."""
        problems = self.store.problems()
        rounds = Rounds(budget, self.strategy, self.setting, problems)

        async def attempt(place: int, strategy: Strategy, wasted: Ledger) -> Outcome:
            return await self._answered(problems[place], place, strategy, wasted, is_last=False)

        outcomes = await rounds.run(attempt, on_round)
        record = {"rounds": [each.asdict() for each in rounds.done], "strategies": rounds.strategies}
        self.store.note({"allocation": record})
        self.store.close_problems({outcome.problem.id: outcome.state for outcome in outcomes})
        for outcome in outcomes:
            self.on_outcome(outcome)

    async def _answered(
        self, problem: Problem, place: int, strategy: Strategy, wasted: Ledger | None = None, *, is_last: bool = True
    ) -> Outcome:
        """The result of one problem, which is stored; open if the run has been stopped. ``wasted`` is charged, too."""
        async with self.slots:
            if self.beginning.stopped:
                return Outcome(problem)
            outcome, traces, error = await self._attempt(problem, place, strategy)
            if wasted is not None:
                outcome.ledger.add(wasted)
            stored = self._stored(outcome, traces, is_last=is_last)
            if is_last:
                self.on_outcome(stored)
            self.beginning.heed(problem, error)
            return stored

    def _stored(self, outcome: Outcome, traces: Sequence[Trace], *, is_last: bool) -> Outcome:
        """The outcome as it was stored: a failure to store becomes an error of its problem, and ends nothing else.

        Unless it is the last one, the problem stays open in the file.
        """
        kept = outcome if is_last else replace(outcome, state="open")
        try:
            self.store.finish(kept, traces, seconds=time.monotonic() - self.began)
        except StoreError:
            raise
        except Exception as error:
            reason = _shortened(f"it could not be stored ({reason_of(error)})")
            _log.warning("problem %s: %s", outcome.problem.id, reason)
            _log.debug("problem %s could not be stored", outcome.problem.id, exc_info=True)
            failed = Outcome(outcome.problem, "error", ledger=outcome.ledger, errors=(*outcome.errors, reason))
            self.store.finish(failed, (), seconds=time.monotonic() - self.began)
            return failed
        return outcome

    async def _attempt(
        self, problem: Problem, place: int, strategy: Strategy
    ) -> tuple[Outcome, Sequence[Trace], BaseException | None]:
        session: Session | None = None
        try:
            session = strategy.open(problem, self.setting, journal=self.store, priority=place)
            result = await strategy.run(session)
            outcome = await graded(self.setting.grader, problem, result, self.saying)
            return outcome, (*result.traces, *result.fragments, *result.judgements), None
        except (StoreError, AccessRefused):
            raise
        except (Exception, asyncio.CancelledError) as error:
            # A failed group of tasks may leave its task cancelled: only a real cancellation counts as one.
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            _log.warning("problem %s failed: %s", problem.id, _sentence(error))
            _log.debug("problem %s failed", problem.id, exc_info=True)
            return *_failure(problem, session, error), error

    def close(self) -> None:
        """Note how long this attempt took; a store that is already full keeps its last record."""
        try:
            backends = _backends(self.setting)  # what they learned on the way
            self.store.note({entry_of("backend", name, backends): b.describe() for name, b in backends.items()})
            self.store.end_attempt(time.monotonic() - self.began)
        except StoreError as error:
            _log.warning("could not store how long this attempt took: %s", error)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def graded(grader: Grader, problem: Problem, result: Result, saying: Saying) -> Outcome:
    """The result with its answer and every trace graded by the reference; ``saying`` is the model's."""
    grading = _Grading(grader, problem, saying)
    votes = {t.id: i for i, c in enumerate(result.election.classes) for t in c.traces}
    leaves = [await grading.leaf(trace, votes.get(trace.id)) for trace in result.traces]
    leaves += map(_fragment, result.fragments)
    winner = result.election.trace
    return Outcome(
        problem,
        "error" if result.errors else "done",
        answer=result.answer,
        correct=await grading.correct(result.answer, winner),
        tied=result.election.tied,
        trace=None if winner is None else winner.id,
        leaves=tuple(leaves),
        ledger=result.ledger,
        errors=tuple(dict.fromkeys(result.errors)),
        fields=_fields([*result.notes, *grading.remarks]) | copies_field(_texts(result.traces)),
    )


def _fragment(trace: Trace) -> Leaf:
    """A thread: what it says is not an answer of its own, and the tokens before it are its parent's.

    The same holds for a closing mark that was taken back.
    """
    if "thought" in trace.segment.metadata:
        return Leaf(trace.id, "joined", len(trace.segment))
    own, node = 0, trace
    while "thread" not in node.segment.metadata:
        own += len(node.segment) if node.segment.origin == "sampled" else 0
        if node.parent is None:
            break
        node = node.parent
    return Leaf(trace.id, "joined", own)


def _texts(traces: Sequence[Trace]) -> list[str]:
    """What the samples say: copies of one another may stand for one."""
    return [trace.completion for trace in traces if trace.finish not in UNFINISHED]


def _fields(notes: Sequence[TraceNote]) -> dict[str, Any]:
    return {"notes": [[name(note.trace), note.text] for note in notes]} if notes else {}


async def regraded(grader: Grader, outcome: Outcome, traces: Sequence[Trace], saying: Saying) -> Outcome:
    """A stored outcome with its answers read and graded anew; the vote stays as it was.

    ``saying`` is that of the model which was run (:func:`~widthwise.evals.store.recorded_saying.saying_in`). The
    strategy's answer is read again from the trace that represented it, if there is one.
    """
    grading = _Grading(grader, outcome.problem, saying)
    pairs = zip(traces, outcome.leaves, strict=True)
    leaves = [leaf if leaf.finish == "joined" else await grading.leaf(t, leaf.vote) for t, leaf in pairs]
    for remark in dict.fromkeys(note.text for note in grading.remarks):
        _log.warning("problem %s: %s", outcome.problem.id, remark)
    spoken = {leaf.id: leaf.answer for leaf in leaves}
    answer = spoken.get(outcome.trace, outcome.answer) if outcome.trace is not None else outcome.answer
    winner = next((trace for trace in traces if trace.id == outcome.trace), None)
    return replace(outcome, answer=answer, correct=await grading.correct(answer, winner), leaves=tuple(leaves))


class _Grading:
    """Reads and grades answers to one problem, each spelling once."""

    def __init__(self, grader: Grader, problem: Problem, saying: Saying) -> None:
        self._grader = grader.for_problem(problem)
        self._saying = saying
        self._problem = problem
        self._graded: dict[str, Grade] = {}
        self._judges_texts = bool(getattr(self._grader, "judges_texts", False))
        self.remarks: list[TraceNote] = []

    async def correct(self, answer: str | None, trace: Trace | None) -> Graded:
        """The grade of the answer that ``trace`` states, if there is one; None if there is nothing to grade."""
        if answer is None:
            return None
        judged = self._saying.said(trace).strip() if self._judges_texts and trace is not None else answer
        if judged not in self._graded:
            self._graded[judged] = checked(await self._grader.correct(self._problem, judged), self._grader)
        return self._graded[judged]

    async def leaf(self, trace: Trace, vote: int | None) -> Leaf:
        answer = None if trace.finish in UNFINISHED else self._stated(trace)
        correct = await self.correct(answer, trace)
        if answer is not None and (remark := self._grader.remark(self._problem, answer)):
            self.remarks.append(TraceNote(trace.id, remark))
        return Leaf(trace.id, trace.finish, trace.tokens, answer, correct, vote)

    def _stated(self, trace: Trace) -> str | None:
        return stated(trace, self._grader, self._saying) if trace.stated is None else trace.answer


def _is_cancelled() -> bool:
    """Whether the run is being stopped; a ``CancelledError`` that the strategy raises itself is its failure."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failure(problem: Problem, session: Session | None, error: BaseException) -> tuple[Outcome, Sequence[Trace]]:
    """An outcome that keeps what had been sampled, ungraded, when a strategy or a grader failed."""
    failed = Outcome(problem, "error", errors=(_sentence(error),))
    if session is None:
        return failed, ()
    traces, fragments = session.leaves, session.fragments
    leaves = (*(Leaf(t.id, t.finish, t.tokens) for t in traces), *map(_fragment, fragments))
    outcome = replace(failed, leaves=leaves, ledger=session.ledger, fields=_fields(session.notes))
    return outcome, [*traces, *fragments, *session.judgements]


def _sentence(error: BaseException) -> str:
    if isinstance(error, WidthwiseError):
        return _shortened(str(error))
    return _shortened(f"the strategy failed with {reason_of(error)}")


def _shortened(sentence: str) -> str:
    """Another library's error may quote a whole generation."""
    return sentence if len(sentence) <= _LONGEST_REASON else f"{sentence[: _LONGEST_REASON - 4]} ..."
