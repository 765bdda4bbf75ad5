"""Inspect's messages in the form in which strategies are asked, and a strategy's reply as Inspect's output."""

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
    """The messages as texts; raises ``UsageError`` for others."""
    return [_message(message) for message in messages]


def _message(message: ChatMessage) -> Message:
    if message.role == "tool" or getattr(message, "tool_calls", None):
        raise UsageError("a strategy calls no tools: it cannot be asked a conversation with tool calls")
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    if strange := [part.type for part in message.content if not isinstance(part, ContentText | ContentReasoning)]:
        raise UsageError(f"a strategy is asked in texts, but a message has a part of the type {strange[0]}")
    return {"role": message.role, "content": message.text}


def from_messages(messages: Sequence[Message]) -> list[ChatMessage]:
    """Our messages as Inspect's."""
    kinds: dict[str, Any] = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [kinds[message["role"]](content=message["content"]) for message in messages]


def output_of(answered: Answered, model: str) -> ModelOutput:
    """The answer's trace as a reply, with the usage of all traces."""
    message = assistant(answered.thought, answered.text, model)
    output = reply(message, None if answered.trace is None else answered.trace.finish)
    output.usage = usage_of(answered.result.ledger)
    return output


def assistant(thought: str, said: str, model: str) -> ChatMessageAssistant:
    """A reply's message, with its thinking separate."""
    parts: list[Content] = [ContentReasoning(reasoning=thought), ContentText(text=said)]
    return ChatMessageAssistant(content=parts if thought else said, model=model, source="generate")


def reply(message: ChatMessageAssistant, finish: str | None) -> ModelOutput:
    """A message as a model's output; ``finish`` is that of its trace."""
    choice = ChatCompletionChoice(message=message, stop_reason="max_tokens" if finish in _CUT else "stop")
    return ModelOutput(model=message.model or "", choices=[choice])


def usage_of(ledger: Ledger) -> ModelUsage:
    """What was spent, in Inspect's terms."""
    prompt = ledger.prompt_computed + ledger.prompt_cached
    return ModelUsage(
        input_tokens=ledger.prompt_computed,
        input_tokens_cache_read=ledger.prompt_cached or None,
        output_tokens=ledger.total,
        total_tokens=prompt + ledger.total,
    )
