"""The command ``serve``: strategies as models of an OpenAI-compatible server."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli.settings_options import AsJson, budget_of, count, number, text, with_settings
from widthwise.cli.terminal import say, say_json
from widthwise.core.event_loop import run_loop
from widthwise.core.registry import register
from widthwise.serving.entry import HOST, PORT, Offer, run_server
from widthwise.settings import STRATEGY, RunSettings

if TYPE_CHECKING:
    from widthwise.evals.suites.suite import Suite

KEY = "WIDTHWISE_API_KEY"

_STRATEGY = "A strategy, and its model name for clients (default: `widthwise`); may be repeated."
_ALLOW = "Let requests give their own strategy as the model's name, using built-in and installed parts."
_SUITE = "Ask and read answers like this suite; requests may name its problems. See `widthwise suites`."
_KEY = "A key that clients must send; may be repeated. Safer in the environment: other users see a command's arguments."
_GRACE = "When stopped, give running requests N seconds to end."

Key = Annotated[
    list[str] | None,
    typer.Option("--api-key", help=_KEY, metavar="KEY", envvar=KEY, show_default=False, show_envvar=True),
]


@register("command", "serve")
@with_settings
def serve_strategies(
    settings: RunSettings,
    strategy: Annotated[list[str] | None, text(_STRATEGY, "NAME=STRATEGY", str(STRATEGY))] = None,
    allow_strategies: Annotated[bool, typer.Option("--allow-strategies", help=_ALLOW)] = False,
    suite: Annotated[str | None, text(_SUITE, "SUITE")] = None,
    data: Annotated[Path | None, text("Take the problems that requests may name from a file.", "FILE")] = None,
    host: Annotated[str, text("The address to listen on.", "HOST")] = HOST,
    port: Annotated[int, typer.Option(help="The port; 0 picks a free one.", metavar="N", min=0, max=65535)] = PORT,
    api_key: Key = None,
    allow_origin: Annotated[
        list[str] | None, text("Let this web page read replies; may be repeated.", "ORIGIN")
    ] = None,
    concurrency: Annotated[int | None, count("How many requests to work on at once (32).", 1)] = None,
    queue: Annotated[
        int | None, count("How many requests may wait (256); others are told when to try again.", 0)
    ] = None,
    budget_tokens: Annotated[int | None, count("At most N sampled tokens per request.")] = None,
    budget_sequential: Annotated[int | None, count("At most N tokens one after another per request.")] = None,
    budget_samples: Annotated[int | None, count("At most N samples per request.")] = None,
    budget_seconds: Annotated[float | None, number("At most X seconds per request.")] = None,
    budget_flops: Annotated[float | None, number("At most X FLOPs per request.")] = None,
    seed: Annotated[int | None, count("The seed of requests without one; otherwise each gets its own.")] = None,
    grace: Annotated[int | None, count(_GRACE, 0)] = None,
    as_json: AsJson = False,
) -> None:
    """Serve strategies as models of an OpenAI-compatible server.

    Paths: /v1/chat/completions, /v1/completions, /v1/models, /health, /metrics. Ctrl-C or SIGTERM stops it in an
    orderly way.
    """
    offer = Offer(
        settings,
        strategy,
        allow_strategies=allow_strategies,
        suite=_suite(suite, data, settings.limit),
        limits=budget_of(budget_tokens, budget_sequential, budget_samples, budget_seconds, budget_flops),
        concurrency=concurrency,
        queue=queue,
        seed=seed,
        keys=tuple(api_key or ()),
        origins=tuple(allow_origin or ()),
    )
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what it says of requests may quote them
    run_loop(run_server(offer, host=host, port=port, grace=grace, ready=partial(_say_ready, as_json)))


def _say_ready(as_json: bool, address: str, names: Sequence[str]) -> None:
    if as_json:
        say_json({"address": address, "models": list(names), "pid": os.getpid()})
    else:
        say(f"serving {', '.join(names)} at {address} (Ctrl-C stops)")


def _suite(name: str | None, data: Path | None, limit: int | None) -> Suite | None:
    from widthwise.evals.suites.suites import load_suite

    return None if name is None and data is None else load_suite(name, data=data, limit=limit)
