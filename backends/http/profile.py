"""What a server is and can do, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from widthwise.backends.notes import Notes
from widthwise.core.backend import Capabilities


@dataclass(frozen=True, slots=True)
class ServerProfile:
    """``root`` is where the server has the model from; ``token_ids`` whether it takes and gives token ids."""

    model: str
    root: str | None
    max_model_len: int | None
    version: str | None
    token_ids: bool
    cached_tokens: bool
    logprobs: bool
    priorities: bool


def common(infos: Sequence[ServerProfile]) -> ServerProfile:
    """What all servers of a pool can do."""
    lengths = [info.max_model_len for info in infos if info.max_model_len is not None]
    return replace(
        infos[0],
        max_model_len=min(lengths, default=None),
        token_ids=all(info.token_ids for info in infos),
        cached_tokens=all(info.cached_tokens for info in infos),
        logprobs=all(info.logprobs for info in infos),
        priorities=all(info.priorities for info in infos),
    )


def compare(shared: ServerProfile, infos: Sequence[ServerProfile], notes: Notes) -> None:
    """Note what some server of a pool could do and all together cannot."""
    for name in ("max_model_len", "token_ids", "cached_tokens", "logprobs", "priorities"):
        if any(getattr(info, name) != getattr(shared, name) for info in infos):
            notes.warn(f"the servers differ in {name}: {getattr(shared, name)} is taken for all")
    if shared.token_ids and not shared.cached_tokens:
        notes.warn("cached prompt tokens are not reported and count as computed (--enable-prompt-tokens-details)")


def capabilities(info: ServerProfile) -> Capabilities:
    # 20 and 5 are the usual limits of vLLM's and of other servers.
    most = 20 if info.token_ids else 5
    return Capabilities(
        token_ids=info.token_ids,
        logprobs=bool(info.logprobs),
        max_logprobs=most if info.logprobs else 0,
        prompt_logprobs=info.token_ids,
        cached_tokens=info.token_ids and info.cached_tokens,
        stop_token_ids=info.token_ids,
    )
