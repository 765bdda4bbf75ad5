"""The command line: ``widthwise eval | sweep | curve | compare | report | traces | import | export | grade | ...``."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from widthwise.cli.compare import compare_runs
from widthwise.cli.eval import evaluate_suite
from widthwise.cli.lists import list_graders, list_models, list_strategies, list_suites
from widthwise.cli.logs import show_logs, verbosity_of
from widthwise.cli.measure import draw_curve, write_report
from widthwise.cli.runs import export_file, grade, import_file, show_traces
from widthwise.cli.sweep import run_sweep
from widthwise.cli.terminal import say, say_sentence
from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.evaluation import Interrupted
from widthwise.version import VERSION


class _Commands(TyperGroup):
    """Answers every failure with one sentence and an exit code: 2 for a wrong request, 1 for work not done."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (WidthwiseError, Interrupted, KeyboardInterrupt) as error:
            if os.environ.get("WIDTHWISE_DEBUG"):
                raise
            say_sentence(f"widthwise: {_sentence(error)}")
            raise typer.Exit(_code(error)) from error

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            verbosity_of(command, self)
        return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("eval")(evaluate_suite)
app.command("sweep")(run_sweep)
app.command("curve")(draw_curve)
app.command("compare")(compare_runs)
app.command("report")(write_report)
app.command("traces")(show_traces)
app.command("import")(import_file)
app.command("export")(export_file)
app.command("grade")(grade)
app.command("suites")(list_suites)
app.command("strategies")(list_strategies)
app.command("graders")(list_graders)
app.command("models")(list_models)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(VERSION)
        raise typer.Exit


def _show_errors(wanted: bool) -> None:
    if wanted:
        os.environ["WIDTHWISE_DEBUG"] = "1"


@app.callback()
def options(
    debug: Annotated[
        bool,
        typer.Option("--debug", callback=_show_errors, help="Show where an error comes from (WIDTHWISE_DEBUG=1)."),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option("-v", "--verbose", count=True, help="Show notes of the run on stderr; -vv shows every detail."),
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Parallel test-time reasoning: spend an inference budget in width and measure what it buys."""
    show_logs(verbose)


def main() -> None:
    """The ``widthwise`` command."""
    try:
        app()
    except BrokenPipeError:  # the reader of our output (`| head`) has gone
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        sys.exit(1)
    except Exception as error:
        if os.environ.get("WIDTHWISE_DEBUG"):
            raise
        say_sentence(f"widthwise: a bug ({type(error).__name__}; --debug shows where): {error}")
        sys.exit(1)


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "stopped"
    return str(error) or type(error).__name__


def _code(error: BaseException) -> int:
    if isinstance(error, Interrupted | KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, UsageError) else 1
