"""The ``path`` of a recorded sample: its account of the segments after the prompt, one entry each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from widthwise.core.trace.trace import Finish, TraceId
from widthwise.evals.store.segment_rows import parse, wait_of

Entry = Mapping[str, Any]

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "trace": str,
    "origin": str,
    "text": str,
    "token_ids": list,
    "tokens": int,
    "characters": int,
    "finish": str,
    "reason": str,
    "stop_token": int,
    "seed": int,
    "params": str,
    "sequential": int,
    "waited": str,
    "prompt_cached": int,
    "prompt_computed": int,
}
_NEEDED = {
    "prompt": ("trace", "text", "token_ids"),
    "sampled": ("trace", "tokens", "characters", "sequential"),
    "inserted": ("trace", "tokens", "characters", "sequential"),
}


def checked_path(entries: Any, text: str, tokens: int | None) -> tuple[Entry, ...]:
    """The entries without nulls, if they describe ``text`` and its ``tokens`` (None: unknown).

    Raises ``ValueError`` that says which entry is wrong.
    """
    if not isinstance(entries, list):
        raise ValueError('"path" is not a list')
    path = tuple(_checked(number, entry) for number, entry in enumerate(entries, 1))
    behind = [entry for entry in path if entry["origin"] != "prompt"]
    if path and (not behind or behind != list(path[-len(behind) :]) or len(path) - len(behind) > 1):
        raise ValueError('"path" has a prompt elsewhere than at its beginning, or nothing else')
    if path and sum(entry["characters"] for entry in behind) != len(text):
        raise ValueError('"path" does not add up to the characters of "text"')
    if path and tokens is not None and sum(entry["tokens"] for entry in behind) != tokens:
        raise ValueError('"path" does not add up to the tokens of the sample')
    _check_chain([parse(entry["trace"]) for entry in path], rooted=len(path) > len(behind))
    return path


def _checked(number: int, entry: Any) -> Entry:
    if not isinstance(entry, dict):
        raise ValueError(f"entry {number} of the path is not an object")
    known = {key: value for key, value in entry.items() if value is not None}
    needed = _NEEDED.get(str(known.get("origin")))
    if needed is None:
        raise ValueError(f"entry {number} of the path has no origin, or an unknown one")
    for key in needed:
        if key not in known:
            raise ValueError(f"entry {number} of the path has no {key!r}")
    for key, kind in _TYPES.items():
        value = known.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"entry {number} of the path: {key!r} is of the wrong type")
        if isinstance(value, int) and key != "stop_token" and not 0 <= value < 2**63:
            raise ValueError(f"entry {number} of the path: {key!r} is out of bounds")
    if "waited" in known:
        wait_of(known["waited"])
    if known.get("finish", "stop") not in get_args(Finish):
        raise ValueError(f"entry {number} of the path: {str(known['finish'])[:20]!r} is not a finish")
    if ("prompt_cached" in known) != ("prompt_computed" in known):
        raise ValueError(f"entry {number} of the path states only half of what its prompt cost")
    return known


def _check_chain(ids: Sequence[TraceId], *, rooted: bool) -> None:
    """Each entry must continue the one before, the first one the problem's own prompt."""
    before: TraceId = (0,)
    for number, trace in enumerate(ids, 1):
        if not (rooted and number == 1) and trace[:-1] != before:
            raise ValueError(f"entry {number} of the path does not continue the one before")
        before = trace
