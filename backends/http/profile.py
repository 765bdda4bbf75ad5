"""What a server is and can do, as one value."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from widthwise.backends.notes import Notes
from widthwise.core.backend import Capabilities
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError

DialectName = Literal["token_ids", "text", "chat"]
"""How a server is addressed: in token ids, in text, or in messages."""
Prefix = Literal["continue_final_message", "prefix", "assistant"]
"""How a chat server is asked to continue the assistant's last message: by vLLM's parameter, by a mark in the message
itself (DeepSeek, Mistral), or just by its place at the end.
"""


@dataclass(frozen=True, slots=True)
class ServerProfile(Brief):
    """One server, described once, when it is opened.

    ``model`` is the name under which it serves the model, ``root`` where it loaded it from; ``kind`` is the program, if
    it can be told. ``template`` is the model's chat template as the server has it, with the texts of the tokens it may
    name; ``bos`` is what the server itself puts before a text. ``continues``: it continues a partial text, and for a
    chat server ``prefix`` says how to ask for it. ``cached_tokens``: it reports what its prefix cache held.
    ``priorities``: it orders requests by them. ``refused`` are parameters that it does not take.
    """

    model: str
    root: str | None = None
    dialect: DialectName = "text"
    kind: str | None = None
    version: str | None = None
    max_model_len: int | None = None
    template: str | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    bos: str = ""
    continues: bool = True
    prefix: Prefix | None = None
    cached_tokens: bool = False
    logprobs: bool = False
    priorities: bool = False
    refused: frozenset[str] = frozenset()

    @property
    def token_ids(self) -> bool:
        return self.dialect == "token_ids"

    @property
    def identity(self) -> dict[str, Any]:
        """The parts of it that decide a run's results."""
        known = {"model": self.model, "root": self.root, "dialect": self.dialect}
        if self.template is None:
            return known
        return {**known, "template": hashlib.sha256(self.template.encode()).hexdigest()[:12]}

    @property
    def record(self) -> dict[str, Any]:
        """All of it except the template's text, for the run's manifest."""
        return {
            **self.identity,
            "kind": self.kind,
            "engine": self.version,
            "max_model_len": self.max_model_len,
            "token_ids": self.token_ids,
            "continues": self.continues,
            "prefix": self.prefix,
            "cached_tokens": self.cached_tokens,
            "logprobs": self.logprobs,
            "priorities": self.priorities,
            "refused": sorted(self.refused),
        }

    def __str__(self) -> str:
        program = " ".join(filter(None, (self.kind or "an unknown server", self.version)))
        root = f" ({self.root})" if self.root not in (None, self.model) else ""
        context = "unknown context" if self.max_model_len is None else f"context {self.max_model_len:,}"
        takes = {"continues texts": self.continues, "log-probabilities": self.logprobs, "seeds": self.takes("seed")}
        can = [what if able else f"no {what}" for what, able in takes.items()]
        can[0] = "continues texts" if self.continues else "continues no text"
        return f"{self.model}{root} on {program}, in {_WORDS[self.dialect]}, {context}, {', '.join(can)}"

    def takes(self, parameter: str) -> bool:
        return parameter not in self.refused


_WORDS = {"token_ids": "token ids", "text": "text", "chat": "messages"}
_TOGETHER = ("max_model_len", "cached_tokens", "logprobs", "continues", "priorities")


def dialect_named(name: str) -> DialectName:
    """Raises ``UsageError`` for an unknown dialect."""
    for known in get_args(DialectName):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"there is no dialect {name!r}; it is one of {', '.join(get_args(DialectName))}")


def prefix_named(name: str) -> Prefix:
    """Raises ``UsageError`` for an unknown way to continue."""
    for known in get_args(Prefix):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"no chat server continues by {name!r}; it is one of {', '.join(get_args(Prefix))}")


def common(infos: Sequence[ServerProfile]) -> ServerProfile:
    """What all servers of a pool can do."""
    lengths = [info.max_model_len for info in infos if info.max_model_len is not None]
    return replace(
        infos[0],
        max_model_len=min(lengths, default=None),
        cached_tokens=all(info.cached_tokens for info in infos),
        logprobs=all(info.logprobs for info in infos),
        continues=all(info.continues for info in infos),
        priorities=all(info.priorities for info in infos),
        refused=frozenset().union(*(info.refused for info in infos)),
    )


def together(one: ServerProfile, shared: ServerProfile) -> ServerProfile:
    """One server of a pool as it is used: as its own program, for what all of them can do."""
    return replace(one, **{name: getattr(shared, name) for name in _TOGETHER})


def compare(shared: ServerProfile, infos: Sequence[ServerProfile], notes: Notes) -> None:
    """Note what some servers of a pool can do but not all."""
    for name in _TOGETHER:
        if any(getattr(info, name) != getattr(shared, name) for info in infos):
            notes.warn(f"the servers differ in {name}: {getattr(shared, name)} is assumed for all")
    if shared.token_ids and not shared.cached_tokens:
        notes.warn("cached prompt tokens are not reported and count as computed (--enable-prompt-tokens-details)")


def capabilities(profile: ServerProfile) -> Capabilities:
    # 20 is the usual limit of these programs and of chat servers, 5 that of others.
    most = 20 if profile.dialect != "text" or profile.kind in ("vLLM", "SGLang", "llama.cpp") else 5
    return Capabilities(
        token_ids=profile.token_ids,
        seeds=profile.takes("seed"),
        logprobs=profile.logprobs,
        max_logprobs=most if profile.logprobs and profile.takes("top_logprobs") else 0,
        prompt_logprobs=profile.token_ids,
        cached_tokens=profile.token_ids and profile.cached_tokens,
        stop_token_ids=profile.token_ids,
        continues=profile.continues,
    )
