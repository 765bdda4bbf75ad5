"""The command line: ``widthwise eval | sweep | curve | compare | report | traces | import | export | grade | ...``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from inspect import isroutine
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from widthwise.cli import allocate, compare, eval, fit, grade, lists, measure, runs, serve, sweep  # noqa: F401 - their commands register themselves
from widthwise.cli.completion import completed
from widthwise.cli.logs import show_logs, verbosity_of
from widthwise.cli.metavars import worded
from widthwise.cli.terminal import say, say_sentence
from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.core.installation import NAME
from widthwise.core.registry import entries, find, is_path
from widthwise.core.roles import ROLES
from widthwise.evaluation import Interrupted
from widthwise.interrupts import STOPPED, catch_signals
from widthwise.version import VERSION


class _Commands(TyperGroup):
    """Answers every failure with one sentence and an exit code: 2 for a wrong request, 1 for unfinished work."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (WidthwiseError, Interrupted, KeyboardInterrupt) as error:
            if os.environ.get("WIDTHWISE_DEBUG"):
                raise
            say_sentence(f"widthwise: {_sentence(error)}")
            raise typer.Exit(_code(error)) from error

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({entry.name for entry in entries(ROLES["command"])})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        for name in self.list_commands(ctx):  # the nearest name is searched among commands that have been made
            self.get_command(ctx, name)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and (is_path(cmd_name) or cmd_name in self.list_commands(ctx)):
            self.add_command(_command(cmd_name))
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            verbosity_of(command, self)
            # The whole first paragraph: what is made of it otherwise is cut.
            command.short_help = " ".join((command.help or "").partition("\n\n")[0].split())
        return command


def _command(name: str) -> Any:
    """The command for a name or an import path; one that cannot be loaded says why, also in the list of commands."""
    try:
        function = _function(name)
    except UsageError as error:
        function = _refusal(error)
    shell = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_HELP)
    shell.command(name)(completed(function))
    return worded(typer.main.get_command(shell), function)


def _function(name: str) -> Callable[..., Any]:
    function: Any = find("command", name).load()
    if not isroutine(function):
        raise ROLES["command"].misfit(name, function)
    return function


def _refusal(error: UsageError) -> Callable[[], None]:
    def refuse() -> None:
        raise error

    refuse.__doc__ = str(error)
    return refuse


_HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)


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
    catch_signals()
    try:
        app(prog_name=NAME)
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
        return STOPPED
    return 2 if isinstance(error, UsageError) else 1
