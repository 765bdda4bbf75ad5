"""Model strings: the kinds of models, and opening what a string names."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

from widthwise.backends.vllm.options import require_vllm
from widthwise.core.backend import Backend, Tokenizer
from widthwise.core.errors import UsageError, WidthwiseError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.registry import Entry, entries, find, importable, nearest, register
from widthwise.core.rewards.reward import RewardModel
from widthwise.core.rewards.reward_format import WITHOUT_HEAD, ScoreForm
from widthwise.core.roles import ROLES
from widthwise.core.secrets import keep_secrets

WAIT = "startup_timeout"
"""The argument of engines that says how many seconds to wait for them."""
_REACHING = frozenset({WAIT, "api_key", "headers", "model", "connect_timeout"})
"""Arguments of server backends that any engine on a server takes."""
Maker = Callable[..., Any]
"""Makes an engine from an address and the user's arguments."""


class ModelKind:
    """One way to name models, ``name:ADDRESS``; ``written`` shows it.

    ``in_thread``: starting one takes seconds. ``waits``: it takes the argument ``WAIT``. Your own backend needs no
    kind: its class or function is one. Derive a kind from this class if its readers and embedders are different engines
    than the backend. ``may_score``: its reader may be a whole reward model.
    """

    written: ClassVar[str]
    in_thread: ClassVar[bool] = False
    waits: ClassVar[bool] = False
    may_score: ClassVar[bool] = False

    def check_installed(self) -> None:
        """Raise ``BackendError``, with the way out, where a package that engines of this kind need is missing."""

    def place(self, address: str) -> tuple[str, dict[str, Any]]:
        """What an engine is made from besides the user's arguments."""
        return str(bundled_models().get(address, address)), {}

    async def facts(self, address: str, args: Mapping[str, Any]) -> ModelFacts:
        """What is known of the model at this address before its engine is started; ``args`` are the engine's."""
        return ModelFacts(address)

    async def served(self, address: str, args: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The model behind an address that does not identify it (``model``, ``root``); None for any other address."""
        return None

    def tokenizer(self, address: str) -> Tokenizer | None:
        """The tokenizer in the model's files, without an engine; None if only the engine has it."""
        return None

    def backend(self) -> Maker:
        """The function that makes a backend."""
        raise NotImplementedError

    def reader(self, reads: ScoreForm) -> Maker:
        """The function that makes an engine that reads scores of this kind, or a whole reward model."""
        return self.backend()

    def embedder(self) -> Maker:
        """The function that makes an engine that turns texts into vectors."""
        return self.backend()


@register("backend")
class Embedded(ModelKind):
    """The numpy engine for small checkpoints (Llama, Mistral, Qwen2, Qwen3); it reads and embeds too."""

    written = "embedded:FOLDER, or the name of a bundled model"

    async def facts(self, address: str, args: Mapping[str, Any]) -> ModelFacts:
        return await _facts_at(self.place(address)[0])

    def tokenizer(self, address: str) -> Tokenizer | None:
        return _tokenizer_at(self.place(address)[0])

    def backend(self) -> Maker:
        from widthwise.backends.embedded.backend import EmbeddedBackend

        return EmbeddedBackend


@register("backend", "vllm")
class VLLM(ModelKind):
    """vLLM in this process."""

    written = "vllm:FOLDER, a hub id, or the name of a bundled model"
    in_thread = True

    def check_installed(self) -> None:
        require_vllm()

    async def facts(self, address: str, args: Mapping[str, Any]) -> ModelFacts:
        return await _facts_at(self.place(address)[0])

    def tokenizer(self, address: str) -> Tokenizer | None:
        return _tokenizer_at(self.place(address)[0])

    def backend(self) -> Maker:
        from widthwise.backends.vllm.backend import VLLMBackend

        return VLLMBackend

    def reader(self, reads: ScoreForm) -> Maker:
        return self.backend() if reads in WITHOUT_HEAD else self._pooling("token_classify")

    def embedder(self) -> Maker:
        return self._pooling("embed")

    def _pooling(self, task: Any) -> Maker:
        from widthwise.backends.vllm.pooling import VLLMPooling

        return partial(VLLMPooling, task=task)


@register("backend", "http")
class HTTP(ModelKind):
    """OpenAI-compatible servers, one or a pool; ``#MODEL`` after the address chooses among a server's models."""

    written = "http://HOST:PORT[,http://HOST:PORT ...]"
    in_thread = waits = True

    def place(self, address: str) -> tuple[str, dict[str, Any]]:
        return f"{self.written.partition(':')[0]}:{address}", {}

    async def facts(self, address: str, args: Mapping[str, Any]) -> ModelFacts:
        served = await self.served(address, args)
        return await _facts_at(str(served["root"] or served["model"]))

    async def served(self, address: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        spec = f"{self.written.partition(':')[0]}:{address}"
        reaching = {name: value for name, value in args.items() if name in _REACHING or name.startswith("header.")}
        pooling = await open_engine(spec, lambda kind: kind.embedder(), reaching)
        try:
            return dict(pooling.identity)
        finally:
            await pooling.close()

    def backend(self) -> Maker:
        from widthwise.backends.http.backend import HTTPBackend

        return partial(HTTPBackend, folders=bundled_models())

    def reader(self, reads: ScoreForm) -> Maker:
        return self.backend() if reads in WITHOUT_HEAD else self.embedder()

    def embedder(self) -> Maker:
        from widthwise.backends.http.pooling import HTTPPooling

        return HTTPPooling


@register("backend", "https")
class HTTPS(HTTP):
    """The same over TLS."""

    written = "https://HOST[,https://HOST ...]"


@register("backend")
class Replay(ModelKind):
    """Recorded generations, served as if they were sampled now; ``model`` samples what was not recorded."""

    written = "replay:FILE.jsonl, FILE.parquet, RUN.db or a recorded suite"
    may_score = True

    def place(self, address: str) -> tuple[str, dict[str, Any]]:
        from widthwise.evals.suites.hub import BENCHMARKS

        suite = BENCHMARKS.get(address)
        return str(suite.file) if suite and suite.recorded else address, {}

    def backend(self) -> Maker:
        return _replayed

    def reader(self, reads: ScoreForm) -> Maker:
        return _recorded_scores

    def embedder(self) -> Maker:
        raise UsageError("a recording has no embeddings; name an embedding model that is embedded:, vllm: or a server")


class OwnKind(ModelKind):
    """The user's own backend, or an installed package's: a class, or a function that makes one."""

    may_score = True

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def place(self, address: str) -> tuple[str, dict[str, Any]]:
        return address, {}

    def backend(self) -> Maker:
        make: Any = self._entry.load()
        if not callable(make):
            raise ROLES["backend"].misfit(self._entry.source, make)
        return make  # type: ignore[no-any-return]


async def _facts_at(model: str) -> ModelFacts:
    """From a model's folder, or from what can be fetched by its hub id."""
    from widthwise.backends.model_facts import facts_in
    from widthwise.backends.tokenizers.files import folder_of

    return facts_in(await asyncio.to_thread(folder_of, model), model)


def _tokenizer_at(model: str) -> Tokenizer | None:
    from widthwise.backends.tokenizers.files import folder_of, tokenizer_from

    folder = folder_of(model)
    return None if folder is None else tokenizer_from(folder)


def bundled_models() -> dict[str, Path]:
    """The folders of the models that come with the package, by name."""
    home = Path(str(files("widthwise.models")))
    return {config.parent.name: config.parent for config in sorted(home.glob("*/config.json"))}


def canonical(spec: str) -> str:
    """The model string in full: ``reasoner`` is ``embedded:reasoner``.

    Raises UsageError for a string that names no model, with the valid prefixes and the nearest match.
    """
    prefix, colon, rest = spec.partition(":")
    kinds = {entry.name: entry for entry in entries(ROLES["backend"])}
    if prefix in kinds and (colon or not kinds[prefix].built_in):
        if kinds[prefix].built_in and not rest.strip("/"):
            written = kinds[prefix].load().written
            raise UsageError(f"the model {spec!r} names nothing after its prefix; write {written}")
        return spec
    if spec in bundled_models() or (not colon and (Path(spec) / "config.json").is_file()):
        return f"embedded:{spec}"
    if importable(spec):
        return spec
    valid = [*bundled_models(), *(f"{name}:" for name in kinds)]
    close = nearest(f"{prefix}:" if colon else spec, valid)
    raise UsageError(
        f"unknown model {spec!r}{close or '.'} Valid: {', '.join(valid)}, or the import path of your own backend, "
        "my_module:MyBackend."
    )


async def open_backend(spec: str, args: Mapping[str, Any] | None = None) -> Backend:
    """The backend of a model string such as ``vllm:Qwen/Qwen3-8B``, ready for use; close it afterwards.

    ``args`` are the backend's own arguments. Raises UsageError for a wrong string or argument, BackendError if the
    model is not available.
    """
    backend: Backend = await open_engine(spec, lambda kind: kind.backend(), args or {})
    ROLES["backend"].check(backend, spec)
    return backend


async def open_engine(spec: str, maker: Callable[[ModelKind], Maker], args: Mapping[str, Any]) -> Any:
    """What the ``maker`` of the string's kind makes of its address; raises as ``open_backend`` does."""
    keep_secrets(args)
    kind, address = kind_of(spec)
    kind.check_installed()
    make, (first, fixed) = maker(kind), kind.place(address)
    given = _grouped(args)
    _check_arguments(make, given, spec, given=1 if first else 0)
    call = partial(make, *([first] if first else []), **{**fixed, **given})
    try:
        made = await asyncio.to_thread(call) if kind.in_thread else call()
        return await made if inspect.isawaitable(made) else made
    except TypeError as error:
        raise UsageError(f"the model {spec!r} cannot take these arguments: {error}") from error
    except Exception as error:
        if not isinstance(kind, OwnKind) or isinstance(error, WidthwiseError):
            raise
        raise UsageError(f"the model {spec!r} cannot be opened: {type(error).__name__}: {error}") from error


def _grouped(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, with all ``header.NAME`` merged into one, ``headers``."""
    headers = {name[7:]: str(value) for name, value in args.items() if name.startswith("header.")}
    others = {name: value for name, value in args.items() if not name.startswith("header.")}
    return {**others, "headers": {**others.get("headers", {}), **headers}} if headers else others


def kind_of(spec: str) -> tuple[ModelKind, str]:
    """The kind of a model string, and the address in it; raises ``UsageError`` as ``canonical`` does."""
    full = canonical(spec)
    prefix, _, address = full.partition(":")
    own = all(entry.name != prefix for entry in entries(ROLES["backend"]))
    entry = find("backend", full if own else prefix)
    part = entry.load()
    kind = part() if inspect.isclass(part) and issubclass(part, ModelKind) else OwnKind(entry)
    return kind, "" if own else address


def _check_arguments(make: Maker, args: Mapping[str, Any], spec: str, *, given: int) -> None:
    """An unknown argument is answered with the valid ones; the first ``given`` are already taken."""
    parameters = list(inspect.signature(make).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    valid = [p.name for p in parameters[given:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for name in args:
        if name not in valid:
            raise UsageError(
                f"the model {spec!r} has no argument {name!r}{nearest(name, valid)} (its arguments are "
                f"{', '.join(valid) or 'none'})"
            )


def _recorded_scores(file: str) -> RewardModel:
    from widthwise.evals.store.recorded_reward import RecordedRewardModel

    if Path(file).suffix != ".db":
        raise UsageError(f"recorded scores are read from run files: replay:RUN.db, not {file!r}")
    return RecordedRewardModel(file)


async def _replayed(
    file: str, *, tokenizer: str | None = None, model: str | Backend | None = None, importer: str | None = None
) -> Backend:
    from widthwise.replaying import replay

    model = await open_backend(model) if isinstance(model, str) else model
    return replay(file, tokenizer, model, importer)
