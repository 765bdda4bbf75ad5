"""What decides a run's results besides its problems: one value for commands, Python and run files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypedDict

from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.asking import SYSTEM, Asking
from widthwise.core.arguments import check_types
from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.problem import Grader
from widthwise.core.registry import nearest
from widthwise.core.rewards.reading import Embedder
from widthwise.core.rewards.reward import RewardModel
from widthwise.core.secrets import without_secrets
from widthwise.core.session.limits import Limits
from widthwise.core.session.prices import Price, check_prices, prices_of
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.strategy.strategy import Strategy, as_strategy
from widthwise.costing import check_cost
from widthwise.evals.allocation.allocators import Allocator, suite_budget_of
from widthwise.evals.allocation.suite_budget import SuiteBudget
from widthwise.given_grader import grader_named
from widthwise.given_models import arguments_of, as_backend, as_reward_model, by_model, checked, spelled
from widthwise.model import Model
from widthwise.opening import canonical
from widthwise.samplers.best_of_n import BestOfN

AnyModel = str | Backend | Model | Mapping[str, Any] | None
"""What calls take as the model: its name, or an open one; or several of them by name."""

MODEL = "embedded:reasoner"
"""The default model, unless the suite has its own."""

STRATEGY = BestOfN(16) | MajorityVote()
"""The default strategy."""

_OF_COMMANDS = {
    **{f"budget_{each.name}": f": give budget=ww.Budget({each.name}=...)" for each in fields(Limits)},
    **{name: f": give {name}s={{'name': value}}" for name in ("backend_arg", "reward_arg", "template_arg", "prompt")},
    "model_setting": ": give model_settings={'NAME': {'setting': value}}",
    "no_logprobs": ": give backend_args={'logprobs': False}",
    "price": ": give prices=(1.0, 4.0), or such a pair per model by name",
    "column": ": give the suite as ww.suite_of(FILE, columns={'FIELD': 'COLUMN'})",
    "data": ": give the file as the suite; ww.suite_of(FILE, like='NAME') grades it as another",
}
"""Options of commands that are named otherwise in Python, with the way out."""


class Options(TypedDict, total=False):
    """The settings as Python callers give them: fields of ``RunSettings``, ``Asking``, ``SamplingParams``."""

    budget: Limits | None
    suite_budget_tokens: int | None
    allocator: str | Allocator | None
    reward_model: str | RewardModel | Model | None
    reward_args: Mapping[str, Any] | None
    startup_timeout: float | None
    embedding_model: str | Embedder | Model | None
    backend_args: Mapping[str, Any] | None
    model_settings: Mapping[str, Any] | None
    prices: Any
    grader: str | Grader | Callable[..., Any] | None
    instruction: str | None
    system: str | None
    judge_tokens: int | None
    model_config: str | Path | None
    flops_per_token: float | None
    sampling: str | None
    format: str | None
    template_args: Mapping[str, Any] | None
    prompts: Mapping[str, str] | None
    seed: int | None
    limit: int | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    stop: str | tuple[str, ...] | None
    stop_token_ids: tuple[int, ...] | None
    logprobs: int | None
    prompt_logprobs: int | None


@dataclass(frozen=True, kw_only=True)
class RunSettings(Brief):
    """Everything that decides a run's results besides its problems; the defaults are those of all commands.

    ``model`` samples (None: the suite's own, else ``MODEL``), ``reward_model`` scores steps, ``embedding_model``
    compares texts: each as for ``--model`` (or open, from Python), with its own arguments; ``asking`` is how the first
    is asked. Several models are given by name, and so are their ``backend_args``; the first of them works for parts
    that name none. ``prices`` are what tokens cost (see ``prices_of``); they do not affect results. ``model_settings``
    are how each of them is asked where that differs from ``asking``, by name. ``grader`` is used instead of the
    suite's, and so is ``instruction``, which is appended to each problem (empty: nothing). ``startup_timeout`` is how
    many seconds to wait for servers that are not ready (None: see ``HTTPBackend``); it does not affect results.
    ``judge_tokens`` is how long a judge's reply may get, including its thinking (``Setting`` has the default). FLOPs
    are counted from the model's own ``config.json`` if it is here, else from that in ``model_config`` (a file or its
    folder), or as ``flops_per_token``. ``limit`` keeps the first so many problems. ``budget`` is each problem's,
    including the strategy's own. ``suite_budget_tokens`` are shared by all problems (``SuiteBudget``), and
    ``allocator`` says who gets how many (None: ``ALLOCATOR``).
    """

    model: AnyModel = None
    backend_args: Mapping[str, Any] = field(default_factory=dict)
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    reward_model: str | RewardModel | Model | None = None
    reward_args: Mapping[str, Any] = field(default_factory=dict)
    startup_timeout: float | None = None
    embedding_model: str | Embedder | Model | None = None
    strategy: Strategy = STRATEGY
    budget: Limits | None = None
    suite_budget_tokens: int | None = None
    allocator: str | Allocator | None = None
    asking: Asking = field(default_factory=Asking)
    grader: Grader | None = None
    instruction: str | None = None
    judge_tokens: int | None = None
    model_config: str | Path | None = None
    flops_per_token: float | None = None
    seed: int = 0
    limit: int | None = None

    @classmethod
    def of(cls, strategy: Any = None, **options: Any) -> RunSettings:
        """The settings as commands and Python callers give them; None anywhere is the default.

        ``strategy`` may be text; ``options`` are fields of this class, of ``Asking`` and of ``SamplingParams``, and
        ``system``, a system prompt that replaces the model's. Raises ``UsageError`` for unknown ones.
        """
        given = _with_system({name: value for name, value in options.items() if value is not None})
        own, of_model, of_samples = (_fields(each) for each in (cls, Asking, SamplingParams))
        _check_names(given, [*own, *of_model, *of_samples, SYSTEM])
        if "prices" in given:
            given["prices"] = prices_of(given["prices"])
        check_types(cls, _picked(given, own))
        check_types(Asking, _picked(given, of_model))
        _check_values(given)
        asking = Asking(_picked(given, of_samples), **_picked(given, of_model))
        chosen = as_any_strategy(strategy)
        if "grader" in given:
            given["grader"] = grader_named(given["grader"])
        settings = cls(strategy=chosen, asking=asking, **_picked(given, own))
        return settings.within(settings.budget)

    def __post_init__(self) -> None:
        self._name_models()
        object.__setattr__(self, "reward_model", as_reward_model(self.reward_model))
        if not (isinstance(self.embedding_model, str | Model | None) or hasattr(self.embedding_model, "embed")):
            raise UsageError(
                f"an embedding model is a name, a ww.Model or embeds texts, not {self.embedding_model!r:.60}"
            )
        if self.judge_tokens is not None and self.judge_tokens < 1:
            raise UsageError(f"judge_tokens must be at least 1, not {self.judge_tokens}")
        self.suite_budget  # noqa: B018  (checks its arguments)
        object.__setattr__(self, "prices", prices_of(self.prices))
        check_prices(self.prices, list(self.models))
        object.__setattr__(self, "reward_args", dict(self.reward_args))
        taken = {name: arguments_of(model, "model", self.args_of(name)) for name, model in self.models.items()}
        object.__setattr__(self, "backend_args", taken if isinstance(self.model, Mapping) else taken[""])
        object.__setattr__(self, "reward_args", arguments_of(self.reward_model, "reward_model", self.reward_args))
        arguments_of(self.embedding_model, "embedding_model", {})
        check_cost(self.model, self.model_config, self.flops_per_token)

    def _name_models(self) -> None:
        """Make of the models, their arguments and their settings what a run takes."""
        several, args, own = isinstance(self.model, Mapping), dict(self.backend_args), dict(self.model_settings)
        if isinstance(self.model, Mapping):
            object.__setattr__(self, "model", checked(self.model, as_backend))
            args = by_model(args, self.model, "--backend-arg")
            own = by_model(own, self.model, "--model-setting")
        elif own:
            raise UsageError("--model-setting is for one of several models: the run has one, set it with its option")
        else:
            known = canonical(self.model) if isinstance(self.model, str) else self.model
            object.__setattr__(self, "model", as_backend(known))
        object.__setattr__(self, "backend_args", args)
        object.__setattr__(self, "model_settings", own)
        for name in self.models if several else ():
            self.asking_of(name)

    @property
    def models(self) -> dict[str, Any]:
        """The models that sample, by name; the name of a single one is empty."""
        return dict(self.model) if isinstance(self.model, Mapping) else {"": self.model or MODEL}

    def args_of(self, name: str) -> Mapping[str, Any]:
        """The arguments of a model's backend."""
        return self.backend_args.get(name, {}) if isinstance(self.model, Mapping) else self.backend_args

    def asking_of(self, name: str) -> Asking:
        """How a model is to be asked; raises ``UsageError`` for a setting that does not exist."""
        own = _with_system(dict(self.model_settings.get(name, {})))
        known = [*(of_model := _fields(Asking)[1:]), *(of_samples := _fields(SamplingParams)), SYSTEM]
        _check_names(own, known)
        _check_values(own)
        given = {**self.asking.given, **_picked(own, of_samples)}
        return replace(self.asking, given=given, **_picked(own, of_model))

    def answered_by(self, strategy: Any, *, budget: Limits | None = None, seed: int = 0, **shared: Any) -> RunSettings:
        """These settings with a strategy (text or a value), under ``budget``, with a seed; ``shared``: the pool's."""
        chosen = replace(self, strategy=as_any_strategy(strategy), seed=seed, **shared)
        return chosen.within(budget)

    @property
    def suite_budget(self) -> SuiteBudget | None:
        """The pool that all problems share; None without one."""
        return suite_budget_of(self.suite_budget_tokens, self.allocator)

    def unshared(self, what: str) -> RunSettings:
        """These settings; ``UsageError`` if they have a suite budget, which ``what`` cannot share out."""
        if self.suite_budget_tokens is not None:
            raise UsageError(
                f"a suite budget is shared by the problems of one run (`widthwise eval`, ww.evaluate), not by {what}"
            )
        return self

    def within(self, budget: Limits | None) -> RunSettings:
        """These settings under ``budget``, with the strategy's own limits where ``budget`` has none."""
        own = self.strategy.budget
        merged = Limits(**{**(_set(asdict(own)) if own else {}), **(_set(asdict(budget)) if budget else {})})
        return replace(self, budget=merged if _set(asdict(merged)) else None)

    def on(self, own: str | None) -> RunSettings:
        """These settings with the suite's ``own`` model if none was named."""
        return replace(self, model=self.model or own or MODEL)

    @property
    def configuration(self) -> dict[str, Any]:
        """The settings as the store compares them.

        Defaults of settings that later versions may add are left out, and secrets in any case.
        """
        budget = {} if self.budget is None else {f"budget_{k}": v for k, v in _set(asdict(self.budget)).items()}
        shared = {} if (pool := self.suite_budget) is None else pool.configuration
        asked = {} if self.instruction is None else {"instruction": self.instruction}
        others = {
            "reward_model": spelled(self.reward_model),
            "reward_args": without_secrets(self.reward_args),
            "embedding_model": spelled(self.embedding_model),
            "judge_tokens": self.judge_tokens,
            "model_settings": self.model_settings,
            "model_config": None if self.model_config is None else str(self.model_config),
            "flops_per_token": self.flops_per_token,
        }
        return {
            "limit": self.limit,
            "model": spelled(self.model or MODEL),
            "backend_args": without_secrets(self.backend_args),
            "strategy": str(self.strategy),
            **budget,
            **shared,
            **asked,
            **self.asking.configuration,
            "seed": self.seed,
            **{name: value for name, value in others.items() if value},
        }


def as_any_strategy(strategy: Any) -> Strategy:
    """A strategy from a value or from the command line's text; None is the default."""
    if strategy is None:
        return STRATEGY
    return parse_strategy(strategy) if isinstance(strategy, str) else as_strategy(strategy)


def listed(given: Any, name: str) -> list[Any]:
    """The items of an argument that is a list; ``UsageError`` if the brackets are missing."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise UsageError(f"{name} is a list, {name}=[...], not {given!r:.60} ({type(given).__name__})")
    return list(given)


def _check_values(given: Mapping[str, Any]) -> None:
    """Raises ``UsageError`` for what is no mapping, text or budget where one belongs."""
    for name in ("backend_args", "model_settings", "reward_args", "template_args", "prompts"):
        if not isinstance(value := given.get(name, {}), Mapping):
            raise UsageError(f"{name} are given by name, {name}={{'name': value}}, not {value!r:.60}")
    for name, text in given.get("prompts", {}).items():
        if not isinstance(text, str):
            raise UsageError(f"the prompt {name!r} is a text, not {text!r:.60}")
    if not isinstance(budget := given.get("budget"), Limits | None):
        raise UsageError(f"a budget is ww.Budget(tokens=..., samples=..., ...), not {budget!r:.60}")


def _with_system(given: dict[str, Any]) -> dict[str, Any]:
    """The settings with the system prompt where run files have it."""
    if SYSTEM not in given:
        return given
    system, arguments = given[SYSTEM], given.get("template_args", {})
    if not isinstance(system, str):
        raise UsageError(f"the system prompt is a text, not {system!r:.60}")
    if arguments.get(SYSTEM, system) != system:
        raise UsageError("the system prompt is given twice, by itself and among the template's arguments")
    others = {name: value for name, value in given.items() if name != SYSTEM}
    return {**others, "template_args": {**arguments, SYSTEM: system}}


def _fields(of: Any) -> list[str]:
    return [f.name for f in fields(of)]


def _picked(given: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name in names}


def _check_names(given: Mapping[str, Any], known: Collection[str]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"there is no setting {name!r}{_OF_COMMANDS.get(name) or nearest(name, known)}")


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
