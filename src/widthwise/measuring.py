"""Measuring stored results from Python. Numerical libraries are imported only when something is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UsageError
from widthwise.core.session.prices import prices_of

if TYPE_CHECKING:
    from widthwise.core.problem import Grader
    from widthwise.evals.measure.comparison import Comparison
    from widthwise.evals.measure.curves import Curve
    from widthwise.evals.measure.model_choice import Fitted
    from widthwise.evals.measure.pools import AnswerGrouping
    from widthwise.run import Run


def curve(
    run: str | Path | Run,
    *,
    methods: Sequence[str] = ("pass", "maj"),
    grouping: AnswerGrouping = "meaning",
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    grader: str | Grader | None = None,
    prices: Any = None,
) -> Curve:
    """Accuracy at every budget of a run file or of recorded generations; see ``evals.measure.curves.curve``."""
    from widthwise.evals.measure import curves
    from widthwise.evals.measure.run_prices import check_known
    from widthwise.given_grader import grader_named
    from widthwise.settings import listed

    judge, given = None if grader is None else grader_named(grader), prices_of(prices or {})
    check_known(given, [path_of(run)])
    return curves.curve(
        path_of(run),
        methods=listed(methods, "methods"),
        grouping=grouping,
        replicates=replicates,
        level=level,
        seed=seed,
        grader=judge,
        prices=given,
    )


async def curve_async(run: str | Path | Run, **options: Any) -> Curve:
    """``curve`` in a separate thread, for ``async`` programs; it takes the same ``options``."""
    return await asyncio.to_thread(curve, run, **options)


def compare(
    *runs: str | Path | Run,
    prices: Any = None,
    reliability: Sequence[str] = ("all", "gpass:0.75"),
    k: int | None = None,
) -> Comparison:
    """Finished runs side by side, each against the first one; see ``widthwise.evals.measure.standings.standings``."""
    from widthwise.core.arguments import whole
    from widthwise.evals.measure.comparison import Comparison
    from widthwise.evals.measure.standings import standings
    from widthwise.settings import listed

    given, measures = prices_of(prices or {}), listed(reliability, "reliability")
    of = None if k is None else whole(k, "k")
    return Comparison(tuple(standings([path_of(run) for run in runs], given, reliability=measures, k=of)))


async def compare_async(*runs: str | Path | Run, **options: Any) -> Comparison:
    """``compare`` in a separate thread, for ``async`` programs; it takes the same ``options``."""
    return await asyncio.to_thread(compare, *runs, **options)


def fit_models(runs: Mapping[str, str | Path | Run], *, prices: Any = None, **options: Any) -> Fitted:
    """Learn from one run of each model which to ask when; see ``widthwise.evals.measure.model_choice.fit``."""
    from widthwise.evals.measure.model_choice import fit

    return fit({name: path_of(run) for name, run in runs.items()}, prices=prices_of(prices or {}), **options)


def path_of(run: str | Path | Run) -> Path:
    """The file of a run; raises ``UsageError`` for what names none."""
    if not isinstance(run, str | PathLike):
        raise UsageError(f"a run is the path of its file or a ww.Run, not {run!r:.60} ({type(run).__name__})")
    return Path(run)
