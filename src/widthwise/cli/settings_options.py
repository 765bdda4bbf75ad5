"""The options for everything that decides a run's results: the same for every command that samples."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from widthwise.asking import Asking
from widthwise.cli.prompt_files import own_prompts
from widthwise.core.errors import UsageError
from widthwise.core.strategy.budget import Budget
from widthwise.given_models import model_option
from widthwise.settings import MODEL, RunSettings


def count(words: str, least: int | None = None) -> Any:
    """An option that takes a whole number."""
    return typer.Option(help=words, metavar="N", min=least)


def number(words: str) -> Any:
    """An option that takes a number."""
    return typer.Option(help=words, metavar="X")


def text(words: str, metavar: str, default: str | None = None) -> Any:
    """An option whose value is described by ``metavar``; ``default`` is shown."""
    return typer.Option(help=words, metavar=metavar, show_default=default or True)


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object (docs/json.md), and all else on stderr.")]
"""The option that every command has."""


def _several(words: str) -> Any:
    return text(f"{words}; may be repeated.", "NAME=VALUE")


_MODEL = (
    "The model that samples; see `widthwise models`. Recorded suites and `quantities` bring their own. Several have "
    "names that strategies can use, and the first one works for parts that name none."
)
_MODEL_SETTING = "How one of several models is asked (small.temperature=0.6); may be repeated."
_Grader = Annotated[
    str | None, text("The grader of answers, instead of the suite's; see `widthwise graders`.", "GRADER")
]
_Format = Annotated[str | None, text("The model's family, if its files do not tell; see `widthwise models`.", "NAME")]
_TemplateArg = Annotated[list[str] | None, _several("An argument of the model's chat template, or system=PROMPT")]
_System = Annotated[str | None, text("The system prompt, instead of the model's own.", "TEXT")]
_Instruction = Annotated[str | None, text("Appended to each problem, instead of the suite's; '' for nothing.", "TEXT")]
_PRICE = "Money per million tokens of prompts, of answers and of cached prompts; may be repeated for several models."
Price = Annotated[list[str] | None, text(_PRICE, "[NAME=]IN,OUT[,CACHED]")]
"""The option of commands that show what tokens cost."""

_NO_LOGPROBS = "Ask the server for no log-probabilities: less work for it, but no part may need them."
_JUDGE_TOKENS = (
    "At most N tokens per judge's reply, including thinking; default: as a sample (thinking models: 4096 or more)."
)
_MODEL_CONFIG = "Count FLOPs from the config.json in this folder, if the model's own is not here."
_Sampling = Annotated[
    str, text("Settings not given: what the `model` recommends, or `plain` (1, no filters).", "model|plain")
]
_PROMPT = "Your own prompt instead of the model's, or a question that its format lacks; may be repeated."
_Prompt = Annotated[list[str] | None, text(_PROMPT, "NAME=FILE")]


def _backend_args(named: list[str], no_logprobs: bool) -> dict[str, Any]:
    given = dict(named_value(each, "--backend-arg") for each in named)
    return {**given, "logprobs": False} if no_logprobs else given


def settings_of(
    model: Annotated[list[str] | None, text(_MODEL, "[NAME=]MODEL", MODEL.partition(":")[2])] = None,
    backend_arg: Annotated[list[str] | None, _several("An argument of the backend")] = None,
    model_setting: Annotated[list[str] | None, text(_MODEL_SETTING, "NAME.SETTING=VALUE")] = None,
    price: Price = None,
    reward_model: Annotated[str | None, text("The model that scores steps; named like a model.", "MODEL")] = None,
    reward_arg: Annotated[list[str] | None, _several("An argument of the reward model (format=...)")] = None,
    embedding_model: Annotated[str | None, text("The model that compares texts; named like a model.", "MODEL")] = None,
    startup_timeout: Annotated[float | None, number("Wait X seconds for servers that are not ready yet.")] = None,
    grader: _Grader = None,
    limit: Annotated[int | None, count("Only the first N problems of a suite.", 1)] = None,
    system: _System = None,
    instruction: _Instruction = None,
    format: _Format = None,
    template_arg: _TemplateArg = None,
    sampling: _Sampling = Asking.sampling,
    temperature: Annotated[float | None, number("0 is greedy.")] = None,
    top_p: Annotated[float | None, number("Sample from the most likely tokens with this total probability.")] = None,
    top_k: Annotated[int | None, count("Sample from the N most likely tokens.")] = None,
    min_p: Annotated[float | None, number("Leave out tokens less likely than X times the most likely.")] = None,
    repetition_penalty: Annotated[
        float | None, number("Above 1: penalise tokens that occur in the prompt or sample.")
    ] = None,
    presence_penalty: Annotated[float | None, number("Above 0: penalise tokens that occur in the sample.")] = None,
    frequency_penalty: Annotated[float | None, number("Above 0: the same, once per occurrence.")] = None,
    max_tokens: Annotated[int | None, count("At most N tokens per sample; default: to the context's end.")] = None,
    logprobs: Annotated[int | None, count("Also store the log-probabilities of the N most likely tokens.", 0)] = None,
    no_logprobs: Annotated[bool, typer.Option("--no-logprobs", help=_NO_LOGPROBS)] = False,
    judge_tokens: Annotated[int | None, count(_JUDGE_TOKENS, 1)] = None,
    model_config: Annotated[str | None, text(_MODEL_CONFIG, "FOLDER")] = None,
    flops_per_token: Annotated[float | None, number("Count X FLOPs for each token of the model, instead.")] = None,
    prompt: _Prompt = None,
) -> RunSettings:
    """The settings that the options spell."""
    return RunSettings.of(**_read(locals()))


def _read(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the same names, and those with other names on the command line."""
    several = {"reward_args": "reward_arg", "template_args": "template_arg", "model_settings": "model_setting"}
    others = {"model", "price", "backend_arg", "no_logprobs", "prompt", *several.values()}
    pairs = {
        name: dict(named_value(each, f"--{option.replace('_', '-')}") for each in options[option] or [])
        for name, option in several.items()
    }
    return {
        **{name: value for name, value in options.items() if name not in others},
        **pairs,
        "model": model_option(options["model"] or []),
        "prices": options["price"],
        "backend_args": _backend_args(options["backend_arg"] or [], options["no_logprobs"]),
        "prompts": own_prompts(options["prompt"] or []),
    }


def budget_of(*limits: Any) -> Budget:
    """The budget of one problem or request; ``limits`` are in the order of the fields of ``Budget``."""
    try:
        return Budget(*limits)
    except ValueError as error:
        raise UsageError(str(error)) from error


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``settings`` (``RunSettings``) is filled from the options of ``settings_of``."""
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    shared = list(inspect.signature(settings_of).parameters.values())

    @wraps(command)
    def called(**given: Any) -> None:
        options = {p.name: given.pop(p.name) for p in shared}
        command(settings=settings_of(**options), **given)

    hints = get_type_hints(settings_of, include_extras=True) | get_type_hints(command, include_extras=True)
    parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in (*own, *shared)]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters}
    del called.__wrapped__  # its signature is different
    return called


def named_value(argument: str, option: str) -> tuple[str, Any]:
    """``name=value``; numbers, booleans and JSON are read as such, anything else is text."""
    name, equals, value = argument.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {argument!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, {"True": True, "False": False, "None": None}.get(value, value)
