"""A backend from a client of the package ``openai``, or one that looks like it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from widthwise.backends.engine_seeds import short_seed
from widthwise.backends.function import FunctionBackend, Reply
from widthwise.core.backend import SamplingParams
from widthwise.core.errors import AccessRefused, BackendError, UsageError, reason_of

_STANDARD = {"temperature", "top_p", "presence_penalty", "frequency_penalty", "stop"}
"""What the client takes as arguments; other parameters go into the body."""
_OWN = {"max_tokens", "stop_token_ids", "logprobs", "prompt_logprobs"}
_PLAIN = SamplingParams()
_NEWER = "max_completion_tokens"
_NO_ACCESS = (401, 403, 404)


class OpenAIBackend(FunctionBackend):
    """Samples from ``model`` with ``client.chat.completions.create``, one request per sample.

    ``client`` is an ``openai.OpenAI`` or ``openai.AsyncOpenAI``, with its address, key, retries and proxies.
    ``options`` go with every request (``reasoning_effort`` ...). Sampling settings are sent if they differ from the
    defaults. The model's thinking is kept if its server shows it. The same server by its address (``http://HOST``)
    streams, and gives token ids and log-probabilities if it has them; this backend does not. The client is closed by
    its owner.
    """

    def __init__(self, client: Any, model: str, **options: Any) -> None:
        try:
            create = client.chat.completions.create
        except AttributeError:
            raise UsageError(
                f"a client has chat.completions.create, like openai.OpenAI(); found {type(client).__name__}"
            ) from None
        if not isinstance(model, str) or not model:
            raise UsageError(f"the client's model is named by a text, not {model!r:.60}")
        super().__init__(_asking(create, model, options), name=model, takes="messages")
        self.name = f"openai:{model}"

    no_continuation = "name its server by the address (http://HOST), which may be able to continue a text"

    def describe(self) -> Mapping[str, Any]:
        return {**super().describe(), "backend": "openai client"}


def _asking(create: Callable[..., Any], model: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    limit = ["max_tokens"]  # or what newer models want instead, once one has said so

    def body(messages: Any, params: SamplingParams, seed: int) -> dict[str, Any]:
        most = {} if params.max_tokens is None else {limit[0]: params.max_tokens}
        return {"model": model, "messages": messages, "seed": short_seed(seed), **_sampling(params), **most, **options}

    def learns(error: Exception) -> bool:
        fresh = limit[0] != _NEWER and _NEWER in str(error)
        limit[0] = _NEWER if fresh else limit[0]
        return fresh

    def ask(messages: Any, params: SamplingParams, seed: int) -> Any:
        try:
            return _reply(create(**body(messages, params, seed)))
        except Exception as error:
            if not learns(error):
                raise _refusal(error, model) from error
        return ask(messages, params, seed)

    async def ask_async(messages: Any, params: SamplingParams, seed: int) -> Any:
        try:
            return _reply(await create(**body(messages, params, seed)))
        except Exception as error:
            if not learns(error):
                raise _refusal(error, model) from error
        return await ask_async(messages, params, seed)

    return ask_async if inspect.iscoroutinefunction(inspect.unwrap(create)) else ask


def _sampling(params: SamplingParams) -> dict[str, Any]:
    changed = {f.name: getattr(params, f.name) for f in fields(params) if f.name not in _OWN}
    changed = {name: value for name, value in changed.items() if value != getattr(_PLAIN, name)}
    body = {name: value for name, value in changed.items() if name not in _STANDARD}
    standard = {name: list(value) if name == "stop" else value for name, value in changed.items() if name in _STANDARD}
    return {**standard, **({"extra_body": body} if body else {})}


def _reply(completion: Any) -> Reply:
    try:
        choice = completion.choices[0]
        message = choice.message
    except (AttributeError, IndexError, TypeError):
        raise BackendError(f"the client's answer contains no choice: {completion!r:.100}") from None
    if choice.finish_reason == "content_filter":
        raise BackendError("the server's content filter stopped the answer")
    thought = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    said = message.content
    return Reply(
        said if isinstance(said, str) else "",
        thinking=thought if isinstance(thought, str) else "",
        finish="length" if choice.finish_reason == "length" else "stop",
    )


def _refusal(error: Exception, model: str) -> BackendError:
    """The error for a request; the client has already retried as often as it was told to."""
    if isinstance(error, BackendError):
        return error
    status = getattr(error, "status_code", None)
    kind = AccessRefused if status in _NO_ACCESS else BackendError
    return kind(f"the client's request to {model} failed with {reason_of(error)}")
