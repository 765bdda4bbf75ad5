"""What run files hold for a study: samples to be shared out anew, and what other strategies made of the problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Self

import numpy as np

from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.session.prices import Prices
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.evals.allocation.alternatives import Answers, answers_of
from widthwise.evals.allocation.confidence import score_of
from widthwise.evals.measure.pools import Source, load
from widthwise.evals.measure.run_prices import check_known
from widthwise.evals.measure.sample_pool import SamplePool


@dataclass(frozen=True, slots=True, eq=False)
class Stored(Brief):
    """The samples of runs, one pool for each problem, and the ``answers`` of other strategies to the same problems.

    ``no_money`` says what is not known in money, and why; empty if all of it is known.
    """

    pools: tuple[SamplePool, ...]
    answers: Answers
    no_money: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        runs: Sequence[str | Path],
        aggregators: Sequence[Aggregator | None],
        alternatives: Sequence[str | Path] = (),
        prices: Prices | None = None,
    ) -> Self:
        """What ``runs`` and ``alternatives`` hold, with the scores that ``aggregators`` read; see ``answers_of``.

        Raises ``UsageError`` for samples that are not independent, for numbers of tokens that are not known, for a
        problem that is there twice or has no sample, and for prices of other models or of only some of these.
        """
        check_known(prices or {}, [*runs, *alternatives])
        sources = [_samples(path, aggregators, prices) for path in runs]
        pools = tuple(pool for source in sources for pool in source.pools)
        _check_pools(pools)
        others = [load(path, prices=prices) for path in alternatives]
        answers = answers_of(others, runs)
        unpriced = [other for other in others if any(each.money is None for each in other.answered)]
        return cls(pools, answers, tuple(_no_money([*sources, *unpriced])))


def pools_in(runs: Sequence[str | Path], aggregators: Sequence[Aggregator | None]) -> list[SamplePool]:
    """The samples of all ``runs`` together; see ``Stored.read``."""
    return list(Stored.read(runs, aggregators).pools)


def strategy_in(run: str | Path) -> Strategy:
    """The strategy of a run; raises ``UsageError`` if the file does not name one."""
    text = load(run).strategy
    if not text:
        raise UsageError(f"{run} names no strategy: give one, strategy=... (--strategy)")
    return parse_strategy(text, trusted=False)


def _samples(path: str | Path, aggregators: Sequence[Aggregator | None], prices: Prices | None) -> Source:
    scores = sorted({name for each in aggregators if (name := score_of(each))})
    source = load(path, scores=scores, prices=prices)
    if source.dependent:
        raise UsageError(
            f"{path} cannot be shared out anew: {source.dependent}; a run of a strategy that a policy may "
            f"choose is given as --alternative {quote(str(path))}"
        )
    if any(np.isnan(pool.tokens).any() for pool in source.pools):
        raise UsageError(f"{path} does not say how many tokens its samples have")
    return source


def _check_pools(pools: Sequence[SamplePool]) -> None:
    if len({pool.problem for pool in pools}) < len(pools):
        raise UsageError("a problem is in several of the files: each problem is shared out once")
    if empty := [pool.problem for pool in pools if not len(pool)]:
        raise UsageError(
            f"problem {empty[0]} has no sample, since its requests failed: the same `widthwise eval` asks anew"
        )


def _no_money(sources: Iterable[Source]) -> list[str]:
    """Why money is not known, each reason once, with the names of the files."""
    names: dict[str, list[str]] = {}
    for source in sources:
        if source.no_money:
            names.setdefault(source.no_money, []).append(Path(source.path).stem)
    return [f"{', '.join(files)}: {why}" for why, files in names.items()]
