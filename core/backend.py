"""The contract between the session and whatever turns token ids into sampled tokens."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

from widthwise.core.arguments import ArgumentError, check_types, names_of, whole
from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.brief import Brief
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.conversation import Conversation
from widthwise.core.plain_json import well_formed

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class SamplingParams(Brief):
    """How tokens are drawn.

    ``max_tokens`` None means "to the end of the context". ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 switch the filter
    off; ``temperature`` 0 is greedy. ``repetition_penalty`` divides the scores of tokens that occur in the prompt or
    the output (and multiplies negative scores). ``presence_penalty`` is subtracted once from the score of every token
    in this request's output, ``frequency_penalty`` once per occurrence. ``logprobs`` None asks for no
    log-probabilities, 0 for the sampled token's only, k for those of the k most likely tokens too. They are raw (before
    penalties, temperature and filters) natural logarithms. ``prompt_logprobs`` asks for the same on the prompt's
    tokens. ``stop`` strings (or a single one) and the tokens that complete them stay in the output, and so do
    ``stop_token_ids`` and the end-of-sequence token. Raises ``UsageError`` for an impossible value.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = 0
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", _texts(self.stop))
        object.__setattr__(self, "stop_token_ids", _ids(self.stop_token_ids))
        check_types(type(self), {name: getattr(self, name) for name in names_of(type(self))})
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ArgumentError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not 0 <= self.temperature < math.inf:
            raise ArgumentError(f"temperature must be at least 0 and finite, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ArgumentError(f"top_p must be in (0, 1], not {self.top_p}")
        if self.top_k < 0:
            raise ArgumentError(f"top_k must be at least 0, not {self.top_k}")
        if not 0 <= self.min_p <= 1:
            raise ArgumentError(f"min_p must be in [0, 1], not {self.min_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise ArgumentError(f"repetition_penalty must be above 0, not {self.repetition_penalty}")
        for name, penalty in (("presence", self.presence_penalty), ("frequency", self.frequency_penalty)):
            if not -2 <= penalty <= 2:
                raise ArgumentError(f"{name}_penalty must be in [-2, 2], not {penalty}")
        for name, k in (("logprobs", self.logprobs), ("prompt_logprobs", self.prompt_logprobs)):
            if k is not None and k < 0:
                raise ArgumentError(f"{name} must be at least 0, not {k}")
        if any(not s for s in self.stop):
            raise ArgumentError("an empty stop string would stop at once")

    @property
    def penalised(self) -> bool:
        """Whether any penalty is on."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0

    def changed(self, **changes: Any) -> SamplingParams:
        """These parameters with some changed. None leaves a value as it is.

        Raises ``UsageError`` for an unknown name or an impossible value.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        try:
            return replace(self, **given)
        except TypeError as error:
            raise ArgumentError(f"these sampling parameters are not valid: {error}") from None


def _texts(stop: Any) -> tuple[str, ...]:
    texts = [stop] if isinstance(stop, str) else list(stop) if isinstance(stop, Iterable) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise ArgumentError(f"stop must be a text or a list of texts, not {stop!r:.60}")
    return tuple(map(well_formed, texts))


def _ids(tokens: Any) -> tuple[int, ...]:
    if isinstance(tokens, str) or not isinstance(tokens, Iterable):
        raise ArgumentError(f"stop_token_ids must be a list of whole numbers, not {tokens!r:.60}")
    return tuple(whole(token, "a token of stop_token_ids", 0) for token in tokens)


@dataclass(frozen=True, slots=True)
class Request(Brief):
    """One continuation of one exact token sequence.

    ``prompt`` holds the token ids to continue, ``int64 [length]``. ``problem`` is the problem's id (a replay finds its
    recording by it; a pool keeps a problem on one server). ``index`` is the position among the siblings drawn from the
    same prompt, ``continues`` the index of the request that this one carries on. ``seed`` has 63 bits; with equal seeds
    a deterministic backend gives equal tokens. ``priority`` orders waiting requests, lowest first; requests that share
    a prefix have the same priority. ``chunk`` is a hint: how many tokens the consumer would like per delta.
    ``conversation`` is the conversation that the prompt was made from, for backends that take messages; None if there
    was none.
    """

    prompt: IntArray
    params: SamplingParams
    seed: int
    problem: str = ""
    index: int = 0
    priority: int = 0
    chunk: int = 16
    conversation: Conversation | None = None
    continues: int | None = None


@dataclass(frozen=True, slots=True)
class TokenStats(Brief):
    """Statistics of a run of tokens, aligned with its token ids.

    ``logprobs`` ``float32 [t]`` are those of the tokens themselves. ``top_ids`` ``int64 [t, k]`` and ``top_logprobs``
    ``float32 [t, k]`` are those of the k most likely tokens, most likely first, if requested.
    """

    logprobs: FloatArray
    top_ids: IntArray | None = None
    top_logprobs: FloatArray | None = None

    def part(self, tokens: slice) -> TokenStats:
        """The statistics of a slice of the tokens."""
        top_ids = None if self.top_ids is None else self.top_ids[tokens]
        top_logprobs = None if self.top_logprobs is None else self.top_logprobs[tokens]
        return TokenStats(self.logprobs[tokens], top_ids, top_logprobs)


@dataclass(frozen=True, slots=True)
class Usage(Brief):
    """What serving a prompt cost: tokens found in the engine's prefix cache, and tokens computed."""

    prompt_cached: int
    prompt_computed: int


@dataclass(frozen=True, slots=True)
class Delta(Brief):
    """Newly sampled tokens of one request, ``int64 [t]``, t >= 0.

    ``finish`` is set on the last delta only: "stop" (end-of-sequence, a stop token or a stop string, named by
    ``stop_reason``; None is the end-of-sequence token) or "length". ``usage`` and ``prompt_stats`` come with some
    delta, at the latest with the last. ``prompt_stats`` covers prompt positions 1..length-1 (the first token has no
    probability). ``metadata`` is what a recording stores about its sample (``reward`` ...). ``anew`` says that the
    answer starts over: everything before this delta is abandoned.
    """

    token_ids: IntArray
    stats: TokenStats | None = None
    finish: FinishReason | None = None
    stop_reason: str | int | None = None
    usage: Usage | None = None
    prompt_stats: TokenStats | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities(Brief):
    """What a backend can do; strategies and the conformance tests ask instead of guessing.

    ``token_ids``: real token ids of the model's tokenizer (otherwise a reversible approximation). ``seeds``: equal
    seeds give equal tokens in an idle engine. ``deterministic``: equal bytes whatever else is in the batch, and a
    request advances only while its deltas are awaited. ``logprobs``: sampled tokens come with their log-probabilities.
    ``max_logprobs``: largest k. ``cached_tokens``: usage distinguishes cached from computed prompt tokens.
    ``continues``: a partial answer can be continued; otherwise the backend answers conversations, and an interrupted
    answer starts over.
    """

    token_ids: bool = True
    seeds: bool = True
    deterministic: bool = False
    logprobs: bool = True
    max_logprobs: int = 0
    prompt_logprobs: bool = False
    cached_tokens: bool = True
    stop_token_ids: bool = True
    continues: bool = True


class Tokenizer(Protocol):
    """Text to token ids and back. ``decode(encode(text)) == text``, with control tokens spelled out.

    ``encode`` maps spelled-out control tokens (a tag of the model's vocabulary) to their ids and adds no
    begin-of-sequence token; text that ``literal`` has guarded stays text. ``controls`` are the control tokens by their
    spelling: they mark turns and ends and are no part of what the model says. Empty if unknown. ``bos_id`` is the
    begin-of-sequence token, None for a model without one.
    """

    eos_ids: frozenset[int]

    @property
    def bos_id(self) -> int | None: ...

    @property
    def controls(self) -> Mapping[str, int]: ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int] | IntArray) -> str: ...

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        """Token ids of a conversation in the model's chat format, ready for the assistant's turn.

        ``messages`` are ``{"role": "system" | "user" | "assistant", "content": text}``. If the last message is the
        assistant's, it is left open so that the model continues it.
        """
        ...


@runtime_checkable
class LearningTokenizer(Protocol):
    """A tokenizer without a vocabulary: it can encode only the pieces it has been shown."""

    def learn(self, text: str, ends: IntArray) -> None:
        """Learn the pieces into which an earlier process cut ``text``; they end at the character positions ``ends``."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A backend that knows a tighter bound on an answer's length than its context length."""

    def longest(self, request: Request) -> int | None:
        """A bound in tokens on the answer to ``request``; None if there is none."""
        ...


class Backend(Protocol):
    """What turns token ids into sampled tokens.

    ``generate`` streams deltas. Closing the iterator (``aclose``, or cancelling the task that awaits it) aborts the
    request; only the decoding step in flight may still sample tokens for it. It raises ``BackendError`` (``retryable``
    if sending again can help) and ``PromptTooLong``. ``describe`` goes into the run's manifest: model, engine and
    version, notes on what is not reproducible.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def name(self) -> str: ...

    @property
    def max_model_len(self) -> int | None: ...

    def generate(self, request: Request) -> AsyncIterator[Delta]: ...

    def describe(self) -> Mapping[str, Any]: ...

    async def close(self) -> None: ...
