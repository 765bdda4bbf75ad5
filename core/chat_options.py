"""What a chat template receives besides the conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from widthwise.core.brief import Brief


@dataclass(frozen=True, slots=True)
class ChatOptions(Brief):
    """``arguments`` are the template's own arguments (``enable_thinking``, ``reasoning_effort`` ...).

    ``today`` is the date that templates print; None means the current date.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    today: date | None = None

    def changed(self, **arguments: Any) -> ChatOptions:
        """These options with some of the template's arguments changed."""
        return ChatOptions({**self.arguments, **arguments}, self.today)


NO_OPTIONS = ChatOptions()
