"""The command ``sweep``: strategies and budgets side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from widthwise.cli.display import rows_table
from widthwise.cli.eval import ShowPrompts, print_prompts
from widthwise.cli.progress import now_and_then
from widthwise.cli.prompt_files import sent
from widthwise.cli.settings_options import AsJson, count, with_settings
from widthwise.cli.swept_suite import SweptSuite
from widthwise.cli.terminal import say, say_json
from widthwise.core.brief import counted
from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.core.event_loop import run_loop
from widthwise.core.registry import register
from widthwise.core.strategy.composition import shortened
from widthwise.core.strategy.spelling import spelled
from widthwise.evaluation import CONCURRENCY, Interrupted, check_before
from widthwise.pace import duration
from widthwise.settings import RunSettings
from widthwise.sweep_progress import Progress
from widthwise.sweeping import AXIS, FOLDER, Sweeping
from widthwise.swept import Sweep

_AXES = (
    "What the budgets limit: samples, tokens, sequential, seconds or flops per problem. Or an argument of the "
    "strategies, whose values they are: thinking (tokens that each trace may think, 0 for none), ratio, temperature ..."
)
_DRY_RUN = "Show the plan and its cost, predicted from a few samples, and stop."


_Strategies = Annotated[
    list[str], typer.Option(metavar="STRATEGY", help="A strategy; may be repeated. See `widthwise strategies`.")
]
_Suites = Annotated[list[str], typer.Option(metavar="SUITE", help="A suite; may be repeated. See `widthwise suites`.")]
_Budgets = Annotated[str, typer.Option(metavar="X,...", help="Budgets per problem, separated by commas.")]
_Seeds = Annotated[
    str, typer.Option(metavar="N,...", help="Seeds, separated by commas; results are averaged over them.")
]
_Folder = Annotated[Path, typer.Option(metavar="FOLDER", help="Where the runs, figures and reports go.")]


@register("command", "sweep")
@with_settings
def run_sweep(
    settings: RunSettings,
    strategy: _Strategies,
    suite: _Suites,
    budgets: _Budgets = "1,2,4,8,16,32",
    axis: Annotated[str, typer.Option(help=_AXES)] = AXIS,
    seeds: _Seeds = "0",
    folder: _Folder = Path(FOLDER),
    concurrency: Annotated[int, count("How many problems to work on at once.", 1)] = CONCURRENCY,
    show_prompts: ShowPrompts = False,
    report: Annotated[bool, typer.Option(help="Write a report page for each suite.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_DRY_RUN)] = False,
    as_json: AsJson = False,
) -> None:
    """Measure strategies at several budgets, drawing samples only once where that is valid.

    The same command continues where it stopped, and a larger grid reuses what is there. The folder gets, for each
    suite, a table (.csv and .parquet), a figure (.svg) and a report (.html).
    """
    for name in suite if not show_prompts else ():
        check_before(name, settings, folder=folder)
    sweeping = Sweeping(
        strategy,
        suite,
        _numbers(budgets, "--budgets"),
        axis=axis,
        seeds=_whole_numbers(seeds, "--seeds"),
        folder=folder,
        settings=settings,
    )
    if show_prompts:
        _show_prompts(sweeping, as_json)
    elif dry_run:
        run_loop(sweeping.pilot())
        _say_if(as_json, {**_planned(sweeping, as_json), "suites": [], "failures": None})
    else:
        said, done = _planned(sweeping, as_json), _done(sweeping, concurrency)
        found = [_suite_row(done.part(name), sweeping, report, as_json) for name in dict.fromkeys(suite)]
        _say_if(as_json, {**said, "suites": found, "failures": done.failures})
        _check_failures(done)


def _planned(sweeping: Sweeping, as_json: bool) -> dict[str, Any]:
    """Say what is to be done, and give it as JSON values."""
    if not as_json:
        _print_plan(sweeping)
    return plan_row(sweeping)


def _check_failures(done: Sweep) -> None:
    if done.failures:
        raise WidthwiseError(f"{counted(done.failures, 'problem')} failed for good; the same command tries again")


def _done(sweeping: Sweeping, concurrency: int) -> Sweep:
    try:
        return run_loop(sweeping.run(concurrency=concurrency, on_progress=_progress()))
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped; what is finished is in {sweeping.folder}, and the same command continues from there"
        ) from None


def _suite_row(done: Sweep, sweeping: Sweeping, report: bool, as_json: bool) -> dict[str, Any]:
    """Write what was found on one suite, say it, and give it as JSON values."""
    part = SweptSuite.of(done, sweeping)
    files = [str(file) for file in part.files(report=report)]
    part.write(report=report)
    if not as_json:
        part.show()
    say(f"written: {', '.join(files)}", err=True)
    return {**part.asdict(), "files": files}


def _say_if(as_json: bool, value: dict[str, Any]) -> None:
    if as_json:
        say_json(value)


def _show_prompts(sweeping: Sweeping, as_json: bool) -> None:
    """What each strategy asks, on each suite."""
    first = {(task.suite, str(task.strategy)): task for task in reversed(sweeping.plan.tasks)}
    asked = {key: run_loop(sent(sweeping.evaluations[task])) for key, task in reversed(first.items())}
    if as_json:
        rows = [
            {"suite": suite, "strategy": strategy, "prompts": [asdict(prompt) for prompt in prompts]}
            for (suite, strategy), prompts in asked.items()
        ]
        say_json({"strategies": rows})
        return
    for (suite, strategy), prompts in asked.items():
        say(f"{shortened(strategy)} on {suite}\n")
        print_prompts(prompts)


def _print_plan(sweeping: Sweeping) -> None:
    rows, forecast = [], sweeping.forecast()
    for f in forecast:
        name = f.task.strategy.brief() + (f" | {spelled(f.task.budget, brief=True)}" if f.task.budget else "")
        costs = ["at running time" if f.samples is None else f"{f.samples:,}"]
        costs.append("?" if f.tokens is None else f"{f.tokens:,.0f}")
        costs.append("?" if f.seconds is None else duration(f.seconds))
        rows.append([f.task.suite, name, str(f.task.seed), f"{f.problems}", *costs])
    cells = len(sweeping.plan.cells) * len(sweeping.plan.cells[0].tasks)
    say(f"{counted(cells, 'cell')}, {counted(len(rows), 'run')} in {sweeping.folder}")
    rows_table(["suite", "run", "seed", "problems to do", "samples", "tokens", "time"], rows)
    if all(f.samples is not None and f.tokens is not None and f.seconds is not None for f in forecast):
        samples, tokens, seconds = (sum(getattr(f, of) for f in forecast) for of in ("samples", "tokens", "seconds"))
        say(f"in all {samples:,} samples, {tokens:,.0f} tokens, {duration(seconds)}")
    else:
        say("? is known as soon as a problem of the suite is finished; --dry-run predicts it from a few samples")
    for note in sweeping.plan.notes:
        say(f"note: {note}")


def plan_row(sweeping: Sweeping) -> dict[str, Any]:
    """What is to be done, as JSON values; what is unknown before the run is null."""
    plan = sweeping.plan
    return {
        "folder": str(sweeping.folder),
        "axis": plan.axis,
        "budgets": sorted({cell.limit for cell in plan.cells}),
        "runs": [
            {
                "run": str(sweeping.evaluations[f.task].path),
                "suite": f.task.suite,
                "strategy": str(f.task.strategy),
                "budget": None if f.task.budget is None else asdict(f.task.budget),
                "seed": f.task.seed,
                **{name: getattr(f, name) for name in ("problems", "samples", "tokens", "seconds")},
            }
            for f in sweeping.forecast()
        ],
        "notes": list(plan.notes),
    }


def _progress() -> Callable[[Progress], None]:
    """Reports on stderr how far it is, now and then."""
    due, began = now_and_then(), time.monotonic()

    def listen(progress: Progress) -> None:
        if due(time.monotonic() - began, progress.seconds_left):
            say(str(progress), err=True)

    return listen


def _whole_numbers(text: str, option: str) -> list[int]:
    numbers = _numbers(text, option)
    if not all(number.is_integer() for number in numbers):
        raise UsageError(f"{option} {text!r} is not a list of whole numbers such as 0,1,2")
    return [int(number) for number in numbers]


def _numbers(text: str, option: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a list of numbers such as 1,2,4") from None
