"""Models as callers give them: by address or open, one or several under names that strategies can use."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from widthwise.backends.function import FunctionBackend
from widthwise.backends.function_reward import FunctionRewardModel
from widthwise.core.errors import UsageError
from widthwise.core.roles import ROLES
from widthwise.core.secrets import shown_address
from widthwise.core.session.setting import unknown_model
from widthwise.model import Model
from widthwise.opening import canonical

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_NAMED = re.compile(rf"({_NAME.pattern})=(.+)", re.DOTALL)
_WAY_OUT = "--model NAME=ADDRESS for each, or model={'NAME': ...} in Python"


def model_option(given: Sequence[str]) -> str | dict[str, str] | None:
    """What ``--model`` says: one address, or several with names, ``small=ADDRESS``; None if it was not given.

    Raises ``UsageError`` for several of which one has no name, and for two with the same.
    """
    pairs = [(found[1], found[2]) if (found := _NAMED.fullmatch(each)) else ("", each) for each in given]
    if len(pairs) == 1 and not pairs[0][0]:
        return given[0]
    for name, address in pairs:
        if not name:
            raise UsageError(f"a run with several models names them, and {address!r} has no name: {_WAY_OUT}")
    twice = [name for at, (name, _) in enumerate(pairs) if name in dict(pairs[:at])]
    if twice:
        raise UsageError(f"two models are called {twice[0]!r}: give each a name of its own, {_WAY_OUT}")
    return dict(pairs) or None


def by_model(given: Mapping[str, Any], models: Iterable[str], option: str) -> dict[str, dict[str, Any]]:
    """What an option says of each model: ``{"small.limit": 1}`` and ``{"small": {"limit": 1}}`` are the same.

    Raises ``UsageError`` for a name that is no model's, or is missing.
    """
    known, found = list(models), dict[str, dict[str, Any]]()
    for key, value in given.items():
        name, dot, rest = key.partition(".")
        if name not in known:
            raise UsageError(
                f"{option} {key!r} does not say for which model: the run has several, write NAME.{rest or key} "
                f"({unknown_model(name, known)})"
            )
        if not dot and not isinstance(value, Mapping):
            raise UsageError(f"{option} {key!r} names a model, and no argument of it: write {key}.ARGUMENT")
        found.setdefault(name, {}).update({rest: value} if dot else value)
    return found


def checked(models: Mapping[Any, Any], made: Callable[[Any], Any]) -> dict[str, Any]:
    """Several models by name, each ``made`` into what a run takes; raises ``UsageError`` for a wrong name or none."""
    if not models:
        raise UsageError(f"a run needs a model: {_WAY_OUT}")
    for name, model in models.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"a model's name has letters, digits, - and _, and begins with a letter: not {name!r:.60}")
        if model is None or isinstance(model, Mapping):
            raise UsageError(f"the model {name!r} is given as {model!r:.60}: {_WAY_OUT}")
    return {name: made(canonical(m) if isinstance(m, str) else m) for name, m in models.items()}


def arguments_of(model: Any, role: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a model's engine; one that stays open brings its own along."""
    if not isinstance(model, Model):
        return dict(args)
    if model.role != role:
        raise UsageError(f"{model!r} was opened as a {model.role}: open one with ww.open(..., role={role!r})")
    if args not in ({}, model.args):
        name = "reward_args" if role == "reward_model" else "backend_args"
        raise UsageError(f"{name} must be given when the model is opened: pass them to ww.open")
    return dict(model.args)


def as_backend(model: Any) -> Any:
    """A model as it is, or the backend made from a function; ``UsageError`` for anything else."""
    if model is None or isinstance(model, str | Model):
        return model
    if callable(model) and not inspect.isclass(model) and not hasattr(model, "generate"):
        return FunctionBackend(model)
    source = f"the model {model!r:.60}"
    if inspect.isclass(model):
        raise UsageError(f"{source} is a class: give an object of it")
    if hasattr(model, "chat") and hasattr(model, "base_url"):
        raise UsageError(f"{source} is a client: give ww.OpenAIBackend(client, 'the name of a model')")
    if not hasattr(model, "generate"):
        raise UsageError(
            f"{source} is not a model: give a name, a ww.Model, a function (ww.FunctionBackend) or a backend"
        )
    ROLES["backend"].check(model, source)
    return model


def as_reward_model(model: Any) -> Any:
    """A reward model as it is, or the one made from a function; ``UsageError`` for anything else."""
    if model is None or isinstance(model, str | Model) or (hasattr(model, "score") and not inspect.isclass(model)):
        return model
    if callable(model) and not inspect.isclass(model):
        return FunctionRewardModel(model)
    raise UsageError(
        f"a reward model is a name, a ww.Model, an object with name, kind and score, or a function of (problem, text), "
        f"not {model!r:.60}"
    )


def spelled(model: Any) -> str | None:
    """A model by its address, several as ``small=ADDRESS, large=ADDRESS``."""
    if isinstance(model, Mapping):
        return ", ".join(f"{name}={spelled(each)}" for name, each in model.items())
    if isinstance(model, Model):
        model = model.name
    return shown_address(canonical(model)) if isinstance(model, str) else model and model.name
