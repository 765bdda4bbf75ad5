"""How model families mark their thinking; read from the chat template's own text if it is known."""

from __future__ import annotations

import re
from collections.abc import Collection

from widthwise.core.prompting.thinking import HARMONY_MARKS, Thinking

# Tags that a template writes around thinking: <think>, <seed:think>, <thought>, <reasoning>, [THINK].
_TAG = re.compile(r"(?:<|\[)/?((?:[a-z]{1,20}:)?think(?:ing)?|THINK|thought|reasoning)(?:>|\])")
_HARMONY = "<|channel|>"
_FINISHED = "Okay, I think I have finished thinking."
"""The text of thinking that is left out, verbatim as published (Ma et al., arXiv 2504.09858)."""
# Names of the template arguments that switch thinking off when they are false.
_SWITCHES = ("enable_thinking", "thinking")


def tagged(name: str = "think", brackets: str = "<>", switch: str | None = None) -> Thinking:
    """Thinking between ``<name>`` and ``</name>``; ``switch`` names the template's argument for it."""
    opening, close = f"{brackets[0]}{name}{brackets[1]}", f"{brackets[0]}/{name}{brackets[1]}"
    return Thinking(
        marks=((opening, close),),
        close=f"\n{close}\n\n",
        empty=f"{opening}\n\n{close}\n\n",
        finished=f"{opening}\n{_FINISHED}\n{close}\n\n",
        off={switch: False} if switch else {},
    )


THINK = tagged()
"""DeepSeek-R1 and most models since: the tags ``<think>`` and ``</think>``."""

HARMONY = Thinking(
    marks=HARMONY_MARKS,
    close="<|end|><|start|>assistant<|channel|>final<|message|>",
    empty="<|channel|>final<|message|>",
    finished=f"<|channel|>analysis<|message|>{_FINISHED}<|end|><|start|>assistant<|channel|>final<|message|>",
)
"""gpt-oss: an analysis in its own channel, then a final one that speaks to the reader."""


def thinking_in(template: str, arguments: Collection[str]) -> Thinking | None:
    """The thinking that a chat template's text shows, and its switch among the template's ``arguments``.

    None if the template shows none.
    """
    if _HARMONY in template:
        return HARMONY
    found = _TAG.search(template)
    if found is None:
        return None
    switches = [name for name in _SWITCHES if name in arguments]
    brackets = "[]" if found[0].startswith("[") else "<>"
    return tagged(found[1], brackets, switches[0] if switches else None)
