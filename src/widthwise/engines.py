"""All open models of a run: those that sample, score and embed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast, get_args

from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.brief import Brief
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.profile import facts_of
from widthwise.core.rewards.language_reward import LanguageRewardModel
from widthwise.core.rewards.reading import Embedder
from widthwise.core.rewards.reward import RewardModel
from widthwise.core.rewards.reward_format import RewardFormat
from widthwise.core.rewards.stating import TOKENS, Stating
from widthwise.core.session.score_memory import ScoreMemory
from widthwise.model import Model, ModelRole
from widthwise.models.profiles import profile_of
from widthwise.opening import WAIT, kind_of, open_backend, open_engine
from widthwise.settings import RunSettings

_PATIENCE = 120.0
"""Seconds that a reward model may take for its first score."""
_TRIAL_TOKENS = 8
_REPLIES = ("tokens", "samples")
"""Arguments of a judge that writes its scores."""


@dataclass(frozen=True, slots=True)
class Engines(Brief):
    """The open models of a run; ``owned`` are those to close with it.

    ``backends`` are those that sample, by their models' names; the name of a single one is empty.
    """

    backends: Mapping[str, Backend]
    reward_model: RewardModel | None = None
    embedder: Embedder | None = None
    owned: tuple[Any, ...] = ()

    @property
    def backend(self) -> Backend:
        """The backend of the run's first model."""
        return next(iter(self.backends.values()))

    @property
    def about(self) -> dict[str, Any]:
        """For the run's manifest: what the judging models say about themselves."""
        said: dict[str, Any] = {}
        if self.reward_model is not None:
            lines = {"by_lines": True} if getattr(self.reward_model, "by_lines", False) else {}
            said["reward_model"] = {"kind": self.reward_model.kind, **lines, **_description(self.reward_model)}
        if self.embedder is not None and id(self.embedder) != id(self.backend):  # else it is described already
            said["embedding_model"] = _description(self.embedder)
        return said

    @property
    def identities(self) -> dict[str, Any]:
        """What is found at addresses that do not identify a model: the model, and how it is addressed."""
        sampling = {_role(name): backend for name, backend in self.backends.items()}
        models = {**sampling, "reward_model": self.reward_model, "embedding_model": self.embedder}
        found = {name: getattr(engine, "identity", None) for name, engine in models.items()}
        return {name: dict(identity) for name, identity in found.items() if identity}

    async def close(self) -> None:
        for engine in self.owned:
            await engine.close()


def _description(judge: Any) -> dict[str, Any]:
    return dict(judge.describe()) if hasattr(judge, "describe") else {"name": judge.name}


def open(name: str, *, role: ModelRole = "model", startup_timeout: float | None = None, **args: Any) -> Model:
    """A model for many calls: ``with ww.open("vllm:Qwen/Qwen3-8B") as model: ...``, or ``async with``.

    ``name`` is as for ``--model``, ``args`` are the backend's own arguments. ``role`` says what the model is opened
    for: as "model" it samples, as "reward_model" it scores (``args`` may include its ``format``), as "embedding_model"
    it embeds. Calls take the value wherever they take such a name. ``startup_timeout`` is how many seconds to wait for
    a server that is not ready. Raises ``UsageError`` for a wrong name; ``with``, or the first call that uses the model,
    raises it for wrong arguments, and ``BackendError`` if the model is not available.
    """
    if not isinstance(name, str):
        raise UsageError(
            f"a model is opened by its name, not by {name!r:.60}; pass a model that is already open as it is"
        )
    if role not in _OPENED_AS:
        raise UsageError(f"a model is opened as one of {', '.join(get_args(ModelRole))}, not {role!r}")
    return Model(name, role, args, lambda: _OPENED_AS[role](name, _patient(startup_timeout, name, args)))


async def open_engines(settings: RunSettings) -> Engines:
    """All models of a run, ready for use; close them afterwards.

    Raises ``UsageError`` for a wrong name or argument, ``BackendError`` if a model is not available; then none is left
    open. A model that was passed in open, from Python, is closed by its owner.
    """
    owned: list[Any] = []
    opened = partial(_opened, owned=owned, wait=settings.startup_timeout)
    try:
        backends = {n: await opened(model, "model", settings.args_of(n)) for n, model in settings.models.items()}
        reward_model = await opened(settings.reward_model, "reward_model", settings.reward_args)
        embedder = await opened(settings.embedding_model, "embedding_model", {})
    except BaseException:
        for engine in owned:
            await engine.close()
        raise
    embedders = [embedder, *map(_own_embedder, backends.values())]
    return Engines(backends, reward_model, next(filter(None, embedders), None), tuple(owned))


async def _opened(model: Any, role: ModelRole, args: Mapping[str, Any], *, owned: list[Any], wait: float | None) -> Any:
    """The engine of a model given by name, as an open model, or as an engine."""
    if isinstance(model, Model):
        return await model.opened()
    if not isinstance(model, str):
        return model
    engine = await _OPENED_AS[role](model, _patient(wait, model, args))
    owned.append(engine)
    return engine


def _patient(wait: float | None, spec: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of an engine, and how long to wait for it."""
    return args if wait is None or not kind_of(spec)[0].waits else {WAIT: wait, **args}


def _role(name: str) -> str:
    """Under which role a run's identity has one of its models."""
    return f"model {name}" if name else "model"


def check_installed(settings: RunSettings) -> None:
    """Raise ``BackendError``, with the way out, where a package is missing that the models of a run need."""
    for spec in (*settings.models.values(), settings.reward_model, settings.embedding_model):
        if isinstance(spec, str):
            kind_of(spec)[0].check_installed()


async def served_by(settings: RunSettings) -> dict[str, Any]:
    """The models behind addresses that do not identify them, by role.

    Raises ``BackendError`` for a server that does not answer, ``UsageError`` as ``open_engines`` does.
    """
    named = {
        **{_role(name): (model, settings.args_of(name)) for name, model in settings.models.items()},
        "reward_model": (settings.reward_model, settings.reward_args),
        "embedding_model": (settings.embedding_model, {}),
    }
    found: dict[str, Any] = {}
    for name, (model, args) in named.items():
        spec = model.name if isinstance(model, Model) else model
        if isinstance(spec, str):
            kind, address = kind_of(spec)
            if (served := await kind.served(address, _patient(settings.startup_timeout, spec, args))) is not None:
                found[name] = dict(served)
    return found


async def open_reward_model(spec: str, args: Mapping[str, Any] | None = None) -> RewardModel:
    """The reward model at an address such as ``vllm:Qwen/Qwen2.5-Math-PRM-7B`` or ``http://host/v1#MODEL``.

    ``args``: ``format`` names its layout, if the model's name does not tell; ``tokens`` and ``samples`` are the length
    and the number of a judge's replies, if that layout has it write them; others go to the engine. ``replay:RUN.db``
    serves the scores that a run recorded. Raises ``UsageError`` and ``BackendError``.
    """
    from widthwise.models.reward_formats import reward_format_for

    given = dict(args or {})
    named = given.pop("format", None)
    kind, address = kind_of(spec)
    kind.check_installed()  # before the hub is asked what the model is
    # A wrong layout is reported before an engine is started, but a whole reward model needs none.
    layout = None if kind.may_score and named is None else reward_format_for(await kind.facts(address, given), named)
    replies = {name: given.pop(name) for name in _REPLIES if layout and layout.reads == "stated" and name in given}
    engine = await open_engine(spec, lambda kind: kind.reader("labels" if layout is None else layout.reads), given)
    try:
        if layout is None and hasattr(engine, "score"):
            return await _tried(engine)
        layout = layout or reward_format_for(facts_of(engine))
        return await (_stating(engine, layout, replies) if layout.reads == "stated" else _reading(engine, layout))
    except BaseException:
        await engine.close()
        raise


async def _reading(engine: Any, layout: RewardFormat) -> RewardModel:
    """A reward model whose scores are read from what the engine computes."""
    if layout.reads == "expectation":  # what a judge would say, not what it would think
        layout = replace(layout, thinking=profile_of(facts_of(engine)).thinking)
    return await _tried(LanguageRewardModel(engine, layout))


async def _stating(engine: Any, layout: RewardFormat, replies: Mapping[str, Any]) -> RewardModel:
    """A judge that writes its scores, with the sampling that its model recommends; tried with a short reply."""
    profile = profile_of(facts_of(engine))
    tokens, samples = _whole(replies.get("tokens", TOKENS), "tokens"), _whole(replies.get("samples", 1), "samples")
    params = SamplingParams().changed(max_tokens=tokens, **profile.recommended({}))
    judge = Stating(engine, *layout.scale, params, profile.thinking, samples)
    await _tried(LanguageRewardModel(replace(judge, params=params.changed(max_tokens=_TRIAL_TOKENS)), layout))
    return LanguageRewardModel(judge, layout)


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name} of a judge that states its scores is a whole number of at least 1, not {value!r}")
    return value


async def _tried(model: RewardModel) -> RewardModel:
    """``model``, after it has scored something: otherwise one that fails at every score would go unnoticed.

    A model that only repeats what was recorded (``recorded``) is not tried. Raises ``BackendError``.
    """
    if getattr(model, "recorded", False):
        return model
    memory = ScoreMemory(model, Problem("trial", "What is 1 + 1?", "2"), journal=None, limit=_PATIENCE)
    [scores] = await memory.score({(0,): ("1 + 1 = 2.",)})
    if scores.steps is None and not scores.abstained:
        raise BackendError(f"the reward model {model.name} is available, but it cannot score: {scores.error}")
    return model


async def open_embedder(spec: str, args: Mapping[str, Any] | None = None) -> Embedder:
    """The embedding model of an address; raises ``UsageError`` and ``BackendError``."""
    embedder: Embedder = await open_engine(spec, lambda kind: kind.embedder(), args or {})
    return embedder


_OPENED_AS: dict[str, Callable[[str, Mapping[str, Any]], Awaitable[Any]]] = {
    "model": open_backend,
    "reward_model": open_reward_model,
    "embedding_model": open_embedder,
}


def _own_embedder(backend: Backend) -> Embedder | None:
    """The generator itself, if it can embed without another engine."""
    return cast(Embedder, backend) if hasattr(backend, "embed") else None
