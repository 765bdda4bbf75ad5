"""What a client asks of a strategy, read from the body of its request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from widthwise.core.backend import SamplingParams
from widthwise.core.errors import UsageError
from widthwise.core.session.limits import Limits
from widthwise.serving.fields import Fields
from widthwise.serving.messages import Chat

_NUMBERS = ("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
_COUNTS = ("max_tokens", "top_k")
_LONGEST_ID = 512
_SEEDS = 2**63

_ONE = "must be 1: send the request again for another answer"
_CALLS = "is not supported: strategies call no tools"
_LOGPROBS = "is not supported: the answer of a strategy has no log-probabilities"
_NO_EFFECT: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), _ONE),
    "best_of": ((1,), _ONE),
    "logprobs": ((False,), _LOGPROBS),
    "top_logprobs": ((0,), _LOGPROBS),
    "logit_bias": (({},), "is not supported: it would apply to one model's tokens"),
    "tools": (([],), _CALLS),
    "tool_choice": (("none", "auto"), _CALLS),
    "parallel_tool_calls": ((True, False), _CALLS),
    "functions": (([],), _CALLS),
    "function_call": (("none", "auto"), _CALLS),
    "response_format": (({"type": "text"},), "must be text: strategies follow no schema"),
    "modalities": ((["text"],), "must be text"),
    "store": ((False,), "must be false: nothing is stored here"),
    "service_tier": (("auto", "default"), "must be auto or default"),
    "echo": ((False,), "must be false"),
    "suffix": (("",), "is not supported: a strategy does not continue texts"),
}
"""Parameters that ask for what no strategy does: the values that change nothing, and why others are refused."""
_LABELS = ("user", "safety_identifier", "prompt_cache_key")
"""Texts by which providers tell their users apart; nothing here depends on them."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request to the strategy ``model``.

    ``sampling`` are fields of ``SamplingParams``; all randomness comes from ``seed`` and ``problem``, an id (None: its
    own seed, and the id that ``solve`` uses). ``budget`` is what the request may cost. ``stream`` asks for events,
    ``counted`` for the usage at their end, ``progress`` for progress, sent as reasoning.
    """

    model: str
    chat: Chat
    sampling: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    problem: str | None = None
    budget: Limits = field(default_factory=Limits)
    stream: bool = False
    counted: bool = False
    progress: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any], chat: Callable[[Fields], Chat]) -> Query:
        """The request in a body, whose text ``chat`` reads; raises ``Refusal`` for anything not understood."""
        given = Fields(body)
        model = given.take("model", str, needed=True)
        for name, (harmless, why) in _NO_EFFECT.items():
            given.expect(name, harmless, why)
        for name in _LABELS:
            given.take(name, str)
        own = given.inner("widthwise")
        problem, seed = _identity(given)
        stream = given.take("stream", bool) or False
        options = given.inner("stream_options")
        query = cls(
            model,
            chat(given),
            _sampling(given),
            seed,
            problem,
            _budget(own.inner("budget")),
            stream,
            counted=options.take("include_usage", bool) or False,
            progress=own.take("progress", bool) or False,
        )
        options.take("include_obfuscation", bool)
        for each in (given, own, options):
            each.end()
        return query


def _identity(given: Fields) -> tuple[str | None, int | None]:
    """The problem's id and the seed; both may be in the metadata, whose other entries are the client's labels."""
    metadata, seed = given.inner("metadata"), given.take("seed", int)
    problem, named = metadata.take("problem", str), metadata.raw("seed")
    if problem is not None and not (0 < len(problem) <= _LONGEST_ID and problem.isprintable()):
        raise metadata.refusal("problem", f"must be 1 to {_LONGEST_ID} printable characters")
    if named is not None:
        if not str(named).removeprefix("-").isdecimal() or len(str(named)) > 20:
            raise metadata.refusal("seed", "must be a whole number")
        if seed is not None and seed != int(named):
            raise metadata.refusal("seed", f"is {named}, and the parameter seed is {seed}: give one of them")
        seed = int(named)
    if seed is not None and not -_SEEDS <= seed < 2 * _SEEDS:
        raise given.refusal("seed", "must fit in 64 bits")
    return problem, seed


def _sampling(given: Fields) -> dict[str, Any]:
    """The sampling parameters, each checked separately."""
    found = {name: given.take(name, float) for name in _NUMBERS} | {name: given.take(name, int) for name in _COUNTS}
    longest = given.take("max_completion_tokens", int)
    if longest is not None:
        if found["max_tokens"] not in (None, longest):
            raise given.refusal("max_tokens", "differs from max_completion_tokens: give one of them")
        found["max_tokens"] = longest
    found["stop"] = _stops(given)
    known = {name: value for name, value in found.items() if value is not None}
    for name, value in known.items():
        try:
            SamplingParams().changed(**{name: value})
        except UsageError as error:
            raise given.refusal(name, f"does not fit: {error}") from None
    return known


def _stops(given: Fields) -> tuple[str, ...] | None:
    value = given.raw("stop")
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(each, str) for each in stops) or len(stops) > 16:
        raise given.refusal("stop", "must be a text or a list of at most 16 texts")
    return tuple(stops) or None


def _budget(given: Fields) -> Limits:
    limits = {f.name: given.take(f.name, float if f.name in ("seconds", "flops") else int) for f in fields(Limits)}
    for name, value in limits.items():
        if value is not None and value <= 0:
            raise given.refusal(name, "must be above 0")
    given.end()
    return Limits(**limits)


def within(asked: Limits, most: Limits) -> Limits:
    """``asked``, limited by ``most``."""
    allowed = asdict(most)
    pairs = {name: [v for v in (value, allowed[name]) if v is not None] for name, value in asdict(asked).items()}
    return Limits(**{name: min(values) for name, values in pairs.items() if values})


def beyond(asked: Limits, most: Limits) -> str | None:
    """The first limit in which ``asked`` exceeds ``most``; None if there is none."""
    allowed = asdict(most)
    found = (n for n, v in asdict(asked).items() if v is not None and allowed[n] is not None and v > allowed[n])
    return next(found, None)
