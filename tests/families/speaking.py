"""A backend that says a test's own texts, in the tokens of a real family and with its real template."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.core.scripted import Scripted
from tests.families.checkpoints import FAMILIES, Checkpoints
from widthwise.backends.model_facts import facts_in
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.core.backend import Request
from widthwise.core.prompting.profile import ModelProfile
from widthwise.models.profiles import profile_of

ours = lru_cache(tokenizer_from)  # the large vocabularies take seconds to load
THINKERS = ("deepseek-r1", "gpt-oss", "qwen3")
assert set(THINKERS) <= set(FAMILIES)

Reply = Callable[[str, int], str]
"""Maps a prompt's text and the number of the sibling to its reply; control tokens in the reply are real ones."""


class Speaking(Scripted):
    """The family whose checkpoint is in ``folder``; it answers prompts with ``reply``."""

    def __init__(self, folder: Path, reply: Reply, **options: Any) -> None:
        super().__init__([], **options)
        self.name = f"speaking:{folder.name}"
        self.facts = facts_in(folder, self.name)
        self.tokenizer = ours(folder)
        self._reply = reply

    @property
    def profile(self) -> ModelProfile:
        return profile_of(self.facts)

    def ids(self, request: Request) -> list[int]:
        return self.tokenizer.encode(self._reply(self.tokenizer.decode(request.prompt), request.index))


class Script:
    """How a family writes its thinking, its answer, and its end."""

    def __init__(self, checkpoints: Checkpoints, name: str) -> None:
        self.folder = checkpoints(name)
        self.tokenizer = ours(self.folder)
        self.profile = profile_of(facts_in(self.folder, name))
        self.end = self.tokenizer.decode([min(self.tokenizer.eos_ids, key=self._rank)])

    def _rank(self, token: int) -> tuple[bool, int]:
        """Prefers the end of the turn to the end of the text, as models do."""
        spelled = self.tokenizer.decode([token])
        return not any(word in spelled for word in ("im_end", "eot", "end_of_turn", "return")), token

    def thought(self, text: str, prompt: str) -> str:
        """Unclosed thinking; empty for a family that does not think."""
        thinking = self.profile.thinking
        if thinking is None:
            return ""
        return ("" if thinking.begun(prompt) else thinking.marks[0][0]) + text

    def whole(self, thought: str, said: str, prompt: str) -> str:
        """A whole reply, from its first token to its last."""
        thinking = self.profile.thinking
        closed = "" if thinking is None else self.thought(thought, prompt) + thinking.close
        return closed + said + self.end
