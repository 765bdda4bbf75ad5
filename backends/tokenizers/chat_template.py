"""Chat templates of Hugging Face checkpoints, rendered without the transformers library."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import meta

from widthwise.backends.tokenizers.renderer import RENDERER
from widthwise.backends.tokenizers.template_worker import template_environment
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.errors import UsageError
from widthwise.core.file_bytes import file_bytes
from widthwise.core.plain_json import parse

_log = logging.getLogger(__name__)

Messages = Sequence[Mapping[str, str]]

# <|im_end|>, DeepSeek's with its own bars, <end_of_turn>, [/INST].
_CONTROL = re.compile(
    r"<\|[^|<>\s'\"{}]{1,40}\|>|<\uff5c[^\uff5c<>\s'\"{}]{1,60}\uff5c>|<[a-z]{1,12}_of_[a-z]{1,12}>|\[/?[A-Z_]{3,24}\]"
)
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
_GIVEN = frozenset({"messages", "add_generation_prompt", "tools", "documents", *_SPECIAL_TOKENS})
# Put after an open assistant turn to cut there: whatever a template writes after the content is removed with it.
_CUT = "\ue000widthwise-open-turn\ue000"


class ChatTemplate:
    """One model's chat format: a Jinja template by the Hugging Face conventions.

    ``special_tokens`` are the texts a template may name: ``{"bos_token": "<s>", ...}``. ``arguments`` are the other
    names that it takes from its caller (``enable_thinking`` ...). Raises ``UsageError`` for an invalid template.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        self.source = source
        self.special_tokens = dict(special_tokens or {})
        self.arguments = _arguments(source)

    @classmethod
    def from_folder(cls, path: str | Path) -> ChatTemplate | None:
        """The template of a checkpoint folder, or None if it has none.

        It is in ``chat_template.jinja`` or under ``chat_template`` in ``tokenizer_config.json``.
        """
        folder = Path(path)
        config = _read_json(folder / "tokenizer_config.json")
        named = _read_json(folder / "special_tokens_map.json")
        file = folder / "chat_template.jinja"
        source = _read_text(file) if file.is_file() else _default(config.get("chat_template"))
        if source is None:
            return None
        return cls(source, special_tokens({**named, **config}))

    def render(
        self,
        messages: Messages,
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        options: ChatOptions = NO_OPTIONS,
    ) -> str:
        """The conversation as the model's text, with control tokens spelled out.

        ``add_generation_prompt`` opens an assistant turn; ``continue_final_message`` leaves the last message open, so
        that sampling continues it. Raises ``UsageError`` for a conversation that the template refuses, and for a
        template that takes too long or writes too much.
        """
        if not continue_final_message:
            return self._render(messages, add_generation_prompt, options)
        *earlier, last = messages
        text = self._render([*earlier, {**last, "content": last["content"] + _CUT}], False, options)
        if _CUT not in text:
            raise UsageError("the model's chat template drops the last message, so it cannot be continued")
        return text[: text.rindex(_CUT)]

    def prompt(self, messages: Messages, options: ChatOptions = NO_OPTIONS) -> str:
        """The conversation ready for the assistant's turn; a last message of the assistant is left open."""
        is_open = bool(messages) and messages[-1]["role"] == "assistant"
        return self.render(messages, add_generation_prompt=not is_open, continue_final_message=is_open, options=options)

    def _render(self, messages: Messages, add_generation_prompt: bool, options: ChatOptions) -> str:
        context = {
            "messages": [dict(m) for m in messages],
            "add_generation_prompt": add_generation_prompt,
            "tools": None,
            "documents": None,
            **self.special_tokens,
            **options.arguments,
        }
        return RENDERER.render(self.source, context, (options.today or date.today()).isoformat())


def plain_chat(messages: Messages) -> str:
    """A conversation for a model without a chat template: the contents, joined by blank lines."""
    return "\n\n".join(m["content"] for m in messages)


def special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Texts of the special tokens that a ``tokenizer_config.json`` names, ``{"bos_token": "<s>", ...}``."""
    named = {name: config.get(name) for name in _SPECIAL_TOKENS}
    texts = {name: token.get("content") if isinstance(token, dict) else token for name, token in named.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def controls_in(template: ChatTemplate) -> list[str]:
    """The control tokens that a template writes, as far as their spelling gives them away."""
    named = [text for text in template.special_tokens.values() if len(text) > 1]
    return list(dict.fromkeys([*named, *_CONTROL.findall(template.source)]))


def _default(entry: Any) -> str | None:
    """The template of a ``chat_template`` entry: one text, or a list of named ones with a "default"."""
    if isinstance(entry, list):
        named = {str(t.get("name")): t.get("template") for t in entry if isinstance(t, dict)}
        if "default" not in named:
            _log.warning("none of the chat templates %s is named default: none is used", ", ".join(named))
        entry = named.get("default")
    return entry if isinstance(entry, str) else None


def _read_text(path: Path) -> str:
    try:
        return file_bytes(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = parse(file_bytes(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def _arguments(source: str) -> frozenset[str]:
    """The names that a template takes from its caller; it is parsed here, but compiled in the renderer's process."""
    environment = template_environment()
    try:
        asked = meta.find_undeclared_variables(environment.parse(source))
    except Exception as error:  # a downloaded text may make the parser raise anything
        raise UsageError(f"the model's chat template is not valid Jinja: {error}") from error
    return frozenset(asked - _GIVEN - environment.globals.keys())
