"""The command ``eval``: measure a strategy on a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from widthwise.cli.display import summary_table
from widthwise.cli.progress import progress
from widthwise.cli.prompt_files import Sent, sent
from widthwise.cli.settings_options import AsJson, budget_of, count, named_value, number, text, with_settings
from widthwise.cli.terminal import say, say_json, say_sentence
from widthwise.core.event_loop import run_loop
from widthwise.core.registry import register
from widthwise.evals.allocation.allocators import ALLOCATOR
from widthwise.evaluation import CONCURRENCY, Evaluation, check_before
from widthwise.settings import STRATEGY, RunSettings

if TYPE_CHECKING:
    from widthwise.evals.measure.summary import Summary


_STRATEGY = "How to answer; see `widthwise strategies`. my_module:my_strategy names one of your own."
_ALLOCATOR = "Which problems get more of a suite budget; see `widthwise allocators`."
_COLUMN = "Read a field (problem, answer, id or solution) of --data from this column; may be repeated."
_RUN = "The run file; by default under runs/, named by the settings."

ShowPrompts = Annotated[
    bool,
    typer.Option("--show-prompts", help="Show the exact texts that would be sent, and stop; nothing is sampled."),
]


@register("command", "eval")
@with_settings
def evaluate_suite(
    settings: RunSettings,
    suite: Annotated[str | None, typer.Argument(help="A suite's name; see `widthwise suites`.")] = None,
    data: Annotated[
        Path | None, text("Take the problems from a JSONL, Parquet, CSV, JSON or run file.", "FILE")
    ] = None,
    column: Annotated[list[str] | None, text(_COLUMN, "FIELD=NAME")] = None,
    strategy: Annotated[str | None, text(_STRATEGY, "STRATEGY", STRATEGY.brief())] = None,
    budget_tokens: Annotated[int | None, count("At most N sampled tokens per problem.")] = None,
    budget_sequential: Annotated[int | None, count("At most N tokens one after another per problem.")] = None,
    budget_samples: Annotated[int | None, count("At most N samples per problem.")] = None,
    budget_seconds: Annotated[float | None, number("At most X seconds per problem.")] = None,
    budget_flops: Annotated[float | None, number("At most X FLOPs per problem.")] = None,
    suite_budget_tokens: Annotated[
        int | None, count("At most N sampled tokens for the whole suite, shared out in rounds.", 1)
    ] = None,
    allocator: Annotated[str | None, text(_ALLOCATOR, "ALLOCATOR", ALLOCATOR.brief())] = None,
    seed: Annotated[int, count("The seed of all randomness in the run.")] = RunSettings.seed,
    concurrency: Annotated[int, count("How many problems to work on at once.", 1)] = CONCURRENCY,
    run: Annotated[Path | None, text(_RUN, "FILE.db")] = None,
    show_prompts: ShowPrompts = False,
    as_json: AsJson = False,
) -> None:
    """Measure a strategy on a suite.

    The same command prints the result of a finished run at once, and continues one that was stopped.
    """
    from widthwise.evals.suites.suites import load_suite

    budget = budget_of(budget_tokens, budget_sequential, budget_samples, budget_seconds, budget_flops)
    pool = {"suite_budget_tokens": suite_budget_tokens, "allocator": allocator}
    chosen = settings.answered_by(strategy, budget=budget, seed=seed, **pool)
    if not show_prompts:
        check_before(suite, chosen, run)
    columns = {field: str(name) for field, name in (named_value(each, "--column") for each in column or [])}
    problems = load_suite(suite, data=data, limit=chosen.limit, columns=columns)
    evaluation = Evaluation.of(problems, chosen, run=run, data=data)
    if show_prompts:
        print_prompts(run_loop(sent(evaluation)), as_json)
        return
    with progress(len(evaluation.suite.problems), concurrency) as meter:
        summary = run_loop(evaluation.run(concurrency=concurrency, listener=meter))
    _print(summary, as_json)
    if summary.errors:
        _fail(summary, meter.first_failure)


def _fail(summary: Summary, first: str) -> NoReturn:
    say_sentence(
        f"widthwise: {summary.errors} of {summary.problems} problems failed (first: {first}); "
        f"`widthwise traces {quote(summary.run)}` lists them, and the same command tries them again",
    )
    raise typer.Exit(1)


def _print(summary: Summary, as_json: bool) -> None:
    if as_json:
        say_json(summary.asdict())
    else:
        summary_table(summary)


def print_prompts(prompts: Sequence[Sent], as_json: bool = False) -> None:
    """Each kind of prompt: its name, its template, the forms of what it lists, and one example that was sent."""
    if as_json:
        say_json({"prompts": [asdict(prompt) for prompt in prompts]})
        return
    for prompt in prompts:
        parts = [("example", prompt.example)]
        if prompt.template is not None:
            parts = [("template", prompt.template), *prompt.forms, *parts]
        say(f"== {prompt.name or 'a prompt of the strategy itself'} ==\n")
        say("\n".join(f"-- {name} --\n{text.rstrip()}\n" for name, text in parts))
