"""The command ``eval``: measure a strategy on a suite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from widthwise.cli.display import summary_table
from widthwise.cli.progress import progress
from widthwise.cli.prompt_files import Sent, own_prompts, sent
from widthwise.core.backend import SamplingParams
from widthwise.core.errors import UsageError
from widthwise.core.strategy.budget import Budget
from widthwise.engines import Scorers
from widthwise.evaluation import Evaluation

if TYPE_CHECKING:
    from widthwise.evals.measure.summary import Summary


def _count(words: str, least: int | None = None) -> Any:
    return typer.Option(help=words, metavar="N", min=least)


def _number(words: str) -> Any:
    return typer.Option(help=words, metavar="X")


def _text(words: str, metavar: str) -> Any:
    return typer.Option(help=words, metavar=metavar)


_STRATEGY = "How to answer; see `widthwise strategies`. my_module:my_strategy names one of your own."
_RUN = "The run file; by default under runs/, named by the settings."

# Options that `sweep` has as well.
RewardModel = Annotated[str | None, _text("What scores steps; named like a model.", "MODEL")]
EmbeddingModel = Annotated[str | None, _text("What compares texts; named like a model.", "MODEL")]
BackendArgs = Annotated[list[str] | None, _text("An argument of the backend; may be repeated.", "NAME=VALUE")]
RewardArgs = Annotated[
    list[str] | None, _text("An argument of the reward model (format=...); may be repeated.", "NAME=VALUE")
]
OwnPrompts = Annotated[
    list[str] | None, _text("A prompt of your own in place of the model's; may be repeated.", "NAME=FILE")
]
ShowPrompts = Annotated[
    bool, typer.Option("--show-prompts", help="Show what strategies ask on a few problems, and stop.")
]


def evaluate_suite(
    suite: Annotated[str | None, typer.Argument(help="A suite's name; see `widthwise suites`.")] = None,
    data: Annotated[Path | None, _text("Take the problems from a JSONL, Parquet or run file.", "FILE")] = None,
    model: Annotated[str, _text("What samples; see `widthwise models`.", "MODEL")] = "reasoner",
    strategy: Annotated[str, _text(_STRATEGY, "STRATEGY")] = "best_of_n(n=16) | majority_vote()",
    reward_model: RewardModel = None,
    embedding_model: EmbeddingModel = None,
    limit: Annotated[int | None, _count("Only the first N problems.", 1)] = None,
    budget_tokens: Annotated[int | None, _count("At most N sampled tokens a problem.")] = None,
    budget_sequential: Annotated[int | None, _count("At most N tokens one after the other a problem.")] = None,
    budget_samples: Annotated[int | None, _count("At most N samples a problem.")] = None,
    budget_seconds: Annotated[float | None, _number("At most X seconds a problem.")] = None,
    temperature: Annotated[float | None, _number("0 is greedy; 1 if not given.")] = None,
    top_p: Annotated[float | None, _number("Sample from the most likely tokens of this joint probability.")] = None,
    top_k: Annotated[int | None, _count("Sample from the N most likely tokens.")] = None,
    min_p: Annotated[float | None, _number("Leave out tokens less likely than X times the likeliest.")] = None,
    max_tokens: Annotated[int | None, _count("At most N tokens a sample; to the context's end if not given.")] = None,
    logprobs: Annotated[int | None, _count("Store the log-probabilities of the N likeliest tokens too.", 0)] = None,
    seed: Annotated[int, _count("All randomness of the run comes from it.")] = 0,
    concurrency: Annotated[int, _count("Problems worked on at once.", 1)] = 32,
    run: Annotated[Path | None, _text(_RUN, "FILE.db")] = None,
    backend_arg: BackendArgs = None,
    reward_arg: RewardArgs = None,
    prompt: OwnPrompts = None,
    show_prompts: ShowPrompts = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """Measure a strategy on a suite.

    The same command again prints the result of a finished run at once, and continues one that was stopped.
    """
    evaluation = Evaluation.of(
        suite=suite,
        data=data,
        model=model,
        strategy=strategy,
        limit=limit,
        budget=_budget(budget_tokens, budget_sequential, budget_samples, budget_seconds),
        params=SamplingParams().changed(
            temperature=temperature, top_p=top_p, top_k=top_k, min_p=min_p, max_tokens=max_tokens, logprobs=logprobs
        ),
        seed=seed,
        backend_args=dict(map(backend_argument, backend_arg or [])),
        run=run,
        scorers=Scorers(reward_model, dict(map(backend_argument, reward_arg or [])), embedding_model),
        prompts=own_prompts(prompt or []),
    )
    if show_prompts:
        print_prompts(asyncio.run(sent(evaluation)), as_json)
        return
    with progress(len(evaluation.suite.problems)) as meter:
        summary = asyncio.run(evaluation.run(concurrency=concurrency, listener=meter))
    _print(summary, as_json)
    if summary.errors:
        _fail(summary, meter.first_failure)


def _fail(summary: Summary, first: str) -> NoReturn:
    typer.echo(
        f"widthwise: {summary.errors} of {summary.problems} problems failed (first: {first}); "
        f"`widthwise traces {summary.run}` lists them, and the same command tries them again",
        err=True,
    )
    raise typer.Exit(1)


def _print(summary: Summary, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary.asdict(), ensure_ascii=False))
    else:
        summary_table(summary)


def print_prompts(prompts: Sequence[Sent], as_json: bool = False) -> None:
    """Each kind of prompt: its name, its template, the forms of what it lists, and one that was sent."""
    if as_json:
        typer.echo(json.dumps({"prompts": [asdict(prompt) for prompt in prompts]}, ensure_ascii=False))
        return
    for prompt in prompts:
        parts = [("example", prompt.example)]
        if prompt.template is not None:
            parts = [("template", prompt.template), *prompt.forms, *parts]
        typer.echo(f"== {prompt.name or 'a prompt of the strategy itself'} ==\n")
        typer.echo("\n".join(f"-- {name} --\n{text.rstrip()}\n" for name, text in parts))


def _budget(*limits: Any) -> Budget:
    try:
        return Budget(*limits)
    except ValueError as error:
        raise UsageError(str(error)) from error


def backend_argument(text: str) -> tuple[str, Any]:
    """``name=value``; numbers, booleans and JSON are read as such, anything else is text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--backend-arg {text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, {"True": True, "False": False, "None": None}.get(value, value)
