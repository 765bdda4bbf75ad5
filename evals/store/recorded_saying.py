"""What a run file says about how to separate its model's thinking from its speech; a file may say anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.prompting.saying import Saying
from widthwise.core.prompting.thinking import USUAL, Thinking

_LONGEST_MARK = 200
_MOST_TOKENS = 20_000


def record_of(saying: Saying) -> dict[str, Any]:
    """What a run file keeps, so that its traces are later read as they were when they were sampled."""
    return {
        "marks": [list(pair) for pair in saying.thinking.marks],
        "close": saying.thinking.close,
        "ends": list(saying.ends),
        "controls": sorted(saying.controls),
        **({"others": {name: record_of(other) for name, other in saying.others.items()}} if saying.others else {}),
    }


def saying_in(manifest: Mapping[str, Any]) -> Saying:
    """How to read the traces of a run; runs from before there was a record, and imports, have the usual marks.

    Raises ``UsageError`` for an entry that no run has written.
    """
    said = manifest.get("saying")
    if said is None:
        return Saying()
    others = said.get("others") if isinstance(said, dict) else None
    if not isinstance(others, dict):
        return _one(said)
    return _one(said).beside({name: _one(other) for name, other in others.items()})


def _one(said: Any) -> Saying:
    try:
        marks = tuple((_text(opening), _text(close)) for opening, close in said["marks"])
        thinking = Thinking(marks, close=_text(said["close"]) if said["close"] else "", empty="")
        ends, controls = (_texts(said[name]) for name in ("ends", "controls"))
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"the run file is damaged: it does not say how its model thinks ({error!r})") from None
    return Saying(thinking if marks else Saying().thinking, tuple(ends), frozenset(controls))


def marks_in(manifest: Mapping[str, Any]) -> Thinking | None:
    """The marks around the thinking of a run's model; None if the file says nothing, or only the usual."""
    thinking = saying_in(manifest).thinking
    return None if thinking.marks == USUAL.marks else thinking


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list) or len(values) > _MOST_TOKENS:
        raise TypeError("not a list of tokens")
    return [_text(value) for value in values]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_MARK:
        raise TypeError("not a text that marks anything")
    return value
