"""Parameters that a server refuses by name: from then on left out, or sent under the server's name for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from widthwise.backends.http.statuses import StatusError
from widthwise.backends.notes import Notes
from widthwise.core.plain_json import parse

_STATUSES = frozenset({400, 422})
_NEEDED = frozenset({"model", "prompt", "messages", "stream", "return_token_ids", "prompt_logprobs", "stop_token_ids"})
"""Without these, a request would not be the same request."""
_CONTINUING = frozenset({"continue_final_message", "add_generation_prompt", "chat_template_kwargs", "reasoning_effort"})
_OTHER_NAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_TOGETHER = {"logprobs": ("top_logprobs",), "repetition_penalty": ("repeat_penalty",)}
_NEUTRAL: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Values that change nothing when left to a server that has no such parameter."""
_SETTINGS = frozenset({*_NEUTRAL, "top_k", "seed", "max_tokens"})
"""What users and strategies choose; nothing else is missed if it is left out."""


class Refusals:
    """What one server does not take; ``names`` are the parameters as they were first sent."""

    def __init__(self, notes: Notes, url: str) -> None:
        self._notes, self._url = notes, url
        self._instead: dict[str, Any] = {}
        self._lost: set[str] = set()

    @property
    def names(self) -> frozenset[str]:
        """The parameters that are left out."""
        return frozenset(name for name, instead in self._instead.items() if instead is None)

    def heeded(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``body`` in the form that the server takes."""
        sent: dict[str, Any] = {}
        for name, value in body.items():
            instead = self._instead.get(name, name)
            if instead == "top_k" and value == 0 and "top_k" in self._instead:
                sent[name] = -1
            elif instead is not None:
                sent[instead] = value
            elif not _is_neutral(name, value):
                self._tell_of_lost(name, value)
        return sent

    def learn(self, body: Mapping[str, Any], error: StatusError, needed: frozenset[str]) -> bool:
        """Whether the server refused a parameter of ``body`` that is not essential; it is noted once.

        ``needed`` are parameters that the strategy depends on.
        """
        if error.status not in _STATUSES:
            return False
        said = {old: new for new, old in self._instead.items() if isinstance(old, str)}
        for name in _named(error.body, body):
            original = said.get(name, name)
            if original in _NEEDED | _CONTINUING | needed or self._instead.get(original, "") is None:
                continue
            self._refuse(original, body[name], error)
            return True
        return False

    def _refuse(self, name: str, value: Any, error: StatusError) -> None:
        if name in _OTHER_NAMES and name not in self._instead:
            self._instead[name] = _OTHER_NAMES[name]
            self._notes.tell(f"{self._url} takes {_OTHER_NAMES[name]} in place of {name}")
            return
        if name == "top_k" and value == 0 and name not in self._instead:
            self._instead[name] = name
            return
        for each in (name, *_TOGETHER.get(name, ())):
            self._instead[each] = None
        self._notes.tell(f"{self._url} refuses {name}, which is left out from now on ({error})")

    def _tell_of_lost(self, name: str, value: Any) -> None:
        """Report once which requested setting has no effect."""
        if name not in self._lost:
            self._lost.add(name)
            self._notes.warn(f"{self._url} does not take {name}={value}: its own {name} applies")


def _is_neutral(name: str, value: Any) -> bool:
    return name not in _SETTINGS or value in (_NEUTRAL.get(name), None, [], -1)


def _named(said: str, body: Mapping[str, Any]) -> list[str]:
    """The parameters of ``body`` that an error names, first in its field for the name, then in its words."""
    places = [name for name in _places(said) if name in body]
    words = set(re.findall(r"\w+", said[:4000]))
    return [*places, *sorted((name for name in body if name in words and name not in places), key=len, reverse=True)]


def _places(said: str) -> list[str]:
    """OpenAI's ``param``, and where pydantic found the fault (``loc``)."""
    try:
        content: Any = parse(said, finite=False)
    except ValueError:
        return []
    found: list[str] = []
    waiting = [content]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("param"), str):
                found.append(node["param"])
            if isinstance(node.get("loc"), list):
                found += [str(part) for part in node["loc"]]
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found
