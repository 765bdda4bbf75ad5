"""Inspect's messages as strategies are asked them, and what a strategy says as Inspect's output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    Content,
    ContentReasoning,
    ContentText,
    ModelOutput,
    ModelUsage,
)

from widthwise.core.conversation import Message
from widthwise.core.errors import UsageError
from widthwise.core.session.ledger import Ledger
from widthwise.integrations.answering import Answered

_CUT = ("length", "budget")


def to_messages(messages: Sequence[ChatMessage]) -> list[Message]:
    """The messages as texts; raises ``UsageError`` for what is none."""
    return [_message(message) for message in messages]


def _message(message: ChatMessage) -> Message:
    if message.role == "tool" or getattr(message, "tool_calls", None):
        raise UsageError("a strategy calls no tools: it cannot be asked a conversation that has tool calls in it")
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    if strange := [part.type for part in message.content if not isinstance(part, ContentText | ContentReasoning)]:
        raise UsageError(f"a strategy is asked in texts, and a message has a part of the type {strange[0]}")
    return {"role": message.role, "content": message.text}


def from_messages(messages: Sequence[Message]) -> list[ChatMessage]:
    """Our messages as Inspect's."""
    kinds: dict[str, Any] = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[message["role"]](content=message["content"]) for message in messages]


def output_of(answered: Answered, model: str) -> ModelOutput:
    """The answer's trace as a reply, with the usage of all traces."""
    parts: list[Content] = [ContentReasoning(reasoning=answered.thought)] if answered.thought else []
    content = [*parts, ContentText(text=answered.text)] if parts else answered.text
    cut = answered.trace is not None and answered.trace.finish in _CUT
    choice = ChatCompletionChoice(
        message=ChatMessageAssistant(content=content, model=model, source="generate"),
        stop_reason="max_tokens" if cut else "stop",
    )
    return ModelOutput(model=model, choices=[choice], usage=usage_of(answered.result.ledger))


def usage_of(ledger: Ledger) -> ModelUsage:
    """What was spent, in Inspect's terms."""
    prompt = ledger.prompt_computed + ledger.prompt_cached
    return ModelUsage(
        input_tokens=ledger.prompt_computed,
        input_tokens_cache_read=ledger.prompt_cached or None,
        output_tokens=ledger.total,
        total_tokens=prompt + ledger.total,
    )
