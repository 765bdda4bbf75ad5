"""A suite budget: the tokens that all problems of a run share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from widthwise.core.arguments import ArgumentError, whole
from widthwise.core.brief import Brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.session.limits import Limits
from widthwise.core.session.setting import Setting
from widthwise.core.session.voices import model_of
from widthwise.core.strategy.checking import inside
from widthwise.core.strategy.spelling import spelled
from widthwise.core.strategy.strategy import Strategy
from widthwise.evals.allocation.allocator import Allocator
from widthwise.evals.allocation.confidence import chance_score
from widthwise.evals.allocation.prospect import Prospect, costs
from widthwise.evals.allocation.switches import Switch
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.single import Single

_A_ROUND = 0.5
"""The share of what is left that a round plans to spend: the shares of its problems may then be twice their plans, so
that traces are rarely cut, and later rounds know more.
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a problem gets in a round, for at most so many more ``tokens``: ``samples``, or another ``strategy``."""

    samples: int
    tokens: int
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True)
class SuiteBudget(Brief):
    """``tokens`` sampled tokens for a whole run, shared out by ``allocator`` in rounds.

    The first rounds give every problem its probes, one a round: each may take an equal share of what is left, which is
    far more than it needs in most pools. A probe that its share cut is drawn again with a larger one, before anybody
    gets the next sample. Each further round plans with half of what is left, until that buys no sample. No problem gets
    more tokens than it was granted, so the pool is kept as exactly as any budget.
    """

    tokens: int
    allocator: Allocator

    @property
    def configuration(self) -> dict[str, Any]:
        """What of it decides a run's results, as JSON values."""
        return {"suite_budget_tokens": self.tokens, "allocator": str(self.allocator), **self.allocator.configuration}

    def score(self, strategy: Strategy) -> str:
        """The score of samples that decides who gets more; empty for votes alone."""
        return self.allocator.score or chance_score(strategy)

    def strategies(self, strategy: Strategy) -> list[Strategy]:
        """The run's strategy, with each way in which an answer may be chosen."""
        return [strategy, *(replace(strategy, aggregator=each) for each in self.allocator.aggregators)]

    def check_others(self, strategy: Strategy, setting: Setting, problems: Sequence[Problem]) -> None:
        """Check what the allocator may choose beside the run's ``strategy``; ``UsageError`` if it cannot work."""
        for other in (*self.strategies(strategy)[1:], *self.allocator.strategies):
            with self._choosing(other):
                _check_recorded(other, setting)
                other.check_against(setting, problems)

    @contextmanager
    def _choosing(self, other: Strategy) -> Iterator[None]:
        """Errors of what the user did not write say who chose it."""
        try:
            yield
        except UsageError as error:
            raise UsageError(f"{self.allocator.brief()} may choose {other.brief()}: {error}") from error

    def check(self, strategy: Strategy, problems: int, *, live: bool = True) -> BestOfN:
        """The strategy's sampler; raises ``UsageError`` before anything is sampled if the two do not fit together."""
        if live and self.allocator.needs_references:
            raise UsageError(
                f"{self.allocator.brief()} tells difficulty from reference answers, which is for study only "
                "(`widthwise allocate`): fit a policy on another difficulty"
            )
        sampler = strategy.sampler
        if not isinstance(sampler, BestOfN) or strategy.pruners or strategy.budget is not None:
            raise UsageError(
                "a suite budget adds samples to problems round by round: the strategy is best_of_n, whose n is the "
                f"most that one problem gets, and an aggregator, without pruners and other budgets, not "
                f"{strategy.brief()}"
            )
        _check_plannable(strategy)
        for other in self.strategies(strategy)[1:]:
            with self._choosing(other):
                _check_plannable(other)
        if sampler.n < self.allocator.probes:
            raise UsageError(
                f"{sampler.brief()} allows fewer samples a problem than the {self.allocator.probes} probes of "
                f"{self.allocator.brief()}: give a larger n, or fewer probes"
            )
        self._check_probes(problems)
        return sampler

    def _check_probes(self, problems: int) -> None:
        probes = self.allocator.probes
        if self.tokens < problems * probes:
            raise UsageError(
                f"a suite budget of {self.tokens:,} tokens is not even one for each of the {probes} probes of each of "
                f"{problems:,} problems: give {problems * probes:,} times the length of a sample, or more"
            )

    def first(self, problems: int) -> dict[int, Grant]:
        """The first probe of every problem (by place), with equal shares of the pool."""
        return dict.fromkeys(range(problems), Grant(1, self.tokens // problems))

    def next(self, prospects: Sequence[Prospect], sampler: BestOfN, longest: int | None) -> dict[int, Grant]:
        """What problems get in the next round; nothing if the pool buys no further sample.

        ``longest``: how many tokens a sample may have at most; None if unknown. Raises ``UsageError`` for an allocator
        that does not return numbers of samples.
        """
        left = self.tokens - int(sum(p.charged for p in prospects))
        probes = self.allocator.probes
        if again := _again(prospects, left, probes, longest):
            return again
        if probed := {i: 1 for i, p in enumerate(prospects) if not p.closed and len(p) < probes}:
            return _granted(dict(probed), prospects, left, longest)
        for share in (_A_ROUND, 1.0):
            if chosen := self._chosen(prospects, left, share, sampler.n):
                return _granted(chosen if share < 1 else _one(chosen), prospects, left, longest)
        return {}

    def _chosen(self, prospects: Sequence[Prospect], left: int, share: float, most: int) -> dict[int, int | Switch]:
        """What problems get for a ``share`` of what is ``left``: other strategies, and samples for all other problems.

        The rest of the other strategies waits for the next rounds, and its tokens are set aside.
        """
        switches = self.allocator.switches(prospects, left, most)
        now = _within(switches, left * share)
        still = [replace(p, closed=True) if i in switches else p for i, p in enumerate(prospects)]
        aside = sum(switch.tokens for switch in switches.values())
        more = self._more(still, max(left - aside, 0) * share, most)
        return {**now, **{i: n for i, n in enumerate(more) if n > 0}}

    def _more(self, prospects: Sequence[Prospect], tokens: float, most: int) -> list[int]:
        """What the allocator says, without samples for closed problems and beyond ``most``.

        So each round closes a problem or adds a sample to it, and the rounds end whatever the allocator says.
        """
        given: Any = self.allocator.allocate(prospects, tokens, most)
        more = _whole_numbers(given)
        if more is None or len(more) != len(prospects):
            raise UsageError(
                f"{self.allocator.brief()} must return one whole number of at least 0 for each of "
                f"{counted(len(prospects), 'problem')}, how many more samples it gets, not {given!r:.60}"
            )
        return [0 if p.closed else min(n, max(most - len(p), 0)) for n, p in zip(more, prospects, strict=True)]


def _check_plannable(strategy: Strategy) -> None:
    if asking := next(filter(_asks, inside(strategy.aggregator)), None):
        raise cannot_plan(asking)


def _check_recorded(strategy: Strategy, setting: Setting) -> None:
    """Refuse a recording as the model of a strategy that does more than draw samples."""
    model = model_of(strategy.sampler)
    backend = setting.backend if model is None else setting.named(model).backend
    if getattr(backend, "recorded", False) and not isinstance(strategy.sampler, BestOfN | Single):
        raise UsageError(
            f"{backend.name} holds whole samples, which it cannot go on with: give a model, or a run of this strategy "
            "(`widthwise allocate --alternative RUN.db`)"
        )


def _asks(part: Any) -> bool:
    """Whether a part of an aggregator has a model answer questions or write."""
    return bool(getattr(part, "questions", ())) or bool(getattr(part, "names_model", False))


def cannot_plan(aggregator: Any) -> UsageError:
    """An aggregator samples by itself: round after round it would do so again."""
    return UsageError(
        f"{spelled(aggregator, brief=True)} asks a model to choose or to answer anew, whose tokens a suite budget "
        "cannot plan: choose by votes or scores"
    )


def _whole_numbers(given: Any) -> list[int] | None:
    """``given`` as whole numbers of at least 0; None for anything else."""
    try:
        return [whole(n, "samples", 0) for n in given] if isinstance(given, Sequence | np.ndarray) else None
    except (ArgumentError, TypeError):  # an array without dimensions cannot be gone through
        return None


def _again(prospects: Sequence[Prospect], left: int, probes: int, longest: int | None) -> dict[int, Grant]:
    """Probes that are drawn again: as many as get at least twice the share that was not enough, else one.

    Shares at least double, or are all that is left, so a probe is rarely drawn a third time, and not for ever.
    """
    short = sorted((p.short, i) for i, p in enumerate(prospects) if p.short and len(p) < probes)
    for count in range(len(short), 0, -1):
        share, before = left // count, short[count - 1][0]
        twice = 2 * before if longest is None else min(2 * before, longest)
        if share > before and (share >= twice or count == 1):
            return {i: Grant(1, share) for _, i in short[:count]}
    return {}


def _within(switches: dict[int, Switch], tokens: float) -> dict[int, Switch]:
    """As many of the first ``switches`` as ``tokens`` are expected to pay; at least one."""
    found: dict[int, Switch] = {}
    for i, switch in switches.items():
        if found and sum(each.tokens for each in found.values()) + switch.tokens > tokens:
            break
        found[i] = switch
    return found


def _one(chosen: dict[int, int | Switch]) -> dict[int, int | Switch]:
    """At the end of the pool, a single sample: several would be likely to cut one another."""
    return {next(iter(chosen)): 1}


def _granted(
    chosen: Mapping[int, int | Switch], prospects: Sequence[Prospect], left: int, longest: int | None
) -> dict[int, Grant]:
    """Each problem's share of ``left``: all it can need if that is enough for all, else by what it is expected to."""
    samples = {i: each for i, each in chosen.items() if not isinstance(each, Switch)}
    if longest is not None and len(samples) == len(chosen) and sum(samples.values()) * longest <= left:
        return {i: Grant(n, n * longest) for i, n in samples.items()}
    cost = costs(prospects)
    expected = {i: each.tokens if isinstance(each, Switch) else each * cost[i] for i, each in chosen.items()}
    share = {i: int(left * each / sum(expected.values())) for i, each in expected.items()}
    return {
        i: Grant(0, share[i], each.strategy) if isinstance(each, Switch) else Grant(each, share[i])
        for i, each in chosen.items()
    }


def limits_of(prospect: Prospect | None, grant: Grant) -> Limits:
    """The limits of a session that continues a problem with what it was granted."""
    spent = 0 if prospect is None else int(prospect.spent)
    return Limits(tokens=spent + grant.tokens)
