"""A strategy on a whole suite: ``widthwise eval`` from Python."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from widthwise.core.run_sync import run_sync
from widthwise.evaluation import CONCURRENCY, Evaluation, NoListener, check_before
from widthwise.measuring import path_of
from widthwise.run import Run
from widthwise.settings import AnyModel, Options, RunSettings

if TYPE_CHECKING:
    from widthwise.evaluation import Listener


def evaluate(
    strategy: Any,
    suite: Any,
    *,
    model: AnyModel = None,
    run: str | Path | None = None,
    concurrency: int = CONCURRENCY,
    listener: Listener | None = None,
    **options: Unpack[Options],
) -> Run:
    """Measure a strategy on a suite, and wait for it (``evaluate_async`` does not wait).

    ``strategy``, ``model`` and ``options`` are as for ``solve``. ``suite`` is a suite's name, the path of a data file,
    or problems as ``suite_of`` takes them: dicts, a data frame, a ``datasets`` split, ``Problem`` values. ``run`` is
    the run file: the same call finds it again, returns at once if the run is finished, and continues it if it was
    stopped. Without ``run`` the file is in the folder ``runs`` and is named by the settings, as with ``widthwise
    eval``. A function defined in a notebook, in the main program or in another function may have changed since: a run
    with one gets a new file each time without ``run``, and a warning when the file ``run`` is continued.
    ``concurrency`` problems are worked on at once; ``listener`` is told of each that is finished. A problem that fails
    is one of ``Run.failures``. Raises ``UsageError`` for wrong arguments and ``BackendError`` if the model is not
    available.
    """
    return run_sync(
        evaluate_async(strategy, suite, model=model, run=run, concurrency=concurrency, listener=listener, **options)
    )


async def evaluate_async(
    strategy: Any,
    suite: Any,
    *,
    model: AnyModel = None,
    run: str | Path | None = None,
    concurrency: int = CONCURRENCY,
    listener: Listener | None = None,
    **options: Unpack[Options],
) -> Run:
    """``evaluate`` for ``async`` programs."""
    from widthwise.evals.suites.given import suite_of

    settings = RunSettings.of(strategy, model=model, **options)
    file = None if run is None else path_of(run)
    check_before(suite, settings, file)
    evaluation = Evaluation.of(suite_of(suite, limit=settings.limit), settings, run=file)
    if run is None and not evaluation.is_found_again:
        evaluation = replace(evaluation, path=_fresh(evaluation.path), named=True)
    summary = await evaluation.run(concurrency=concurrency, listener=listener or NoListener())
    return Run.read(summary.run, settings.prices)


def _fresh(path: Path) -> Path:
    """A file beside ``path`` that is not there yet."""
    names = (path.with_stem(f"{path.stem}-{number}") for number in count(1))
    return next(name for name in names if not name.exists())
