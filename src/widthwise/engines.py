"""Everything that a run has open: what samples, what scores, what embeds."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from widthwise.core.backend import Backend
from widthwise.core.errors import UsageError
from widthwise.core.registry import nearest
from widthwise.core.rewards.reading import Embedder, Reader
from widthwise.core.rewards.reward import RewardModel
from widthwise.core.rewards.reward_format import RewardFormat
from widthwise.opening import bundled_models, canonical, embedded, open_backend
from widthwise.settings import RunSettings

if TYPE_CHECKING:
    from widthwise.backends.http.pooling import HTTPPooling

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Engines:
    """The open models of a run; ``owned`` are those to be closed with it."""

    backend: Backend
    reward_model: RewardModel | None = None
    embedder: Embedder | None = None
    owned: tuple[Any, ...] = ()

    @property
    def about(self) -> dict[str, Any]:
        """For the run's manifest: what the models that judge say of themselves."""
        said: dict[str, Any] = {}
        if self.reward_model is not None:
            said["reward_model"] = {"kind": self.reward_model.kind, **_description(self.reward_model)}
        if self.embedder is not None and id(self.embedder) != id(self.backend):  # else it is described already
            said["embedding_model"] = _description(self.embedder)
        return said

    async def close(self) -> None:
        for engine in self.owned:
            await engine.close()


def _description(judge: Any) -> dict[str, Any]:
    return dict(judge.describe()) if hasattr(judge, "describe") else {"name": judge.name}


async def open_engines(settings: RunSettings) -> Engines:
    """All models of a run, ready for use; close them after.

    Raises ``UsageError`` for a wrong name or argument, ``BackendError`` where a model cannot be had; then none is
    left open. What is given open, from Python, is closed by its owner.
    """
    owned: list[Any] = []
    try:
        backend = settings.model
        if isinstance(backend, str):
            backend = await _kept(open_backend(backend, settings.backend_args), owned)
        reward_model = settings.reward_model
        if isinstance(reward_model, str):
            reward_model = await _kept(open_reward_model(reward_model, settings.reward_args), owned)
        if settings.embedding_model is not None:
            embedder: Embedder | None = await _kept(open_embedder(settings.embedding_model), owned)
        else:
            embedder = _own_embedder(backend)
    except BaseException:
        for engine in owned:
            await engine.close()
        raise
    return Engines(backend, reward_model, embedder, tuple(owned))


async def _kept(opening: Awaitable[T], owned: list[Any]) -> T:
    engine = await opening
    owned.append(engine)
    return engine


async def open_reward_model(spec: str, args: Mapping[str, Any] | None = None) -> RewardModel:
    """The reward model of an address such as ``vllm:Qwen/Qwen2.5-Math-PRM-7B`` or ``http://host/v1#MODEL``.

    ``args``: ``format`` names its layout where the model's name does not tell; others go to the engine.
    ``replay:RUN.db`` serves the scores that a run recorded. Raises ``UsageError`` and ``BackendError``.
    """
    from widthwise.core.rewards.language_reward import LanguageRewardModel
    from widthwise.models.reward_formats import reward_format_for

    given = dict(args or {})
    named = given.pop("format", None)
    prefix, _, rest = canonical(spec).partition(":")
    if prefix == "replay":
        return _recorded(rest)
    reward_format = reward_format_for(rest, named)
    reader = await _reader(prefix, rest, reward_format, given)
    try:
        return LanguageRewardModel(reader, reward_format)
    except BaseException:
        await reader.close()
        raise


async def open_embedder(spec: str) -> Embedder:
    """The embedding model of an address; raises ``UsageError`` and ``BackendError``."""
    prefix, _, rest = canonical(spec).partition(":")
    if prefix == "embedded":
        return embedded(rest, {})
    if prefix == "vllm":
        from widthwise.backends.vllm.pooling import VLLMPooling

        return await asyncio.to_thread(VLLMPooling, _folder(rest), task="embed")
    if prefix == "replay":
        raise UsageError("a recording has no embeddings; name an embedding model that is embedded:, vllm: or a server")
    return await _pooling(f"{prefix}:{rest}", {})


def _own_embedder(backend: Backend) -> Embedder | None:
    """The generator itself, where it embeds without a further engine."""
    from widthwise.backends.embedded.backend import EmbeddedBackend

    return backend if isinstance(backend, EmbeddedBackend) else None


async def _reader(prefix: str, rest: str, reward_format: RewardFormat, given: Mapping[str, Any]) -> Reader:
    """The engine that can read what the format asks for."""
    labels = reward_format.reads == "labels"
    if prefix == "embedded":
        return embedded(rest, given)
    if prefix == "vllm" and labels:
        from widthwise.backends.vllm.backend import VLLMBackend

        return await asyncio.to_thread(VLLMBackend, _folder(rest), **given)
    if prefix == "vllm":
        from widthwise.backends.vllm.pooling import VLLMPooling

        return await asyncio.to_thread(VLLMPooling, _folder(rest), task="token_classify", **given)
    if not labels:
        return await _pooling(f"{prefix}:{rest}", given)
    from widthwise.backends.http.backend import HTTPBackend

    return await asyncio.to_thread(_served, HTTPBackend, f"{prefix}:{rest}", given)


async def _pooling(address: str, given: Mapping[str, Any]) -> HTTPPooling:
    from widthwise.backends.http.pooling import HTTPPooling

    return await asyncio.to_thread(_served, HTTPPooling, address, given)


def _served(make: Callable[..., T], address: str, given: Mapping[str, Any]) -> T:
    """``make`` for ``http://host/v1#MODEL``, an unknown argument answered with the valid ones."""
    urls, _, model = address.partition("#")
    valid = list(inspect.signature(make).parameters)
    for name in given:
        if name not in valid:
            raise UsageError(f"a served model has no argument {name!r}{nearest(name, valid)}")
    return make(urls, **{**({"model": model} if model else {}), **given})


def _folder(rest: str) -> str:
    return str(bundled_models().get(rest, rest))


def _recorded(file: str) -> RewardModel:
    from widthwise.evals.store.recorded_reward import RecordedRewardModel

    if Path(file).suffix != ".db":
        raise UsageError(f"recorded scores are read from run files: replay:RUN.db, not {file!r}")
    return RecordedRewardModel(file)
