"""The solver: a strategy instead of ``generate()``."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

from inspect_ai.log import transcript
from inspect_ai.model import Model, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import span

from widthwise.core.backend import Backend
from widthwise.core.errors import AccessRefused, UsageError
from widthwise.evals.grading.choice_reading import LETTERS
from widthwise.evals.store.inspect_log import TRACES
from widthwise.integrations.answering import Answered, Answering
from widthwise.integrations.inspect.backend import InspectBackend
from widthwise.integrations.inspect.conversation import output_of, to_messages
from widthwise.integrations.inspect.provider import Metered, WidthwiseAPI, check_loop, sampling_of

REPORT = "widthwise"
"""The key in a sample's metadata and store for the strategy, its answer, its votes and its ledger."""


@solver
def widthwise(
    strategy: str = "best_of_n(n=16) | majority_vote()",
    model: str | None = None,
    grader: str | None = None,
    instruction: str | None = None,
    **options: Any,
) -> Solver:
    """Answer each sample with a strategy, and show the trace that it chose.

    Args:
        strategy: As the command line of widthwise takes it, or a strategy as a value.
        model: One of widthwise's own models (``vllm:Qwen/Qwen3-8B``), for strategies that need token ids: tree search,
            pruning by confidence, budgets for thinking. Else the model that Inspect evaluates is asked, in messages.
        grader: What reads answers and says which are the same (``widthwise graders``); by default choices where a
            sample has some, and mathematical answers.
        instruction: Added to each question, such as "Put your final answer within \\\\boxed{}."; by default only where
            a sample has choices.
        **options: All others of ``ww.solve``: seed, budget, temperature, reward_model, prompts ...

    The sample's store has all traces (``widthwise:traces``) and the report, its metadata the report, and its transcript
    both. Tokens count as Inspect's usage, and Inspect's limits hold.
    """
    named = None if model is None else get_model(f"widthwise/{model}", **options.pop("backend_args", {}))
    sampling = {} if named is not None else {"sampling": "plain"}
    answering = Answering(strategy, grader=grader, instruction=instruction, **{**sampling, **options})

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        return await _solved(state, answering, named or get_model())

    return solve


async def _solved(state: TaskState, answering: Answering, model: Model) -> TaskState:
    check_loop()
    if state.tools:
        raise UsageError("a strategy calls no tools: leave use_tools() out, or use another solver")
    meter = await _meter(model, answering)
    answered = await _within_limits(_answered(state, answering, meter, model), meter)
    _choose(state, answered)
    await _record(state, answered, str(model))
    state.output = output_of(answered, str(model))
    state.messages.append(state.output.message)
    return state


async def _within_limits(work: Awaitable[Answered], meter: InspectBackend | Metered) -> Answered:
    """What ``work`` gives; raises the limit of Inspect's that was reached meanwhile."""
    try:
        answered = await work
    except AccessRefused:
        if meter.exceeded is None:
            raise
        raise meter.exceeded from None
    if meter.exceeded is not None:
        raise meter.exceeded
    return answered


async def _answered(state: TaskState, answering: Answering, meter: InspectBackend | Metered, model: Model) -> Answered:
    """The epochs of a sample are separate problems, the first of which has the sample's id."""
    return await answering.answer(
        to_messages(state.messages),
        str(state.sample_id) if state.epoch == 1 else f"{state.sample_id} (epoch {state.epoch})",
        backend=meter if isinstance(meter, InspectBackend) else meter.backend,
        options=[choice.value for choice in state.choices],
        sampling={} if isinstance(meter, InspectBackend) else sampling_of(model.config),
    )


async def _meter(model: Model, answering: Answering) -> InspectBackend | Metered:
    """The meter of a sample's requests: it knows when one of Inspect's limits was reached."""
    if isinstance(model.api, WidthwiseAPI):
        backend: Backend = await model.api.opened.opened()
        return Metered(backend, model)
    return InspectBackend(model, answering.settings.asking.given)


def _choose(state: TaskState, answered: Answered) -> None:
    """Mark the option that the answer names, for the scorer ``choice()``."""
    answer = answered.result.answer
    for place, _ in enumerate(state.choices):
        state.choices.mark_choice(place, answer is not None and LETTERS[place] == answer)


async def _record(state: TaskState, answered: Answered, model: str) -> None:
    """Record the traces and the report where Inspect's log and its viewer show them."""
    report, traces = {**answered.report, "model": model}, answered.traces
    state.metadata[REPORT] = report
    state.store.set(f"{REPORT}:report", report)
    state.store.set(TRACES, traces)
    async with span(answered.strategy, type="solver"):
        transcript().info(json.loads(json.dumps(report)), source=REPORT)
        for trace in traces:
            transcript().info(trace, source=f"{REPORT} trace {trace['id']}")
