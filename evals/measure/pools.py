"""Pools: the independent samples of each problem, read from a run file or a recorded-trace file for measuring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Literal

import numpy as np

from widthwise.core.answer import group
from widthwise.core.arrays import DoubleArray
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.model_shape import ModelShape
from widthwise.core.problem import Grader, Problem
from widthwise.core.run_sync import run_sync
from widthwise.core.session.answers import said_in, stated_in
from widthwise.core.session.prices import RECORDED, Prices, unknown
from widthwise.core.strategy.composition import shortened
from widthwise.core.trace.recording import Recording, Sample
from widthwise.evals.grading.function_grader import grader_or
from widthwise.evals.grading.grade import checked
from widthwise.evals.measure.answered import Answered, per_sample, unknown_of_a_sample
from widthwise.evals.measure.dependence import dependence, dependence_of_recordings, not_its_own, unfair
from widthwise.evals.measure.estimators import NO_VOTE
from widthwise.evals.measure.run_prices import prices_in
from widthwise.evals.measure.sample_pool import SamplePool, shape_of_samples
from widthwise.evals.measure.sample_scores import recorded_number, sample_score, scored, trace_score
from widthwise.evals.runner import regraded
from widthwise.evals.store.copies import Copies, effective_number
from widthwise.evals.store.foreign import RECORDINGS, read_generations
from widthwise.evals.store.outcome import Graded, Leaf, Outcome, credit
from widthwise.evals.store.recorded_saying import saying_in
from widthwise.evals.store.recorded_scores import RecordedScores
from widthwise.evals.store.store import Store
from widthwise.evals.store.waits import sequential_known
from widthwise.evals.suites.suites import grader_for, grader_of

AnswerGrouping = Literal["meaning", "spelling"]
"""Which answers vote together: those that mean the same to the suite's grader, or those spelled alike."""


@dataclass(frozen=True, slots=True)
class Source(Brief):
    """What curves are computed from.

    ``answered`` holds the strategy's own results (empty for recorded generations). ``dependent`` says why the samples
    must not be sub-sampled; empty if they may. ``open`` problems are not finished yet. ``copies`` says how many
    different samples a problem's are worth. ``sequential_known``: see ``evals.store.waits``. ``no_money`` says what is
    not known in money, and why; empty if all of it is known.
    """

    path: str
    label: str
    suite: str
    model: str
    strategy: str
    pools: tuple[SamplePool, ...]
    answered: tuple[Answered, ...] = ()
    dependent: str = ""
    open: int = 0
    copies: Copies | None = None
    sequential_known: bool = True
    no_money: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(pool.problem for pool in self.pools)


def load(
    path: str | Path,
    *,
    scores: Sequence[str] = (),
    grouping: AnswerGrouping = "meaning",
    grader: Grader | None = None,
    prices: Prices | None = None,
) -> Source:
    """The samples of a run file (``.db``), or of recorded generations, including other tools' logs; needs no model.

    ``grader`` reads and grades all of them anew, whatever verdicts and labels are stored, and stores nothing.
    ``scores`` are those to read with them; see ``evals.measure.curves.curve``. ``prices`` are laid over those that a
    run file has. Raises ``UsageError`` if there is nothing to measure, and for prices of only some models.
    """
    read = _recorded if Path(path).suffix in RECORDINGS else _stored
    source = read(Path(path), scores, grouping, grader, prices or {})
    for name in scores:
        if all(np.isnan(pool.scores[name]).all() for pool in source.pools):
            raise UsageError(f"no sample of {path} has a score {name!r}")
    return source


# -- run files -------------------------------------------------------------------------------------------------


def _stored(
    path: Path, scores: Sequence[str], grouping: AnswerGrouping, own: Grader | None, own_prices: Prices
) -> Source:
    with Store.read(path) as store:
        said, outcomes = store.manifest.get("configuration", {}), list(store.outcomes())
        done = [o for o in outcomes if o.state != "open"]
        fair, others = not unfair(store.manifest, done), not_its_own(store.manifest, done)
        if not done:
            raise UsageError(f"{path} has no finished problem yet: let `widthwise eval` work on it first")
        grader = grader_or(own, lambda: grader_of(store))
        done = run_sync(_regraded(store, done, grader)) if own else done
        _check_graded(path, [leaf for o in done for leaf in o.leaves])
        known, prices = sequential_known(store), prices_in(path, store.manifest, done, own_prices)
        counted, shape = any(leaf.tokens for o in done for leaf in o.leaves), shape_of_samples(store)
        pools = run_sync(_pools((_of_run(store, o, scores, counted, prices, shape) for o in done), grader, grouping))
    strategy = said.get("strategy") or ""
    return Source(
        path=str(path),
        label=shortened(strategy) or path.stem,
        suite=said.get("suite") or "",
        model=said.get("model") or "",
        strategy=strategy,
        pools=pools,
        answered=tuple(Answered.of(each, prices) for each in done) if strategy else (),
        dependent=dependence(strategy, done, others),
        open=len(outcomes) - len(done),
        copies=Copies.stored(done) if fair else None,
        sequential_known=known,
        no_money=_no_money(done, prices, answered=bool(strategy)),
    )


def _no_money(outcomes: Sequence[Outcome], prices: Prices, *, answered: bool) -> str:
    """What is not known in money, and why; empty if all of it is known."""
    if not answered:
        return f"money is not known: {RECORDED}"
    if why := next(filter(None, (unknown(o.ledger, prices) for o in outcomes)), ""):
        return f"money is not known: {why}"
    why = next(filter(None, (unknown_of_a_sample(o, prices) for o in outcomes)), "")
    return why and f"what k samples cost in money is not known: {why}"


async def _regraded(store: Store, outcomes: Sequence[Outcome], grader: Grader) -> list[Outcome]:
    saying = saying_in(store.manifest)
    return [await regraded(grader, outcome, store.traces(outcome.problem.id), saying) for outcome in outcomes]


@dataclass(frozen=True, slots=True)
class _Row:
    """One problem's samples before their answers are grouped."""

    problem: Problem
    answers: Sequence[str | None]
    correct: Sequence[Graded]
    tokens: Sequence[float]
    finished: Sequence[bool]
    scores: Mapping[str, DoubleArray]
    money: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    shape: ModelShape | None = None
    start: int = 0


def _of_run(
    store: Store, outcome: Outcome, scores: Sequence[str], counted: bool, prices: Prices, shape: ModelShape | None
) -> _Row:
    leaves = [leaf for leaf in outcome.leaves if leaf.finish != "joined"]
    # Texts and token statistics are large: they are read only for scores.
    whole = {leaf.id for leaf in leaves}
    traces = [t for t in store.traces(outcome.problem.id) if t.id in whole] if scores else []
    judged, imported = RecordedScores(store), "imported" in store.manifest.get("configuration", {})
    return _Row(
        outcome.problem,
        [leaf.answer for leaf in leaves],
        [leaf.correct for leaf in leaves],
        [leaf.tokens if counted and (leaf.tokens or not imported) else np.nan for leaf in leaves],
        [leaf.finish in ("stop", None) for leaf in leaves],
        scored(scores, lambda name: [trace_score(judged, outcome.problem.id, trace, name) for trace in traces]),
        per_sample(outcome, prices),
        shape,
        outcome.ledger.prompt_ideal,
    )


def _check_graded(path: Path, leaves: Sequence[Leaf]) -> None:
    stated = [leaf for leaf in leaves if leaf.answer is not None]
    if stated and all(leaf.correct is None for leaf in stated):
        raise UsageError(f"no answer in {path} has been graded yet: run `widthwise grade {quote(str(path))}`")


# -- recorded generations --------------------------------------------------------------------------------------


def _recorded(
    path: Path, scores: Sequence[str], grouping: AnswerGrouping, own: Grader | None, prices: Prices
) -> Source:
    recordings = read_generations(path)
    if own:
        recordings = [_unlabelled(recording) for recording in recordings]
    grader = grader_or(own, lambda: grader_for([r.problem for r in recordings]))
    if not any(r.samples for r in recordings):
        raise UsageError(f"{path} has no samples: nothing to measure")
    pools = run_sync(_graded_pools(path, recordings, grader, scores, grouping))
    models = {str(r.fields.get("model") or "") for r in recordings}
    return Source(
        path=str(path),
        label=path.stem,
        suite=path.stem,
        model=models.pop() if len(models) == 1 else "several",
        strategy="",
        pools=pools,
        dependent=dependence_of_recordings(recordings),
        copies=Copies.of((len(r.samples), effective_number([s.text for s in r.samples])) for r in recordings),
        no_money=_no_money([], prices, answered=False),
    )


def _unlabelled(recording: Recording) -> Recording:
    """The recording without its labels, and without the answers that were read in texts."""
    samples = (replace(s, correct=None, answer=None if s.text else s.answer) for s in recording.samples)
    return replace(recording, samples=tuple(samples))


async def _graded_pools(
    path: Path, recordings: Sequence[Recording], grader: Grader, scores: Sequence[str], grouping: AnswerGrouping
) -> tuple[SamplePool, ...]:
    rows = [await _of_recording(path, r, grader, scores) for r in recordings]
    return await _pools(rows, grader, grouping)


async def _of_recording(path: Path, recording: Recording, grader: Grader, scores: Sequence[str]) -> _Row:
    judge = grader.for_problem(recording.problem)
    said = [await _labelled(path, recording.problem, sample, judge) for sample in recording.samples]
    return _Row(
        recording.problem,
        [answer for answer, _ in said],
        [correct for _, correct in said],
        [_tokens(sample) for sample in recording.samples],
        [sample.finish in ("stop", None) for sample in recording.samples],
        scored(scores, lambda name: [sample_score(sample, name) for sample in recording.samples]),
    )


async def _labelled(path: Path, problem: Problem, sample: Sample, grader: Grader) -> tuple[str | None, Graded]:
    """The recording's own answer and label; the grader's if it has no label."""
    if sample.correct is not None:
        return sample.answer, sample.correct
    answer = sample.answer if sample.answer is not None else stated_in(sample, grader)
    if answer is None:
        return None, False
    try:
        judged = said_in(sample) if getattr(grader, "judges_texts", False) else answer
        return answer, checked(await grader.correct(problem, judged), grader)
    except UsageError as error:  # no reference answer, or another kind of problem
        raise UsageError(f"{path} has no labels, and {error}") from error


def _tokens(sample: Sample) -> float:
    known = sample.token_ids if sample.token_ids is not None else sample.token_ends
    return recorded_number(sample.metadata, "tokens") if known is None else float(len(known))


# -- grouping --------------------------------------------------------------------------------------------------


async def _pools(rows: Iterable[_Row], grader: Grader, grouping: AnswerGrouping) -> tuple[SamplePool, ...]:
    return tuple([await _pool(row, grader, grouping) for row in rows])


async def _pool(row: _Row, grader: Grader, grouping: AnswerGrouping) -> SamplePool:
    votes = np.full(len(row.answers), NO_VOTE, np.int64)
    for number, members in enumerate(await _groups(row.answers, grader.for_problem(row.problem), grouping)):
        votes[members] = number
    return SamplePool(
        row.problem.id,
        votes,
        np.array([credit(correct) for correct in row.correct], np.float64),
        np.array(row.tokens, np.float64),
        np.array(row.finished, bool),
        row.scores,
        *row.money,
        row.shape,
        row.start,
    )


async def _groups(answers: Sequence[str | None], grader: Grader, grouping: AnswerGrouping) -> list[list[int]]:
    if grouping == "meaning":
        return await group(grader, answers)
    spelled: dict[str, list[int]] = {}
    for i, answer in enumerate(answers):
        if answer is not None:
            spelled.setdefault(answer, []).append(i)
    return list(spelled.values())
