"""Allocators tried on stored runs, as one value: `widthwise allocate`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from widthwise.core.brief import brief, counted
from widthwise.core.errors import UsageError
from widthwise.core.session.prices import Prices
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.core.tabular import Tabular
from widthwise.evals.allocation.allocators import Allocator, ExpectedGain, Fitted, Uniform
from widthwise.evals.allocation.comparison import Allocation, check_samples, compared, fewest
from widthwise.evals.allocation.confidence import chance_score
from widthwise.evals.allocation.fitting import fit
from widthwise.evals.allocation.policy import Policy, aggregator_of
from widthwise.evals.allocation.stored import Stored, strategy_in
from widthwise.evals.allocation.study import ORDERS
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.replacement import replacement

_log = logging.getLogger(__name__)

SAMPLES = (4, 8)
"""N by default, as far as every problem has so many samples."""


@dataclass(frozen=True, slots=True, eq=False)
class Allocations(Tabular, Sequence[Allocation]):
    """Methods with a pool of tokens, each against best-of-N by problem: a sequence of ``Allocation``.

    ``strategy`` is how problems are answered, ``problems`` on how many the methods are compared, and ``fitted_on`` on
    how many others a policy was fitted (0: none was). ``notes`` are sentences that belong beside the figures.
    """

    strategy: str
    problems: int
    rows: tuple[Allocation, ...]
    fitted_on: int = 0
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Allocation: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Allocation]: ...
    def __getitem__(self, index: int | slice) -> Allocation | Sequence[Allocation]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        best = max(self.rows, key=lambda row: row.accuracy)
        said = f"the best {brief(best.method)} with {100 * best.accuracy:.1f} %"
        return f"Allocations({counted(len(self), 'row')} on {counted(self.problems, 'problem')}: {said})"

    def table(self) -> dict[str, list[Any]]:
        """One row per N and method: its accuracy, its cost for all problems, its difference from best-of-N."""
        columns = {name: [getattr(row, name) for row in self.rows] for name in _COLUMNS}
        gaps = [row.difference for row in self.rows]
        return columns | {
            name: [None if gap is None else getattr(gap, of) for gap in gaps] for name, of in _DIFFERENCE.items()
        }


_COLUMNS = ("n", "method", "accuracy", "tokens", "money")
_DIFFERENCE = {"difference": "mean", "difference_low": "low", "difference_high": "high", "p": "p"}


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a policy is fitted, and the ``file`` it goes to; see ``fitting.fit``."""

    file: str | Path
    choose: tuple[str, ...] = ()
    difficulty: str = "entropy"
    probes: int = 4

    @property
    def aggregators(self) -> list[Aggregator]:
        return [aggregator_of(text) for text in self.choose]

    def policy(self, pools: Sequence[SamplePool], strategy: Strategy, **drawn: Any) -> Policy:
        """The policy that is best for ``pools``; it chooses by the strategy's aggregator unless told otherwise."""
        usual = "majority_vote()" if strategy.aggregator is None else str(strategy.aggregator)
        asked: dict[str, Any] = {"difficulty": self.difficulty, "probes": self.probes, "score": chance_score(strategy)}
        return fit(pools, self.choose or [usual], **asked, **drawn)


def allocate(
    runs: Sequence[str | Path],
    *,
    samples: Sequence[int] | None = None,
    allocators: Sequence[Allocator] | None = None,
    strategy: Strategy | None = None,
    alternatives: Sequence[str | Path] = (),
    fitting: Fitting | None = None,
    orders: int = ORDERS,
    seed: int = 0,
    prices: Prices | None = None,
) -> Allocations:
    """Allocators of a suite budget on the samples of ``runs``; see ``widthwise.allocate``."""
    if not runs:
        raise UsageError("there is nothing to share out: name run files with independent samples")
    chosen = strategy_in(runs[0]) if strategy is None else strategy
    tried = list(allocators or [Uniform(), ExpectedGain()])
    reading = [chosen.aggregator, *(each for one in tried for each in one.aggregators)]
    reading += fitting.aggregators if fitting else []
    stored = Stored.read(runs, reading, alternatives, prices)
    drawn: dict[str, Any] = {"answers": stored.answers, "orders": orders, "seed": seed}
    learned, pools = _halves(stored.pools) if fitting else ((), stored.pools)
    sizes, notes = _sizes(pools, samples)
    with ExitStack() as stack:
        if fitting:  # the policy takes its place when nothing more can be refused
            file = stack.enter_context(replacement(fitting.file))
            policy = fitting.policy(learned, chosen, **drawn)
            tried.append(Fitted.of(policy, fitting.file))
            policy.write(file)
        rows = [row for n in sizes for row in compared(pools, chosen, tried, n, **drawn)]
    notes += _without_choice(tried, sizes)
    return Allocations(str(chosen), len(pools), tuple(rows), len(learned), (*notes, *stored.no_money))


def _without_choice(tried: Sequence[Allocator], sizes: Sequence[int]) -> list[str]:
    """A note for each allocator, other than uniform, whose probes take the pools of some N."""
    found = []
    for one in tried:
        if (small := [n for n in sizes if n <= one.probes]) and not isinstance(one, Uniform):
            found.append(
                f"at N = {' and '.join(map(str, small))}, {one.brief()} has nothing left to share out: its "
                f"{counted(one.probes, 'probe')} of every problem take the pool (samples, --samples)"
            )
    return found


def _halves(pools: Sequence[SamplePool]) -> tuple[Sequence[SamplePool], Sequence[SamplePool]]:
    """The problems on which a policy is fitted, and those on which it is tried."""
    if len(pools) < 2:
        raise UsageError("a policy is fitted on one half of the problems and tried on the other: give at least two")
    return pools[::2], pools[1::2]


def _sizes(pools: Sequence[SamplePool], asked: Sequence[int] | None) -> tuple[list[int], list[str]]:
    """Each N, and a note where the usual ones are more than there is."""
    if asked is not None:
        check_samples(pools, asked)
        return list(asked), []
    most = fewest(pools)
    if sizes := [n for n in SAMPLES if n <= most]:
        return sizes, []
    note = f"N is {max(most // 2, 1)}, since every problem has only {counted(most, 'sample')} (samples, --samples)"
    _log.info("%s", note)
    return [max(most // 2, 1)], [note]
