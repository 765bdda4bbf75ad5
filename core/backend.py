"""The contract between the session and whatever turns token ids into sampled tokens."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from widthwise.core.brief import Brief
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.conversation import Conversation
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import well_formed

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class SamplingParams(Brief):
    """How tokens are drawn; the field's names and meanings.

    ``max_tokens`` None means "to the end of the context". ``top_k`` 0 and ``top_p`` 1 and ``min_p`` 0 switch
    the filter off; ``temperature`` 0 is greedy. ``repetition_penalty`` divides the scores of tokens that prompt or
    output hold (multiplies negative ones); ``presence_penalty`` is taken off the scores of tokens that the output of
    this request holds, ``frequency_penalty`` as often as it holds them. ``logprobs`` None asks for none, 0 for the
    sampled token's only, k for the k most likely ones besides; they are raw (before penalties, temperature and
    filters), natural logarithms. ``prompt_logprobs`` likewise for the prompt's tokens. ``stop`` strings and the tokens
    that complete them stay in the output; so do ``stop_token_ids`` and the end-of-sequence token.
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
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if not 0 <= self.temperature < math.inf:
            raise ValueError(f"temperature must be at least 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], not {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be at least 0, not {self.top_k}")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must be in [0, 1], not {self.min_p}")
        if not 0 < self.repetition_penalty < math.inf:
            raise ValueError(f"repetition_penalty must be above 0, not {self.repetition_penalty}")
        for name, penalty in (("presence", self.presence_penalty), ("frequency", self.frequency_penalty)):
            if not -2 <= penalty <= 2:
                raise ValueError(f"{name}_penalty must be in [-2, 2], not {penalty}")
        for name, k in (("logprobs", self.logprobs), ("prompt_logprobs", self.prompt_logprobs)):
            if k is not None and k < 0:
                raise ValueError(f"{name} must be at least 0, not {k}")
        object.__setattr__(self, "stop", tuple(map(well_formed, self.stop)))
        if any(not s for s in self.stop):
            raise ValueError("an empty stop string would stop at once")

    @property
    def penalised(self) -> bool:
        """Whether any of the penalties is on."""
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0

    def changed(self, **changes: Any) -> SamplingParams:
        """These parameters with some changed; None changes nothing, and ``stop`` may be a single string.

        Raises ``UsageError`` for an unknown name or an impossible value.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        if isinstance(given.get("stop"), str):
            given["stop"] = (given["stop"],)
        try:
            return replace(self, **given)
        except (TypeError, ValueError) as error:
            raise UsageError(f"these sampling parameters do not fit: {error}") from None


@dataclass(frozen=True, slots=True)
class Request(Brief):
    """One continuation of one exact token sequence.

    ``prompt`` are the token ids to continue, ``int64 [length]``. ``problem`` is the id of the problem (a
    replay finds its recording by it; a pool of servers keeps a problem on one server), ``index`` the position
    among the siblings drawn from the same prompt, ``continues`` the index of the request that this one goes on with.
    ``seed`` is 63 bits wide; with equal seeds a deterministic
    backend gives equal tokens. ``priority`` orders waiting requests, lower first; requests that share a prefix
    share it. ``chunk`` is a hint: how many tokens the consumer would like in one delta. ``conversation`` is what the
    prompt was made from, for backends that are asked in messages; None for a prompt that was made from none.
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

    ``logprobs`` ``float32 [t]`` of the tokens themselves; ``top_ids`` ``int64 [t, k]`` and ``top_logprobs``
    ``float32 [t, k]`` of the k most likely ones in falling order, where they were asked for.
    """

    logprobs: FloatArray
    top_ids: IntArray | None = None
    top_logprobs: FloatArray | None = None

    def part(self, tokens: slice) -> TokenStats:
        """The statistics of some of the tokens."""
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
    ``stop_reason``; None is the end-of-sequence token) or "length". ``usage`` and ``prompt_stats`` come with
    some delta, at the latest with the last. ``prompt_stats`` covers prompt positions 1..length-1 (the first
    token has no probability). ``metadata`` is what a recording knows about its sample (``reward`` ...).
    ``anew``: the answer begins again, and what came before this delta is abandoned.
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

    ``token_ids``: real token ids of the model's tokenizer (otherwise a reversible approximation).
    ``seeds``: equal seeds give equal tokens in an idle engine. ``deterministic``: equal bytes whatever the
    batch neighbours, and a request advances only while its deltas are awaited. ``logprobs``: sampled tokens come with
    their log-probabilities. ``max_logprobs``: largest k.
    ``cached_tokens``: usage tells cached from computed prompt tokens. ``continues``: an answer that was begun can be
    continued; otherwise conversations are answered, and an answer that breaks off begins again.
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
    """Text to token ids and back. ``decode(encode(text)) == text``, control tokens spelled out.

    ``encode`` maps spelled-out control tokens (a tag of the model's vocabulary) to their ids and adds no
    begin-of-sequence token; what ``literal`` has guarded stays text. ``controls`` are the control tokens, which mark
    turns and ends and are no part of what a model says, by their spelling; empty where they are not known.
    ``bos_id`` is the begin-of-sequence token, None for a model without.
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

        ``messages`` are ``{"role": "system" | "user" | "assistant", "content": text}``. If the last one is
        the assistant's, it is left open, to be continued.
        """
        ...


@runtime_checkable
class LearningTokenizer(Protocol):
    """A tokenizer without a vocabulary: it spells only pieces that it was shown."""

    def learn(self, text: str, ends: IntArray) -> None:
        """Know the pieces that an earlier process cut ``text`` into; they end at the characters ``ends``."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A backend that knows better than its context's length how long the answer to a request may get at most."""

    def longest(self, request: Request) -> int | None:
        """A bound in tokens; None where there is none."""
        ...


class Backend(Protocol):
    """What turns token ids into sampled tokens.

    ``generate`` streams deltas; closing the iterator (``aclose``, or cancelling the task that awaits it)
    aborts the request, and no token is sampled for it afterwards but those of the decoding step in flight.
    It raises ``BackendError`` (``retryable`` where sending again can help) and ``PromptTooLong``.
    ``describe`` goes to the run's manifest: model, engine and version, notes on what is not reproducible.
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
