"""One evaluation: the settings of a run, its file, and doing it."""

from __future__ import annotations

import asyncio
import logging
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from widthwise.asking import SettledAsking, recorded_asking
from widthwise.core.arguments import whole
from widthwise.core.brief import Brief
from widthwise.core.errors import BackendError, WidthwiseError
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.template import places
from widthwise.core.session.prices import record_of
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.strategy import Strategy
from widthwise.costing import shape_for
from widthwise.engines import Engines, check_installed, open_engines, served_by
from widthwise.evals.grading.function_grader import FunctionGrader
from widthwise.interrupts import cancelled_by_signals
from widthwise.settings import RunSettings
from widthwise.version import VERSION

if TYPE_CHECKING:
    from widthwise.evals.allocation.rounds import Round
    from widthwise.evals.measure.summary import Summary
    from widthwise.evals.store.outcome import Outcome
    from widthwise.evals.store.store import Store
    from widthwise.evals.suites.suite import Suite

_log = logging.getLogger(__name__)

CONCURRENCY = 32
"""How many problems are worked on at once by default."""

RUNS = Path("runs")
"""The folder of run files that are not given a name."""

_ANOTHER_FILE = "another file (run=...)"


class Listener(Protocol):
    """Is told of problems that were finished before, and of each that is finished now.

    With a suite budget, problems are finished together at the end, and until then it is told of each round.
    """

    def stored(self, outcome: Outcome) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...

    def round_ended(self, ended: Round) -> None: ...


class NoListener:
    """Ignores everything it is told."""

    def stored(self, outcome: Outcome) -> None: ...

    def finished(self, outcome: Outcome) -> None: ...

    def round_ended(self, ended: Round) -> None: ...


class Interrupted(Exception):
    """The user stopped the run; the text says how far it is."""


@dataclass(frozen=True, slots=True)
class Evaluation(Brief):
    """A run: its problems, its settings, and ``path``, its file. ``data`` is where the problems came from.

    ``served`` is what is found at addresses in the settings that do not identify a model. ``named`` is whether the
    user chose the path; otherwise the file's name depends on ``served``, too.
    """

    suite: Suite
    settings: RunSettings
    path: Path
    data: str | None = None
    served: Mapping[str, Any] = field(default_factory=dict)
    named: bool = True

    @classmethod
    def of(
        cls, suite: Suite, settings: RunSettings, *, run: Path | None = None, data: Path | None = None
    ) -> Evaluation:
        """The run of ``suite`` under ``settings``, whose grader and instruction override the suite's.

        ``run`` None puts the run under ``RUNS``, in a file named by the settings.
        """
        grader = settings.grader
        if isinstance(grader, FunctionGrader):
            grader = grader.reading_as(suite.grader)
        own = {"grader": grader, "instruction": settings.instruction}
        judged = replace(suite, **{name: value for name, value in own.items() if value is not None})  # type: ignore[arg-type]
        evaluation = cls(
            judged,
            settings.on(suite.model),
            run or Path(),
            None if data is None else str(data),
            named=run is not None,
        )
        return evaluation if run else replace(evaluation, path=evaluation.path_in(RUNS))

    @property
    def configuration(self) -> dict[str, Any]:
        """The problems and the settings as the store compares them."""
        from widthwise.evals.store.configuration import SERVED

        judge = {"grader": self.suite.grader.name, "grading": dict(self.suite.grader.settings)}
        asked = {"suite": self.suite.name, "problems": self.suite.digest, **judge, **self.settings.configuration}
        return {**asked, **({SERVED: dict(self.served)} if self.served else {})}

    def path_in(self, folder: Path) -> Path:
        """The same settings give the same file, so that the same command finds its run again.

        Earlier versions named it by the strategy with all its defaults: if such a file exists, it is still the run's.
        """
        from widthwise.evals.store.configuration import digest

        end = f"{digest(self.configuration)[:8]}.db"
        path, older = (folder / f"{stem}-{end}" for stem in self._stems)
        return older if older.exists() and not path.exists() else path

    @property
    def is_found_again(self) -> bool:
        """Whether the settings name all that decides the results, so that equal settings are the same run.

        A function of the main program, or of another function, may be another one the next time.
        """
        spelled = str(self.configuration)
        return not any(place in spelled for place in ("__main__:", "<locals>", "<lambda>"))

    def say_continued(self, store: Store, another: str) -> None:
        """Warn if what ``store`` has may come from earlier versions of functions; ``another`` is the way out."""
        if not self.is_found_again and any(outcome.state == "done" for outcome in store.outcomes()):
            _log.warning("%s is continued: name %s if a function in it has changed since", self.path, another)

    @property
    def _stems(self) -> tuple[str, str]:
        """The names of the run's file, now and in earlier versions."""
        model = str(self.settings.configuration["model"])
        model = model if model.startswith("http") else model.rpartition("/")[2]
        strategies = (self.settings.strategy.brief(), str(self.settings.strategy))
        now, before = ("-".join(map(_slug, [self.suite.name, model, strategy])) for strategy in strategies)
        return now, before

    async def run(self, *, concurrency: int, listener: Listener) -> Summary:
        """Do what is still to be done; returns the run's figures.

        In a command SIGINT and SIGTERM raise ``Interrupted``; elsewhere cancelling the task cancels it. By then
        everything finished is stored.
        """
        whole(concurrency, "concurrency")
        located = self if self.named else await self.located()
        return await located._run(concurrency=concurrency, listener=listener)

    async def located(self) -> Evaluation:
        """This run with the file for the model that the address serves now; another model's run is a different run.

        If the server cannot be asked, a finished run with the same settings is used.
        """
        try:
            served = await served_by(self.settings)
        except BackendError:
            if (finished := self._finished_before()) is None:
                raise
            return replace(self, path=finished)
        found = replace(self, served=served)
        return replace(found, path=found.path_in(RUNS))

    def _finished_before(self) -> Path | None:
        """A file with a finished run of these settings, whichever model was served then."""
        files = [file for stem in self._stems for file in sorted(RUNS.glob(f"{stem}-*.db"))]
        return next(filter(self._is_finished_in, files), None)

    def _is_finished_in(self, path: Path) -> bool:
        from widthwise.evals.store.store import Store

        with suppress(WidthwiseError), Store.read(path) as store:
            return store.is_finished(self.configuration)
        return False

    async def _run(self, *, concurrency: int, listener: Listener) -> Summary:
        from widthwise.evals.input_file import is_there
        from widthwise.evals.measure.summary import summarise
        from widthwise.evals.store.database import NotBegun
        from widthwise.evals.store.store import Store

        if is_there(self.path):
            # A finished run may be where nothing can be written.
            with suppress(NotBegun), Store.read(self.path) as store:
                if store.is_finished(self.configuration):
                    self.say_continued(store, _ANOTHER_FILE)
                    return summarise(store, self.settings.prices)
            self.store().close()  # different settings, or a file in use, are reported before a model is loaded
        if (pool := self.settings.suite_budget) is not None:
            pool.check(self.strategy, len(self.suite.problems))
        # A model that is not available leaves no run file, and neither does a strategy that cannot work with it.
        engines = await open_engines(self.settings)
        try:
            found = replace(self, served=engines.identities)
            self.strategy.check_against(self.setting(engines), self.suite.problems)
            if pool is not None:
                pool.check_others(self.strategy, self.setting(engines), self.suite.problems)
            with found.store() as store:
                self.say_continued(store, _ANOTHER_FILE)
                return await self.work(store, engines, concurrency=concurrency, listener=listener)
        finally:
            await engines.close()

    def asked(self, engines: Engines, manifest: Mapping[str, Any] | None = None) -> dict[str, SettledAsking]:
        """How each model is asked, by name; ``manifest`` says how it was when the run began.

        Raises ``UsageError`` for a format, a template argument or a prompt that a model does not have.
        """
        found = {}
        for name, backend in engines.backends.items():
            before = None if manifest is None else recorded_asking(manifest, name, engines.backends)
            found[name] = self.settings.asking_of(name).settled(backend, before)
        return found

    def setting(self, engines: Engines, asked: Mapping[str, SettledAsking] | None = None) -> Setting:
        """What the sessions of the run share; raises ``UsageError`` for prompts that a model does not have."""
        asked = self.asked(engines) if asked is None else asked
        first, *others = [self._setting_of(name, engines, each) for name, each in asked.items()]
        return replace(first, others={other.model: other for other in others})

    def _setting_of(self, name: str, engines: Engines, asked: SettledAsking) -> Setting:
        """What the sessions of the run share of one model."""
        from widthwise.evals.runner import setting_for

        return setting_for(
            self.suite,
            engines.backends[name],
            self._with_place(asked.format),
            params=asked.params,
            chat=asked.chat,
            thinking=asked.profile.thinking,
            seed=self.settings.seed,
            reward_model=engines.reward_model,
            embedder=engines.embedder,
            judge_tokens=self.settings.judge_tokens,
            model=name,
            shape=shape_for(engines.backends[name], self.settings.model_config, self.settings.flops_per_token),
        )

    def _with_place(self, format: PromptFormat) -> PromptFormat:
        """A format with a place for the user's own instruction; formats of models that know the task have none."""
        if not self.settings.instruction or "instruction" in places(format.template):
            return format
        return replace(format, template=f"{format.template}\n\n{{instruction}}")

    @property
    def strategy(self) -> Strategy:
        """The strategy under the run's budget."""
        return self.settings.strategy.within(self.settings.budget)

    def store(self) -> Store:
        """The run's file, created or continued."""
        from widthwise.evals.store.store import Store

        return Store.begin(
            self.path, self.configuration, self.suite.problems, {"data": self.data, **self._asked, **_about()}
        )

    @property
    def _asked(self) -> dict[str, str]:
        """What the suite says of its problems' origin, and what is appended to each of them."""
        return {"source": self.suite.source, "instruction": self.suite.instruction}

    async def work(self, store: Store, engines: Engines, *, concurrency: int, listener: Listener) -> Summary:
        """Do what ``store`` does not have yet; raises ``Interrupted`` if a signal ended it (see ``run``)."""
        from widthwise.evals.runner import run
        from widthwise.evals.store.configuration import entry_of

        for outcome in store.outcomes():
            if outcome.state == "done":
                listener.stored(outcome)
        asked = self.asked(engines, store.manifest)
        if self.settings.prices:
            store.note({"prices": record_of(self.settings.prices)})
        store.note({**engines.about, **{entry_of("asking", name, asked): each.record for name, each in asked.items()}})
        with cancelled_by_signals() as stop:
            try:
                return await run(
                    self.suite,
                    self.strategy,
                    self.setting(engines, asked),
                    store,
                    suite_budget=self.settings.suite_budget,
                    concurrency=concurrency,
                    on_outcome=listener.finished,
                    on_round=lambda ended: listener.round_ended(ended),
                )
            except asyncio.CancelledError:
                stopped = self._stopped(store)
                if stop.heard:
                    raise Interrupted(stopped) from None
                _log.warning("%s", stopped)
                raise

    def _stopped(self, store: Store) -> str:
        states = [outcome.state for outcome in store.outcomes()]
        return (
            f"stopped with {len(states) - states.count('open')} of {len(states)} problems done; everything finished is "
            f"in {self.path}, and the same command continues from there"
        )


def check_before(suite: Any, settings: RunSettings, run: Path | None = None, folder: Path = RUNS) -> None:
    """Raise ``BackendError`` for a package that the models need, before the hub is asked for a suite.

    Where there are runs of the suite, in ``run`` or in ``folder``, the same command may only want to read them.
    """
    from widthwise.evals.input_file import is_there

    there = is_there(run) if run else isinstance(suite, str) and any(folder.glob(f"{_slug(suite)}-*.db"))
    if not there:
        check_installed(settings)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")[:40].strip("_")


def _about() -> dict[str, Any]:
    import numpy as np

    packages = {"widthwise": VERSION, "python": platform.python_version(), "numpy": np.__version__}
    return {"versions": packages}
