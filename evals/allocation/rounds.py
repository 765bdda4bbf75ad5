"""The rounds of a run under a suite budget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from widthwise.core.brief import counted
from widthwise.core.problem import Problem
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.allocation.batches import Batches, Observer
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.allocation.suite_budget import Grant, SuiteBudget, limits_of
from widthwise.evals.store.outcome import Outcome
from widthwise.samplers.best_of_n import BestOfN

_log = logging.getLogger(__name__)

Attempt = Callable[[int, Strategy, Ledger], Awaitable[Outcome]]
"""Works on the problem at a place with a strategy, and keeps what came of it without closing the problem.

The ledger is what the pool paid for the problem before, and what this attempt does not charge again.
"""


@dataclass(frozen=True, slots=True)
class Round:
    """How many problems got how many samples in a round, and the tokens that were spent when it ended.

    ``switched`` of the problems went on with another strategy instead.
    """

    problems: int
    samples: int
    spent: int
    switched: int = 0

    def asdict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        sampled, spent = self.problems - self.switched, f"{self.spent:,} tokens spent"
        got = [f"{counted(sampled, 'problem')} got {counted(self.samples, 'sample')}"] if sampled else []
        got += [f"{counted(self.switched, 'problem')} went on with another strategy"] if self.switched else []
        return f"{', '.join(got)}; {spent}"


OnRound = Callable[[Round], None]


class Rounds:
    """Works on problems in rounds, each of which begins when the one before has ended for all problems.

    A round opens each of its problems anew, with all the batches that it was granted: the journal delivers what earlier
    rounds sampled. So nothing is kept between rounds but the prospects, and a run that was killed in any round goes
    through the same rounds again.
    """

    def __init__(self, budget: SuiteBudget, strategy: Strategy, setting: Setting, problems: Sequence[Problem]) -> None:
        self._budget = budget
        self._strategy = strategy
        self._sampler = budget.check(strategy, len(problems))
        self._score = budget.score(strategy)
        self._longest = _longest(self._sampler, setting)
        self._sizes: list[tuple[int, ...]] = [()] * len(problems)
        self._prospects: list[Prospect] = [_nothing(problem) for problem in problems]
        self._outcomes: dict[int, Outcome] = {}
        self._whole = [Ledger() for _ in problems]
        self._wasted = [Ledger() for _ in problems]
        self.done: list[Round] = []
        self.strategies: dict[str, str] = {}

    async def run(self, attempt: Attempt, on_round: OnRound) -> list[Outcome]:
        """Every problem's last outcome, in order; ``on_round`` is told of each round when it has ended."""
        grants = self._budget.first(len(self._prospects))
        while grants:
            async with asyncio.TaskGroup() as group:
                for place, grant in grants.items():
                    group.create_task(self._grow(place, grant, attempt))
            on_round(self._ended(grants))
            grants = self._budget.next(self._prospects, self._sampler, self._longest)
        self._say_starved()
        self._say_wasted()
        return [outcome for _, outcome in sorted(self._outcomes.items())]

    async def _grow(self, place: int, grant: Grant, attempt: Attempt) -> None:
        before, wasted = self._prospects[place], self._wasted[place]
        if before.short:  # the batch that its share cut is drawn again
            self._waste(place)
        elif grant.strategy is None:
            self._sizes[place] += (grant.samples,)
        else:
            self.strategies[before.problem] = grant.strategy.brief()
        observer = Observer(self._strategy.aggregator, self._budget.allocator, self._score, grant.strategy)
        sampler = Batches(self._sampler, self._sizes[place], paid=len(before))
        limits = limits_of(before, grant)
        strategy = replace(self._strategy, sampler=sampler, aggregator=observer, budget=limits)
        outcome = await attempt(place, strategy, wasted)
        after, failed = observer.prospect or before, outcome.state != "done"
        spent = outcome.ledger.total - wasted.total
        self._prospects[place] = before.followed(after, spent, grant.tokens, failed=failed)
        self._outcomes[place] = outcome
        if not self._prospects[place].short:
            self._whole[place] = outcome.ledger.copy()

    def _waste(self, place: int) -> None:
        """What the last attempt has drawn in vain is paid, too: the next one does not charge it again."""
        vain = self._outcomes[place].ledger.wasted(self._whole[place])
        self._wasted[place].add(vain)
        self._whole[place].add(vain)

    def _ended(self, grants: dict[int, Grant]) -> Round:
        spent = int(sum(prospect.charged for prospect in self._prospects))
        samples, others = sum(g.samples for g in grants.values()), sum(g.strategy is not None for g in grants.values())
        self.done.append(Round(len(grants), samples, spent, others))
        _log.info("round %d: %s", len(self.done), self.done[-1])
        return self.done[-1]

    def _say_starved(self) -> None:
        """Warn if the pool was too small for the probes of some problems."""
        probes = self._budget.allocator.probes
        lacking = sum(len(p) < probes for p in self._prospects)
        if lacking:
            _log.warning(
                "%d of %s got fewer whole samples than the %s of the allocator: the suite budget of %s tokens was too "
                "small for them, or requests failed",
                lacking, counted(len(self._prospects), "problem"), counted(probes, "probe"), f"{self._budget.tokens:,}",
            )  # fmt: skip

    def _say_wasted(self) -> None:
        """Say what the pool paid for samples that were drawn again."""
        if wasted := sum(ledger.total for ledger in self._wasted):
            _log.warning(
                "samples that their shares cut were drawn again: %s tokens of the suite budget were discarded",
                f"{wasted:,}",
            )


def _nothing(problem: Problem) -> Prospect:
    return Prospect(problem.id, np.empty(0, np.int64), np.empty(0), 0.0)


def _longest(sampler: BestOfN, setting: Setting) -> int | None:
    """How many tokens a sample of the model that works for ``sampler`` may have; None if unknown."""
    own = setting if sampler.model is None else setting.named(sampler.model)
    return sampler.max_tokens or own.params.max_tokens or own.backend.max_model_len
