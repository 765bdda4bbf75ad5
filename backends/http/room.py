"""How much room a prompt leaves, in the words of a server that was asked for more than it has."""

from __future__ import annotations

import re

_CONTEXT = re.compile(r"context (?:length|size|window)\D{0,20}(\d{2,9})", re.IGNORECASE)
_PROMPT = re.compile(
    r"(\d{1,9}) (?:tokens )?(?:in|from|of|for) the (?:input )?(?:messages|prompt|input)"  # OpenAI, older vLLM, SGLang
    r"|has (\d{1,9}) input tokens"  # vLLM
    r"|(?:prompt|input|messages) (?:of|has|have|contains?|is) (\d{1,9}) tokens",
    re.IGNORECASE,
)
_LONGEST = 2000


def room_told(said: str, asked: int) -> int | None:
    """The tokens that a prompt leaves, read from a refusal of ``asked`` more; None if the prompt itself is too long."""
    context, prompt = _CONTEXT.search(said[:_LONGEST]), _PROMPT.search(said[:_LONGEST])
    if context is None or prompt is None:
        return None
    room = int(context[1]) - int(next(filter(None, prompt.groups())))
    return room if 0 < room < asked else None
