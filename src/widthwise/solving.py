"""One problem, one strategy, one answer: the shortest way in from Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.run_sync import run_sync
from widthwise.core.session.prices import money
from widthwise.core.strategy.result import Result
from widthwise.engines import open_engines
from widthwise.models.formats import BOXED
from widthwise.settings import AnyModel, Options, RunSettings

_log = logging.getLogger(__name__)


def solve(
    problem: str | Problem | Sequence[Mapping[str, Any]],
    strategy: Any = None,
    model: AnyModel = None,
    **options: Unpack[Options],
) -> Result:
    """Answer one problem with a strategy, and wait for it (``solve_async`` does not wait).

    ``problem`` is a text, a ``Problem``, or a conversation, ``[{"role": "user", "content": text}, ...]``, whose last
    message is answered. ``system`` and ``instruction`` replace the model's system prompt and the usual request to box
    the answer ('' for none). ``strategy`` is a strategy, a sampler, an ``async`` function of a session, or the command
    line's text for one. ``model`` is as for ``--model``, an open model (``ww.open``), or a backend; ``reward_model`` is
    as for ``--reward-model``, or an object with ``name``, ``kind`` and ``score`` (``reward_args`` are its arguments).
    ``prompts`` replace the model's own by name, such as ``{"refine": "{problem} ..."}``. All ``options`` are fields of
    ``RunSettings``, which has the defaults, of ``Asking`` (how the model is asked: ``format``, ``template_args``,
    ``sampling``), or of ``SamplingParams``. Raises ``UsageError`` for wrong arguments, and ``BackendError`` if the
    model is not available or every request fails; if only some fail, ``Result.errors`` has the reasons.
    """
    return run_sync(solve_async(problem, strategy, model, **options))


async def solve_async(
    problem: str | Problem | Sequence[Mapping[str, Any]],
    strategy: Any = None,
    model: AnyModel = None,
    **options: Unpack[Options],
) -> Result:
    """``solve`` for ``async`` programs."""
    from widthwise.evals.suites.hub import MATH
    from widthwise.evals.suites.suite import Suite
    from widthwise.evaluation import Evaluation

    settings = RunSettings.of(strategy, model=model, **options).unshared("a single problem")
    asked = _problem(problem)
    evaluation = Evaluation.of(Suite("problem", (asked,), MATH, "solve", BOXED), settings)
    engines = await open_engines(evaluation.settings)
    try:
        result = await evaluation.strategy.solve(asked, evaluation.setting(engines))
        return _had(replace(result, money=money(result.ledger, settings.prices)))
    finally:
        await engines.close()


def _problem(given: Any) -> Problem:
    if isinstance(given, Problem):
        return given
    if not isinstance(given, str | list | tuple):
        raise UsageError(f"a problem is a text, a ww.Problem or a list of messages, not {given!r:.60}")
    try:
        return Problem("problem", given) if isinstance(given, str) else Problem.asked(given)
    except ValueError as error:
        raise UsageError(f"{error}: there is nothing to solve") from None


def _had(result: Result) -> Result:
    """The result, unless every request failed: an answer of None would not say so."""
    if not result.errors:
        return result
    if result.answer is None and all(trace.finish == "error" for trace in result.traces):
        raise BackendError(f"every request failed: {result.errors[0]}")
    _log.warning("%d requests failed (first: %s)", len(result.errors), result.errors[0])
    return result
