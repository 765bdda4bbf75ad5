"""Running a sweep: the runs of a plan, one file each in one folder, with one open backend per model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from numbers import Real
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack

from widthwise.core.arguments import whole
from widthwise.core.errors import UsageError
from widthwise.core.run_sync import run_sync
from widthwise.core.session.ledger import Ledger
from widthwise.core.strategy.strategy import Strategy
from widthwise.engines import Engines, open_engines
from widthwise.evaluation import CONCURRENCY, Evaluation, NoListener, check_before
from widthwise.samplers.single import Single
from widthwise.settings import AnyModel, Options, RunSettings, as_any_strategy, listed
from widthwise.sweep_progress import Progress, SweepListener
from widthwise.swept import Sweep

if TYPE_CHECKING:
    from widthwise.evals.measure.axes import Axis
    from widthwise.evals.measure.sweep import SweepTask
    from widthwise.evals.suites.suite import Suite

AXIS: Axis = "samples"
SEEDS = (0,)
FOLDER = "sweep"
"""The default folder of a sweep."""

_UNKNOWN_SAMPLES = 16
"""How many samples a strategy of unknown width counts for when time is estimated."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run still has to do; ``tokens`` and ``seconds`` are None until finished problems or a pilot show them."""

    task: SweepTask
    problems: int
    samples: int | None
    tokens: float | None
    seconds: float | None


class Sweeping:
    """A sweep to be done: its plan, and an ``Evaluation`` for each run in it.

    Everything finished stays in ``folder``; the same sweep, or a larger one, continues from there.
    """

    def __init__(
        self,
        strategies: Sequence[Any],
        suites: Sequence[Any],
        budgets: Sequence[float],
        *,
        axis: Axis = AXIS,
        seeds: Sequence[int] = SEEDS,
        folder: str | Path = FOLDER,
        settings: RunSettings | None = None,
    ) -> None:
        """``settings`` apply to all runs, except for the strategy, the budget and the seed of each."""
        from widthwise.evals.measure.sweep import plan

        self._settings = (settings or RunSettings()).unshared("the runs of a sweep")
        self._suites = _by_name(suites, self._settings.limit)
        chosen = [as_any_strategy(each) for each in listed(strategies, "strategies")]
        numbers = [_number(each) for each in listed(budgets, "budgets")]
        seeds = [whole(seed, "a seed", 0) for seed in listed(seeds, "seeds")]
        self.plan = plan(chosen, list(self._suites), numbers, axis=_axis(axis), seeds=seeds)
        self.folder = _folder(folder)
        self.evaluations = {task: self._evaluation(task) for task in self.plan.tasks}
        self.pilots: dict[str, tuple[list[Ledger], float]] = {}

    def _evaluation(self, task: SweepTask) -> Evaluation:
        settings = replace(self._settings, strategy=task.strategy, budget=task.budget, seed=task.seed)
        evaluation = Evaluation.of(self._suites[task.suite], settings)
        return replace(evaluation, path=evaluation.path_in(self.folder))

    async def pilot(self, problems: int = 16) -> None:
        """Learn what a sample costs on suites without finished problems.

        Draws one trace for a few problems of each and discards them: the sweep draws its own.
        """
        from widthwise.evals.measure.sweep import SweepTask

        unknown = [name for name in self._suites if name not in _Pace.of(self).tokens_per_sample]
        for asked, names in groupby(unknown, key=self._settings_on):
            engines = await open_engines(replace(asked, reward_model=None, embedding_model=None))
            try:
                for name in names:
                    suite = replace(self._suites[name], problems=self._suites[name].problems[:problems])
                    single = self._evaluation(SweepTask(name, Strategy(Single()), None, 0))
                    with TemporaryDirectory() as folder:
                        evaluation = replace(single, suite=suite, path=Path(folder) / "pilot.db")
                        with evaluation.store() as store:
                            await evaluation.work(store, engines, concurrency=problems, listener=NoListener())
                        self.pilots[name] = _finished(evaluation.path)
            finally:
                await engines.close()

    def _settings_on(self, suite: str) -> RunSettings:
        """The settings of the runs on a suite, except for what differs between runs."""
        return self._settings.on(self._suites[suite].model)

    def forecast(self) -> list[Forecast]:
        """What each run still has to do, as far as finished problems in the folder tell."""
        pace = _Pace.of(self)
        return [self._forecast(task, pace) for task in self.plan.tasks]

    def _forecast(self, task: SweepTask, pace: _Pace) -> Forecast:
        from widthwise.evals.measure.sweep import predicted_samples

        problems = len(self._suites[task.suite].problems) - pace.done.get(task, 0)
        each = predicted_samples(task)
        tokens = None
        if task.budget is not None and task.budget.tokens is not None:
            tokens = float(problems * task.budget.tokens)
        elif each is not None and task.suite in pace.tokens_per_sample:
            tokens = problems * each * pace.tokens_per_sample[task.suite]
        seconds = tokens / pace.tokens_per_second if tokens is not None and pace.tokens_per_second else None
        return Forecast(task, problems, None if each is None else problems * each, tokens, seconds)

    async def run(
        self, *, concurrency: int = CONCURRENCY, on_progress: Callable[[Progress], None] = lambda progress: None
    ) -> Sweep:
        """Do what is still to be done, then read the curves from the runs."""
        progress = Progress(self._shares(), whole(concurrency, "concurrency"))
        open_tasks = [task for task in self.plan.tasks if not self._is_done(task, progress)]
        for settings, tasks in groupby(open_tasks, key=lambda task: self._settings_on(task.suite)):
            engines = await open_engines(settings)
            try:
                self._check_independent(engines)
                for task in tasks:
                    progress.runs = self.plan.tasks.index(task) + 1
                    listener = SweepListener(task, progress, on_progress)
                    evaluation = replace(self.evaluations[task], served=engines.identities)
                    evaluation.asked(engines)
                    with evaluation.store() as store:
                        await evaluation.work(store, engines, concurrency=concurrency, listener=listener)
            finally:
                await engines.close()
        return await asyncio.to_thread(self.collect)

    def _check_independent(self, engines: Engines) -> None:
        """Raises ``UsageError`` for a recording of samples that are not independent, if budgets are to share them."""
        shared = [cell.strategy.brief() for cell in self.plan.cells if cell.shared is not None]
        for backend in engines.backends.values():
            if shared and (why := getattr(backend, "dependent", "")):
                raise UsageError(
                    f"{backend.name} does not show what {shared[0]} reaches at smaller budgets: {why}; replay a run of "
                    "best_of_n in which nothing was stopped"
                )

    def _is_done(self, task: SweepTask, progress: Progress) -> bool:
        from widthwise.evals.input_file import is_there

        if not is_there(self.evaluations[task].path):
            return False
        with self.evaluations[task].store() as store:
            done = [outcome.state == "done" for outcome in store.outcomes()]
            self.evaluations[task].say_continued(store, "another folder")
        for _ in range(sum(done)):
            progress.add(task, stored=True)
        return bool(done) and all(done)

    def collect(self) -> Sweep:
        """The curves of a sweep whose runs are finished."""
        from widthwise.evals.measure.sweep import collect
        from widthwise.evals.store.store import Store

        runs = tuple(self.evaluations[task].path for task in self.plan.tasks)
        failures = 0
        for path in runs:
            with Store.read(path) as store:
                failures += sum(outcome.state == "error" for outcome in store.outcomes())
        curves = collect(self.plan, lambda task: self.evaluations[task].path, prices=self._settings.prices)
        return Sweep(self.plan, tuple(curves), runs, failures, self._settings.prices)

    def _shares(self) -> dict[SweepTask, float]:
        """The share of all samples that one problem of each run stands for."""
        from widthwise.evals.measure.sweep import predicted_samples

        each = {task: predicted_samples(task) or _UNKNOWN_SAMPLES for task in self.plan.tasks}
        total = sum(samples * len(self._suites[task.suite].problems) for task, samples in each.items())
        return {task: samples / total for task, samples in each.items()}


def _number(budget: Any) -> float:
    if isinstance(budget, bool) or not isinstance(budget, Real):
        raise UsageError(f"budgets are numbers, budgets=[1, 2, 4], not {budget!r:.60}")
    return float(budget)


def _axis(name: Any) -> Axis:
    if not isinstance(name, str):
        raise UsageError(f"the axis is a name, axis='tokens', not {name!r:.60} ({type(name).__name__})")
    return name


def _listed(suites: Any) -> list[Any]:
    """The suites; ``UsageError`` for the problems of a single one."""
    from widthwise.evals.suites.given import is_problem, is_table

    items = [] if is_table(suites) else listed(suites, "suites")
    if is_table(suites) or any(map(is_problem, items)):
        raise UsageError(
            "suites is a list of suites, and these are the problems of one: put them into a list, [problems]"
        )
    return items


def _by_name(suites: Sequence[Any], limit: int | None) -> dict[str, Suite]:
    """The suites under the names by which the sweep distinguishes them."""
    from widthwise.evals.suites.given import suite_of

    found: dict[str, Suite] = {}
    for given in _listed(suites):
        suite = suite_of(given, limit=limit)
        name = given if isinstance(given, str) else suite.name
        if name in found and found[name].digest != suite.digest:
            raise UsageError(f"two suites are called {name!r}: give them names, ww.suite_of(problems, name=...)")
        found[name] = suite
    return found


@dataclass(slots=True)
class _Pace:
    """What finished problems say about those to come."""

    done: dict[SweepTask, int] = field(default_factory=dict)
    tokens_per_sample: dict[str, float] = field(default_factory=dict)
    tokens_per_second: float | None = None

    @classmethod
    def of(cls, sweeping: Sweeping) -> _Pace:
        pace, seconds, total = cls(), 0.0, 0
        spent: dict[str, list[int]] = {}
        for task, evaluation in sweeping.evaluations.items():
            done, took = _finished(evaluation.path)
            pace.done[task] = len(done)
            tokens, samples = sum(ledger.total for ledger in done), sum(ledger.samples for ledger in done)
            of_suite = spent.setdefault(task.suite, [0, 0])
            of_suite[0], of_suite[1] = of_suite[0] + tokens, of_suite[1] + samples
            seconds, total = seconds + took, total + tokens
        for suite, (done, took) in sweeping.pilots.items():
            tokens = sum(ledger.total for ledger in done)
            spent[suite] = [tokens, len(done)]
            seconds, total = seconds + took, total + tokens
        pace.tokens_per_sample = {suite: tokens / samples for suite, (tokens, samples) in spent.items() if samples}
        pace.tokens_per_second = total / seconds if seconds else None
        return pace


def _folder(given: Any) -> Path:
    if not isinstance(given, str | PathLike):
        raise UsageError(f"the folder of a sweep is a path, not {given!r:.60} ({type(given).__name__})")
    return Path(given)


def _finished(path: Path) -> tuple[list[Ledger], float]:
    """What the finished problems of a run have spent, and its wall-clock time so far; a plan writes no file."""
    from widthwise.evals.store.store import Store

    try:
        with Store.read(path) as store:
            return [outcome.ledger for outcome in store.outcomes() if outcome.state == "done"], store.seconds
    except UsageError:  # not begun, or killed while it began
        return [], 0.0


def sweep(
    strategies: Sequence[Any],
    suites: Sequence[Any],
    budgets: Sequence[float],
    *,
    axis: Axis = AXIS,
    seeds: Sequence[int] = SEEDS,
    model: AnyModel = None,
    folder: str | Path = FOLDER,
    concurrency: int = CONCURRENCY,
    **options: Unpack[Options],
) -> Sweep:
    """Measure ``strategies`` on ``suites`` at each of ``budgets`` per problem, and wait for it.

    Strategies are as for ``solve``, suites as for ``evaluate``. Samples are shared between budgets and strategies
    wherever that is valid (see ``Sweep.plan.notes``). Runs are kept in ``folder``; the same call continues where it was
    stopped. ``options`` are as for ``solve``. Raises ``UsageError`` for an impossible grid, ``BackendError`` if the
    model is not available. ``sweep_async`` does not wait.
    """
    return run_sync(
        sweep_async(
            strategies,
            suites,
            budgets,
            axis=axis,
            seeds=seeds,
            model=model,
            folder=folder,
            concurrency=concurrency,
            **options,
        )
    )


async def sweep_async(
    strategies: Sequence[Any],
    suites: Sequence[Any],
    budgets: Sequence[float],
    *,
    axis: Axis = AXIS,
    seeds: Sequence[int] = SEEDS,
    model: AnyModel = None,
    folder: str | Path = FOLDER,
    concurrency: int = CONCURRENCY,
    **options: Unpack[Options],
) -> Sweep:
    """``sweep`` for ``async`` programs."""
    settings = RunSettings.of(model=model, **options)
    suites = _listed(suites)
    for suite in suites:
        check_before(suite, settings, folder=_folder(folder))
    sweeping = Sweeping(strategies, suites, budgets, axis=axis, seeds=seeds, folder=folder, settings=settings)
    return await sweeping.run(concurrency=concurrency)
