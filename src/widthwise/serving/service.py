"""The work of a server without its HTTP: one set of open models, and a strategy for each request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from widthwise.core.errors import BackendError, UsageError, WidthwiseError, reason_of
from widthwise.core.problem import Problem
from widthwise.core.session.limits import Limits
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.strategy.result import Result
from widthwise.engines import Engines, open_engines
from widthwise.evals.suites.hub import MATH
from widthwise.evals.suites.suite import Suite
from widthwise.evaluation import Evaluation
from widthwise.models.formats import BOXED
from widthwise.serving.admission import Admission
from widthwise.serving.menu import OWN, Menu
from widthwise.serving.metrics import Metrics
from widthwise.serving.progress import Progress
from widthwise.serving.query import Query
from widthwise.serving.refusal import Refusal
from widthwise.serving.reply import Reply
from widthwise.serving.work import PROBLEM, Work
from widthwise.settings import RunSettings

_log = logging.getLogger(__name__)

CONCURRENCY = 32
"""How many requests are worked on at once by default."""
QUEUE = 256
"""How many requests may wait by default."""
OWN_SAMPLES, OWN_SECONDS = 1024, 600.0
"""What a strategy of the request's own may cost on these axes, where the server sets no limit to them."""

Tell = Callable[[str], None]


class Service:
    """Answers queries with the strategies of ``menu``, on models that are opened once.

    ``suite`` says how questions are asked and answers are read, and has the problems that requests may name; without
    one it is as in ``solve``. ``limits`` are what one request may cost at most, ``concurrency`` how many are worked on
    at once and ``queue`` how many may wait. ``seed`` is that of requests without one (None: each gets its own).
    """

    def __init__(
        self,
        menu: Menu,
        settings: RunSettings,
        *,
        suite: Suite | None = None,
        limits: Limits | None = None,
        concurrency: int = CONCURRENCY,
        queue: int = QUEUE,
        seed: int | None = None,
    ) -> None:
        asked = suite or Suite("served", (Problem(PROBLEM, "?"),), MATH, "serve", BOXED)
        self.menu = menu
        self.admission = Admission(concurrency, queue)
        self.metrics = Metrics(self.admission)
        self._base = Evaluation.of(asked, settings, run=Path("served"))
        self._known = {problem.id: problem for problem in suite.problems} if suite else {}
        self._limits = limits or Limits()
        self._seed = seed
        self._engines: Engines | None = None
        self._schedulers: dict[str, Scheduler] = {}
        self._opening = asyncio.Lock()

    async def open(self) -> Engines:
        """Open the models, once.

        Raises as ``open_engines`` does, and ``UsageError`` for a strategy that cannot work with them.
        """
        async with self._opening:
            if self._engines is None:
                async with AsyncExitStack() as stack:
                    engines = await open_engines(self._base.settings)
                    stack.push_async_callback(engines.close)
                    for strategy in self.menu.strategies.values():
                        strategy.check_against(self._base.setting(engines), ())
                    stack.pop_all()
                self._schedulers = {name: Scheduler(backend) for name, backend in engines.backends.items()}
                self._engines = engines
            return self._engines

    async def close(self) -> None:
        """Close what ``open`` has opened."""
        async with self._opening:
            engines, self._engines = self._engines, None
            if engines is not None:
                await engines.close()

    async def answer(self, query: Query, begun: Callable[[], None], tell: Tell | None = None) -> Reply:
        """What the strategy makes of the query; ``begun`` is called when its turn has come, ``tell`` hears of progress.

        Raises ``Refusal`` for whatever comes of it instead. A cancelled call leaves nothing in flight.
        """
        try:
            work = self._work(query, await self.open())
            async with self.admission.place():
                result = await self._run(work, begun, tell)
            return Reply.of(work, result)
        except Refusal:
            raise
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            raise _refusal(error) from error

    def _work(self, query: Query, engines: Engines) -> Work:
        strategy = self.menu.strategy(query.model)
        query = replace(query, seed=self._seed if query.seed is None else query.seed)
        work = Work.of(query, strategy, self._base, engines, known=self._known, most=self._most(query.model))
        setting = work.setting.each(lambda each: replace(each, scheduler=self._schedulers[each.model]))
        return replace(work, setting=setting)

    def _most(self, model: str) -> Limits:
        """What a request may cost; a strategy of its own has limits in any case."""
        if self.menu.label(model) != OWN:
            return self._limits
        samples, seconds = self._limits.samples or OWN_SAMPLES, self._limits.seconds or OWN_SECONDS
        return replace(self._limits, samples=samples, seconds=seconds)

    async def _run(self, work: Work, begun: Callable[[], None], tell: Tell | None) -> Result:
        journal = Progress(tell) if tell is not None else None
        session = work.open(journal)
        if journal is not None:
            journal.session = session
        begun()
        try:
            return await work.strategy.run(session)
        finally:
            self.metrics.charge(self.menu.label(work.query.model), session.ledger)


def _refusal(error: BaseException) -> Refusal:
    """An error in the client's words: its own mistake, the model's failure, or ours."""
    if isinstance(error, UsageError):
        return Refusal(400, str(error))
    if isinstance(error, BackendError):
        return Refusal(502, str(error), code="backend_error")
    if isinstance(error, WidthwiseError):
        return Refusal(500, str(error))
    _log.warning("a request failed with %s", type(error).__name__)
    _log.debug("a request failed", exc_info=error)
    return Refusal(500, f"the strategy failed with {reason_of(error)}")
