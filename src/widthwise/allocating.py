"""Allocators on stored samples: ``widthwise allocate`` from Python."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.arguments import whole
from widthwise.core.errors import UsageError
from widthwise.core.session.prices import prices_of
from widthwise.measuring import path_of

if TYPE_CHECKING:
    from widthwise.core.strategy.strategy import Aggregator
    from widthwise.evals.allocation.allocations import Allocations, Fitting
    from widthwise.evals.allocation.allocator import Allocator
    from widthwise.run import Run


def allocate(
    *runs: str | Path | Run,
    samples: Sequence[int] | None = None,
    allocators: Sequence[str | Allocator] | None = None,
    strategy: Any = None,
    alternatives: Sequence[str | Path | Run] = (),
    fit_policy: str | Path | None = None,
    choose: Sequence[str | Aggregator] | None = None,
    difficulty: str | None = None,
    probes: int | None = None,
    orders: int = 20,
    seed: int = 0,
    prices: Any = None,
) -> Allocations:
    """Try allocators of a suite budget on stored samples: ``widthwise allocate`` from Python.

    The samples of all ``runs`` are one suite, drawn in so many random ``orders``. For each N of ``samples`` (by default
    4 and 8) a pool has the tokens that best-of-N takes on average, each of the ``allocators`` (by default all that need
    no file) shares it out, and is compared with best-of-N by problem. ``strategy`` is ``best_of_n``, whose ``n`` is the
    most that one problem gets, and an aggregator; by default the first run's. ``alternatives`` are finished runs of
    other strategies on the same problems, which a policy may choose.

    ``fit_policy`` is a file to which a policy by difficulty is written that is fitted on every second problem; then
    everything is reported on the others. It chooses among the aggregators ``choose`` (by default the strategy's), by
    the ``difficulty`` that ``probes`` samples show (by default "entropy" of 4; "disagreement", "score", or, for study
    only, "pass_rate"). ``prices`` are laid over those of the files.

    Raises ``UsageError`` for samples that are not independent, for runs that do not fit together, and for impossible
    arguments; nothing is written then.
    """
    from widthwise.evals.allocation import allocations
    from widthwise.evals.allocation.allocators import allocator_named
    from widthwise.settings import as_any_strategy, listed

    return allocations.allocate(
        [path_of(run) for run in runs],
        samples=None if samples is None else [whole(n, "samples") for n in _some(samples, "samples")],
        allocators=None if allocators is None else [allocator_named(each) for each in _some(allocators, "allocators")],
        strategy=None if strategy is None else as_any_strategy(strategy),
        alternatives=[path_of(run) for run in listed(alternatives, "alternatives")],
        fitting=_fitting(fit_policy, choose=choose, difficulty=difficulty, probes=probes),
        orders=whole(orders, "orders"),
        seed=whole(seed, "seed", 0),
        prices=prices_of(prices or {}),
    )


async def allocate_async(*runs: str | Path | Run, **options: Any) -> Allocations:
    """``allocate`` in a separate thread, for ``async`` programs; it takes the same ``options``."""
    return await asyncio.to_thread(allocate, *runs, **options)


def _fitting(file: str | Path | None, *, choose: Any, difficulty: str | None, probes: int | None) -> Fitting | None:
    """How a policy is fitted; None without a ``file``, and ``UsageError`` for the rest without one."""
    from widthwise.evals.allocation.allocations import Fitting

    said = {
        "choose": None if choose is None else tuple(map(str, _some(choose, "choose"))),
        "difficulty": difficulty,
        "probes": None if probes is None else whole(probes, "probes"),
    }
    given: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    if file is not None:
        return Fitting(_file(file), **given)
    if given:
        name = next(iter(given))
        raise UsageError(
            f"{name} (--{name}) says how a policy is fitted: give the file it goes to, fit_policy=FILE "
            "(--fit-policy FILE), or leave it out"
        )
    return None


def _file(given: Any) -> Path:
    if not isinstance(given, str | PathLike):
        raise UsageError(f"the file of a policy is a path, not {given!r:.60} ({type(given).__name__})")
    if not Path(given).name:
        raise UsageError("fit_policy (--fit-policy) names no file: give one, such as policy.json")
    return Path(given)


def _some(given: Any, name: str) -> list[Any]:
    """The items of a list that is given; ``UsageError`` if there are none, or if it is no list."""
    from widthwise.settings import listed

    if not (found := listed(given, name)):
        raise UsageError(f"{name} is an empty list: put something into it, or leave {name} out for the usual ones")
    return found
