"""One problem, one strategy, one answer: the shortest way in from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.problem import Grader, Problem
from widthwise.core.prompting.profile import facts_of
from widthwise.core.rewards.reward import RewardModel
from widthwise.core.run_sync import run_sync
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.budget import Budget
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.result import Result
from widthwise.core.strategy.strategy import Strategy, as_strategy
from widthwise.engines import Scorers, open_engines
from widthwise.models.formats import BOXED
from widthwise.models.profiles import profile_of


def solve(
    problem: str | Problem,
    strategy: Any = "best_of_n(n=16) | majority_vote()",
    model: str | Backend = "reasoner",
    *,
    budget: Budget | None = None,
    seed: int = 0,
    grader: Grader | None = None,
    reward_model: str | RewardModel | None = None,
    reward_args: Mapping[str, Any] | None = None,
    embedding_model: str | None = None,
    backend_args: Mapping[str, Any] | None = None,
    prompts: Mapping[str, str] | None = None,
    **params: Any,
) -> Result:
    """Answer one problem with a strategy, and wait for it (``solve_async`` does not wait).

    ``strategy`` is a strategy, a sampler, an ``async`` function of a session, or the command line's text for one.
    ``model`` is what ``--model`` takes, or an open backend; ``reward_model`` what ``--reward-model`` takes, or an
    object with ``name``, ``kind`` and ``score`` (``reward_args`` are its arguments). ``prompts`` replace the model's
    own by name, such as ``{"refine": "{problem} ..."}``. ``params`` are fields of ``SamplingParams``. Raises
    ``UsageError`` for wrong arguments and ``BackendError`` where the model cannot be had.
    """
    return run_sync(
        solve_async(
            problem,
            strategy,
            model,
            budget=budget,
            seed=seed,
            grader=grader,
            reward_model=reward_model,
            reward_args=reward_args,
            embedding_model=embedding_model,
            backend_args=backend_args,
            prompts=prompts,
            **params,
        )
    )


async def solve_async(
    problem: str | Problem,
    strategy: Any = "best_of_n(n=16) | majority_vote()",
    model: str | Backend = "reasoner",
    *,
    budget: Budget | None = None,
    seed: int = 0,
    grader: Grader | None = None,
    reward_model: str | RewardModel | None = None,
    reward_args: Mapping[str, Any] | None = None,
    embedding_model: str | None = None,
    backend_args: Mapping[str, Any] | None = None,
    prompts: Mapping[str, str] | None = None,
    **params: Any,
) -> Result:
    """``solve`` for programs that are ``async`` themselves."""
    from widthwise.evals.grading.graders import MathGrader

    chosen = as_any_strategy(strategy)
    engines = await open_engines(model, backend_args or {}, Scorers(reward_model, reward_args or {}, embedding_model))
    asked = problem if isinstance(problem, Problem) else Problem("problem", problem)
    try:
        setting = Setting(
            Scheduler(engines.backend),
            grader or MathGrader(),
            profile_of(facts_of(engines.backend)).format.changed(prompts or {}),
            params=SamplingParams().changed(**params),
            instruction=BOXED,
            seed=seed,
            reward_model=engines.reward_model,
            embedder=engines.embedder,
        )
        return await chosen.within(budget).solve(asked, setting)
    finally:
        await engines.close()


def as_any_strategy(strategy: Any) -> Strategy:
    """A strategy from a value or from the command line's text."""
    return parse_strategy(strategy) if isinstance(strategy, str) else as_strategy(strategy)
