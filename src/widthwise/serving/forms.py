"""The two forms in which OpenAI's API asks a strategy and gets its answer: messages, and plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from widthwise.serving.fields import Fields
from widthwise.serving.messages import Chat
from widthwise.serving.reply import Reply

Head = Mapping[str, Any]
"""What every part of a response begins with: ``id``, ``created``, ``model``."""


class Form(Protocol):
    """How a request's text is read from its fields, and how a reply is written: ``whole``, or in events."""

    path: str
    prefix: str

    def chat(self, fields: Fields) -> Chat: ...

    def whole(self, head: Head, reply: Reply) -> dict[str, Any]: ...

    def opening(self, head: Head) -> dict[str, Any]:
        """The first event."""
        ...

    def reasoning(self, head: Head, text: str) -> dict[str, Any]:
        """An event that reports progress."""
        ...

    def events(self, head: Head, reply: Reply) -> Iterator[dict[str, Any]]:
        """The events of a reply; the last one has ``finish_reason`` and the report."""
        ...


class ChatForm:
    """``/v1/chat/completions``."""

    path = "/v1/chat/completions"
    prefix = "chatcmpl"

    def chat(self, fields: Fields) -> Chat:
        return Chat.of(fields.raw("messages"))

    def whole(self, head: Head, reply: Reply) -> dict[str, Any]:
        message = {"role": "assistant", "content": reply.content, "refusal": None}
        if reply.reasoning:
            message["reasoning_content"] = reply.reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}
        return _whole(head, "chat.completion", choice, reply)

    def opening(self, head: Head) -> dict[str, Any]:
        return self._event(head, {"role": "assistant", "content": ""})

    def reasoning(self, head: Head, text: str) -> dict[str, Any]:
        return self._event(head, {"reasoning_content": text})

    def events(self, head: Head, reply: Reply) -> Iterator[dict[str, Any]]:
        if reply.reasoning:
            yield self.reasoning(head, reply.reasoning)
        yield self._event(head, {"content": reply.content})
        yield {**self._event(head, {}, reply.finish), "widthwise": reply.report}

    def _event(self, head: Head, delta: Mapping[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish}
        return {**head, "object": "chat.completion.chunk", "choices": [choice]}


class TextForm:
    """``/v1/completions``: the prompt is the question, asked in the model's own format."""

    path = "/v1/completions"
    prefix = "cmpl"

    def chat(self, fields: Fields) -> Chat:
        prompt = fields.raw("prompt")
        if isinstance(prompt, list) and len(prompt) == 1:
            prompt = prompt[0]
        if not isinstance(prompt, str) or not prompt.strip():
            raise fields.refusal(
                "prompt", "must be one text: it is asked as a question, and token ids are not accepted"
            )
        return Chat(prompt)

    def whole(self, head: Head, reply: Reply) -> dict[str, Any]:
        return _whole(head, "text_completion", _text(reply.content, reply.finish), reply)

    def opening(self, head: Head) -> dict[str, Any]:
        return self._event(head, _text("", None))

    def reasoning(self, head: Head, text: str) -> dict[str, Any]:
        return self._event(head, {**_text("", None), "reasoning_content": text})

    def events(self, head: Head, reply: Reply) -> Iterator[dict[str, Any]]:
        yield self._event(head, _text(reply.content, None))
        yield {**self._event(head, _text("", reply.finish)), "widthwise": reply.report}

    def _event(self, head: Head, choice: Mapping[str, Any]) -> dict[str, Any]:
        return {**head, "object": "text_completion", "choices": [dict(choice)]}


def _text(text: str, finish: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}


def _whole(head: Head, kind: str, choice: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    return {**head, "object": kind, "choices": [dict(choice)], "usage": reply.usage, "widthwise": reply.report}
