"""Opening the backend that a model string names."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from widthwise.core.backend import Backend
from widthwise.core.errors import UsageError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.registry import nearest

if TYPE_CHECKING:
    from widthwise.backends.embedded.backend import EmbeddedBackend

B = TypeVar("B", bound=Backend)

BACKENDS = {
    "embedded": "embedded:FOLDER, or the name of a bundled model",
    "vllm": "vllm:FOLDER, a hub id, or the name of a bundled model",
    "http": "http://HOST:PORT[,http://HOST:PORT ...]",
    "https": "https://HOST[,https://HOST ...]",
    "replay": "replay:FILE.jsonl, FILE.parquet or RUN.db",
}
"""How each kind of model string is written, by its prefix."""


def bundled_models() -> dict[str, Path]:
    """The folders of the models that come with the package, by name."""
    home = Path(str(files("widthwise.models")))
    return {config.parent.name: config.parent for config in sorted(home.glob("*/config.json"))}


def canonical(spec: str) -> str:
    """The model string in full: ``reasoner`` is ``embedded:reasoner``.

    Raises UsageError for what names no backend, with the valid prefixes and the nearest match.
    """
    prefix, colon, rest = spec.partition(":")
    if colon and prefix in BACKENDS:
        if not rest.strip("/"):
            raise UsageError(f"the model {spec!r} names nothing behind its prefix; write {BACKENDS[prefix]}")
        return spec
    if spec in bundled_models():
        return f"embedded:{spec}"
    if not colon and (Path(spec) / "config.json").is_file():
        return f"embedded:{spec}"
    valid = [*bundled_models(), *(f"{name}:" for name in BACKENDS)]
    close = nearest(f"{prefix}:" if colon else spec, valid)
    raise UsageError(f"unknown model {spec!r}{close or '.'} Valid: {', '.join(valid)}.")


async def open_backend(spec: str, args: Mapping[str, Any] | None = None) -> Backend:
    """The backend of a model string such as ``vllm:Qwen/Qwen3-8B``, ready for use; close it after.

    ``args`` are the backend's own arguments. Raises UsageError for a wrong string or argument, BackendError where
    the model cannot be had.
    """
    full = canonical(spec)
    prefix, _, rest = full.partition(":")
    given = dict(args or {})
    if prefix == "embedded":
        return embedded(rest, given)
    if prefix == "vllm":
        from widthwise.backends.vllm.backend import VLLMBackend

        # Starting the engine takes seconds, which other tasks of the loop need not lose.
        return await asyncio.to_thread(VLLMBackend, str(bundled_models().get(rest, rest)), **given)
    if prefix == "replay":
        if "model" in given:
            given["model"] = await open_backend(str(given["model"]))
        return _replay(rest, given)
    from widthwise.backends.http.backend import HTTPBackend

    return _made(HTTPBackend, prefix, given, full)


def embedded(name: str, given: Mapping[str, Any]) -> EmbeddedBackend:
    """The embedded engine with the checkpoint of a folder, or with a bundled one."""
    from widthwise.backends.embedded.backend import EmbeddedBackend

    return _made(EmbeddedBackend, "embedded", given, bundled_models().get(name, Path(name)))


def _replay(file: str, given: Mapping[str, Any]) -> Backend:
    return _made(_replay_of, "replay", given, file)


def _replay_of(file: str, *, tokenizer: str | None = None, model: Backend | None = None) -> Backend:
    from widthwise.backends.replay import ReplayBackend
    from widthwise.backends.tokenizers.files import tokenizer_from

    cutter = tokenizer_from(tokenizer) if tokenizer is not None else None
    name = f"replay:{file}"
    if Path(file).suffix == ".db":
        from widthwise.evals.store.exchange import StoredRecordings
        from widthwise.evals.store.store import Store

        store = Store.read(file)
        facts = _recorded_facts(store.manifest)
        records = StoredRecordings(store)
        return ReplayBackend(records, name=name, tokenizer=cutter, model=model, facts=facts, on_close=store.close)
    from widthwise.evals.store.foreign import read_generations

    recordings = {r.problem.id: r for r in read_generations(file)}
    facts = ModelFacts(str(next((r.fields.get("model") for r in recordings.values()), None) or name))
    return ReplayBackend(recordings, name=name, tokenizer=cutter, model=model, facts=facts)


def _recorded_facts(manifest: Mapping[str, Any]) -> ModelFacts:
    """What a run's file says of the model that it recorded: its profile, and its name."""
    from widthwise.models.families import OWN_PROFILE

    profile = manifest.get("asking", {}).get("profile")
    return ModelFacts(str(manifest["configuration"].get("model")), config={OWN_PROFILE: profile} if profile else {})


def _made(make: Callable[..., B], prefix: str, given: Mapping[str, Any], *first: Any) -> B:
    """``make(*first, **given)``, an unknown argument answered with the valid ones."""
    parameters = list(inspect.signature(make).parameters.values())[len(first) :]
    valid = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for name in given:
        if name not in valid:
            raise UsageError(
                f"the {prefix} backend has no argument {name!r}{nearest(name, valid)} (its arguments are "
                f"{', '.join(valid)})"
            )
    try:
        return make(*first, **given)
    except TypeError as error:
        raise UsageError(f"the {prefix} backend cannot take these arguments: {error}") from error
