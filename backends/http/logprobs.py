"""Log-probabilities as servers write them, read into statistics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from widthwise.core.backend import TokenStats

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a piece of an answer says of its tokens: their texts, log-probabilities, and most likely alternatives."""

    tokens: list[str]
    own: list[float | None]
    tops: list[dict[str, float]]

    def behind(self, mark: str) -> Listed:
        """The same tokens with ``mark`` prepended to the first one's text, as a part of it."""
        first, *others = self.tokens
        return Listed([mark + first, *others], self.own, self.tops)

    def spelling(self, text: str) -> Listed | None:
        """The tokens that make up ``text``, without listed tokens that the server omits from it: control tokens.

        None if the text is different.
        """
        at, kept = 0, []
        for place, token in enumerate(self.tokens):
            if text.startswith(token, at):
                at += len(token)
                kept.append(place)
        if at < len(text):
            return None
        own, tops = ([values[i] for i in kept if i < len(values)] for values in (self.own, self.tops))
        return Listed([self.tokens[i] for i in kept], own, tops)  # type: ignore[arg-type]

    def stats(self, keep: int, k: int | None, id_of: Callable[[str], int | None]) -> TokenStats | None:
        """Statistics of the first ``keep`` tokens with the ``k`` most likely ones; None if none are wanted.

        ``id_of`` gives a token's id by its name, None for one that has none.
        """
        if k is None or not self.own:
            return None
        tops = [{id_of(token): p for token, p in top.items()} for top in self.tops[:keep]] if k else []
        known = [{token: p for token, p in top.items() if token is not None} for top in tops]
        return with_tops(self.own[:keep], known, k)


def listed(logprobs: Any) -> Listed | None:
    """What ``logprobs`` of a choice list, in the form of completions or of chat; None for anything else."""
    if not isinstance(logprobs, dict):
        return None
    found = _of_chat(logprobs["content"]) if isinstance(logprobs.get("content"), list) else _of_completions(logprobs)
    if found is None and any(logprobs.values()):
        _log.warning("the server's log-probabilities have an unknown form and are left out")
    return found


def _of_completions(logprobs: Mapping[str, Any]) -> Listed | None:
    """``{"tokens": [...], "token_logprobs": [...], "top_logprobs": [{...}, ...]}``"""
    tokens, own, tops = (logprobs.get(name) or [] for name in ("tokens", "token_logprobs", "top_logprobs"))
    if not (_all(tokens, str) and _all(own, float, int, type(None)) and len(own) in (0, len(tokens)) and tokens):
        return None
    named = [top if isinstance(top, dict) else {} for top in (tops if isinstance(tops, list) else [])]
    return Listed(tokens, own, [{t: p for t, p in top.items() if isinstance(p, float | int)} for top in named])


def _of_chat(content: Sequence[Any]) -> Listed | None:
    """``[{"token": ..., "logprob": ..., "bytes": [...], "top_logprobs": [{"token": ..., "logprob": ...}, ...]}]``"""
    entries = [entry for entry in content if isinstance(entry, dict)]
    own = [entry.get("logprob") for entry in entries]
    if len(entries) < len(content) or not entries or not _all(own, float, int):
        return None
    tops = [entry.get("top_logprobs") or [] for entry in entries]
    return Listed(_texts(entries), own, [_named(top) for top in tops])


def _named(top: Any) -> dict[str, float]:
    pairs = [(e.get("token"), e.get("logprob")) for e in top if isinstance(e, dict)] if isinstance(top, list) else []
    return {token: p for token, p in pairs if isinstance(token, str) and isinstance(p, float | int)}


def _texts(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tokens' texts, from their bytes if given: a character of several tokens belongs to the last of them."""
    texts, begun = [], b""
    for entry in entries:
        octets = entry.get("bytes")
        if not (isinstance(octets, list) and all(isinstance(b, int) and 0 <= b < 256 for b in octets)):
            texts.append(str(entry.get("token", "")))
            continue
        begun += bytes(octets)
        try:
            text, begun = begun.decode(), b""
        except UnicodeDecodeError:
            text = ""
        texts.append(text)
    return texts


def _all(values: Any, *kinds: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kinds) for value in values)


def with_tops(own: Sequence[float | None], tops: Sequence[Mapping[int, float]], k: int) -> TokenStats:
    """Statistics with the ``k`` best of each position's ``{id: logprob}``, if every position has that many."""
    logprobs = np.array([np.nan if p is None else p for p in own], np.float32)
    if k == 0:
        return TokenStats(logprobs)
    if len(tops) < len(own) or any(len(top) < k for top in tops):
        _log.debug("the server gave fewer than %d most likely tokens somewhere: they are left out", k)
        return TokenStats(logprobs)
    best = [sorted(top.items(), key=lambda entry: -entry[1])[:k] for top in tops]
    ids = np.array([[token for token, _ in row] for row in best], np.int64).reshape(-1, k)
    return TokenStats(logprobs, ids, np.array([[p for _, p in row] for row in best], np.float32).reshape(-1, k))
