"""One evaluation: the settings of a run, its file, and doing it."""

from __future__ import annotations

import asyncio
import platform
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.prompting.profile import facts_of
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.limits import Limits
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Strategy
from widthwise.engines import Engines, Scorers, open_engines
from widthwise.models.profiles import profile_of
from widthwise.opening import canonical
from widthwise.version import VERSION

if TYPE_CHECKING:
    from widthwise.evals.measure.summary import Summary
    from widthwise.evals.store.outcome import Outcome
    from widthwise.evals.store.store import Store
    from widthwise.evals.suites.suites import Suite

RUNS = Path("runs")
"""Where run files go that nobody named."""


class Listener(Protocol):
    """Hears of problems that were done before, and of each that is done now."""

    def stored(self, outcome: Outcome) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...


class Interrupted(Exception):
    """The user stopped the run; the text says where it stands."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that decides a run's results, and ``path``, its file. ``data`` is where the problems came from,
    ``prompts`` are the user's own in place of the prompt format's.
    """

    suite: Suite
    data: str | None
    model: str
    backend_args: Mapping[str, Any]
    strategy: Strategy
    budget: Limits | None
    params: SamplingParams
    seed: int
    limit: int | None
    path: Path
    scorers: Scorers = field(default_factory=Scorers)
    prompts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        suite: str | None,
        data: Path | None,
        model: str,
        strategy: str,
        limit: int | None,
        budget: Limits,
        params: SamplingParams,
        seed: int,
        backend_args: Mapping[str, Any],
        run: Path | None,
        scorers: Scorers | None = None,
        prompts: Mapping[str, str] | None = None,
    ) -> Evaluation:
        """An evaluation as the command line words it; raises ``UsageError`` for what does not exist.

        ``run`` None puts the run under ``RUNS``, in a file named by the settings.
        """
        full_model = canonical(model)
        chosen = parse_strategy(strategy)
        evaluation = cls(
            suite=_suite(suite, data, limit),
            data=None if data is None else str(data),
            model=full_model,
            backend_args=backend_args,
            strategy=chosen,
            budget=_both(budget, chosen.budget),
            params=params,
            seed=seed,
            limit=limit,
            path=run or Path(),
            scorers=scorers or Scorers(),
            prompts=prompts or {},
        )
        return evaluation if run else replace(evaluation, path=evaluation.default_path)

    @property
    def configuration(self) -> dict[str, Any]:
        """The settings as the store compares them."""
        budget = {} if self.budget is None else {f"budget_{k}": v for k, v in _set(asdict(self.budget)).items()}
        return {
            "suite": self.suite.name,
            "problems": self.suite.digest,
            "limit": self.limit,
            "model": self.model,
            "backend_args": dict(self.backend_args),
            "strategy": str(self.strategy),
            **budget,
            **_changed(self.params),
            "seed": self.seed,
            "grader": self.suite.grader.name,
            **self.scorers.configuration,
            **({"prompts": dict(self.prompts)} if self.prompts else {}),
        }

    @property
    def default_path(self) -> Path:
        """The same settings give the same file, so that the same command finds its run again."""
        from widthwise.evals.store.configuration import digest

        model = self.model if self.model.startswith("http") else self.model.rpartition("/")[2]
        names = [self.suite.name, model, str(self.strategy)]
        return RUNS / ("-".join([*map(_slug, names), digest(self.configuration)[:8]]) + ".db")

    async def run(self, *, concurrency: int, listener: Listener) -> Summary:
        """Do what is still to be done; the run's figures.

        Raises ``Interrupted`` on SIGINT and SIGTERM, when everything finished is stored.
        """
        from widthwise.evals.measure.summary import summarise
        from widthwise.evals.store.database import NotBegun
        from widthwise.evals.store.store import Store

        if self.path.exists():
            # A finished run may lie where nothing can be written.
            with suppress(NotBegun), Store.read(self.path) as store:
                if store.is_finished(self.configuration):
                    return summarise(store)
            self.store().close()  # other settings, or a file in use, are said before a model is loaded
        # A model that cannot be had leaves no run file behind, and neither do prompts that it cannot be asked.
        engines = await open_engines(self.model, self.backend_args, self.scorers)
        try:
            self.format(engines.backend)
            with self.store() as store:
                return await self.work(store, engines, concurrency=concurrency, listener=listener)
        finally:
            await engines.close()

    def format(self, backend: Backend) -> PromptFormat:
        """How the model is asked; raises ``UsageError`` for prompts that its family does not have."""
        return profile_of(facts_of(backend)).format.changed(self.prompts)

    def store(self) -> Store:
        """The run's file, begun or continued."""
        from widthwise.evals.store.store import Store

        return Store.begin(self.path, self.configuration, self.suite.problems, {"data": self.data, **_about()})

    async def work(self, store: Store, engines: Engines, *, concurrency: int, listener: Listener) -> Summary:
        """Do what ``store`` does not have yet; raises ``Interrupted`` on SIGINT and SIGTERM."""
        from widthwise.evals.runner import run

        for outcome in store.outcomes():
            if outcome.state == "done":
                listener.stored(outcome)
        store.note(engines.about)
        with _cancelled_by_signals():
            try:
                return await run(
                    self.suite,
                    self.strategy,
                    engines.backend,
                    store,
                    seed=self.seed,
                    concurrency=concurrency,
                    params=self.params,
                    budget=self.budget,
                    reward_model=engines.reward_model,
                    embedder=engines.embedder,
                    format=self.format(engines.backend),
                    on_outcome=listener.finished,
                )
            except asyncio.CancelledError:
                states = [outcome.state for outcome in store.outcomes()]
                raise Interrupted(
                    f"stopped with {len(states) - states.count('open')} of {len(states)} problems done; everything "
                    f"finished is in {self.path}, and the same command goes on from there"
                ) from None


def _suite(name: str | None, data: Path | None, limit: int | None) -> Suite:
    from widthwise.evals.suites.suites import load_suite

    return load_suite(name, data=data, limit=limit)


def _both(given: Limits, own: Limits | None) -> Limits | None:
    """The strategy's own budget, with what the command line says in its place."""
    merged = replace(own or Limits(), **_set(asdict(given)))
    return merged if _set(asdict(merged)) else None


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _changed(params: SamplingParams) -> dict[str, Any]:
    """The parameters that are not at their defaults."""
    return {f.name: getattr(params, f.name) for f in fields(params) if getattr(params, f.name) != f.default}


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")[:40].strip("_")


def _about() -> dict[str, Any]:
    import numpy as np

    packages = {"widthwise": VERSION, "python": platform.python_version(), "numpy": np.__version__}
    return {"versions": packages}


@contextmanager
def _cancelled_by_signals() -> Iterator[None]:
    """SIGINT and SIGTERM cancel the current task, once; the second signal acts as ever."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def cancel() -> None:
        for number in signals:
            loop.remove_signal_handler(number)
        if task is not None:
            task.cancel()

    for number in signals:
        loop.add_signal_handler(number, cancel)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
