"""A backend from a function that answers a prompt with a text."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from widthwise.backends.called import Called, named, parameters_of
from widthwise.backends.http.text_dialect import TextReader
from widthwise.backends.notes import Notes
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Capabilities, Delta, FinishReason, Request, Usage
from widthwise.core.brief import Brief
from widthwise.core.conversation import Conversation
from widthwise.core.errors import BackendError, UsageError, WidthwiseError, reason_of
from widthwise.core.prompting.profile import ModelFacts

FunctionInput = Literal["text", "messages"]
"""What the function gets first: the prompt as one text, or as the messages of a conversation."""

_NAMED = ("params", "seed")
_CONTRACT = (
    "a function of (prompt, params) or (messages, params), plain or async, that returns the text of one answer (a "
    "ww.Reply says more), or yields it in pieces"
)


@dataclass(frozen=True, slots=True)
class Reply(Brief):
    """One answer of a function: its text, what was thought before it, and why it ended ("length" if it was cut)."""

    text: str
    thinking: str = ""
    finish: FinishReason = "stop"


class FunctionBackend(Brief):
    """Samples by calling ``function(prompt, params)`` once for each sample.

    A first parameter named ``messages`` gets the conversation, ``[{"role": ..., "content": ...}, ...]``, any other one
    the prompt as a text; ``takes`` overrides this. ``params`` are the ``SamplingParams``: stop strings and
    ``max_tokens`` are enforced in any case. A parameter ``seed`` gets the sample's seed. Both may be left out. The
    function may be ``async``, and may yield the text in pieces; a plain one runs in threads. ``continues`` says that it
    continues a text (or a last message of the assistant), as tree searches and thinking budgets need.

    Tokens are counted in pieces of text, there are no log-probabilities, and the function decides what seeds mean. An
    exception in the function fails the sample; raise ``BackendError(..., retryable=True)`` to be called again. ``name``
    is the model's, by which its family is recognised. Raises ``UsageError`` for something that is not such a function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        takes: FunctionInput | None = None,
        continues: bool = False,
        max_model_len: int | None = None,
    ) -> None:
        if not callable(function):
            raise UsageError(f"a function backend is made of {_CONTRACT}; found {function!r:.60}")
        self._called = Called(function)
        self._function = named(function)
        first, self._arguments = _arguments(function, self._function)
        self._takes: FunctionInput = takes or ("messages" if first == "messages" else "text")
        self.name = f"function:{name or self._function}"
        self.max_model_len = max_model_len
        self.facts = ModelFacts(name or self._function, apart=True)
        self.tokenizer = PieceTokenizer()
        self.capabilities = Capabilities(
            token_ids=False,
            seeds=False,
            logprobs=False,
            cached_tokens=False,
            stop_token_ids=False,
            continues=continues,
        )
        self._notes = Notes()
        self._notes.tell("a function: tokens are counted in pieces of text (an approximation)")
        self._closed = False

    no_continuation = "say ww.FunctionBackend(..., continues=True) if the function continues the text it is given"

    async def generate(self, request: Request) -> AsyncGenerator[Delta, None]:
        if self._closed:
            raise BackendError(f"{self.name} was closed; open it again")
        marks = ("", "") if request.conversation is None else request.conversation.marks
        reader, usage = TextReader(self.tokenizer, request.params), Usage(0, len(request.prompt))
        try:
            async with aclosing(self._called.items(self._given(request), **self._others(request))) as items:
                finish: FinishReason = "stop"
                async for item in items:
                    text, finish = _read(item, marks, self._function)
                    delta = reader.taken(text, None, None)
                    if delta.finish is not None:
                        yield replace(delta, usage=usage)
                        return
                    yield delta
        except WidthwiseError:
            raise
        except Exception as error:  # the user's function may raise anything
            raise BackendError(
                f"{self._function} failed with {reason_of(error)}", retryable=isinstance(error, OSError)
            ) from error
        yield Delta(np.empty(0, np.int64), finish=finish, usage=usage)

    def _given(self, request: Request) -> Any:
        if self._takes == "text":
            return self.tokenizer.decode(request.prompt)
        asked = request.conversation or Conversation(())
        if not asked.messages:
            raise BackendError(f"{self.name} takes messages: it can only be asked conversations")
        return [dict(message) for message in asked.messages]

    def _others(self, request: Request) -> dict[str, Any]:
        values = {"params": request.params, "seed": request.seed}
        return {name: values[which] for name, which in self._arguments.items()}

    def describe(self) -> Mapping[str, Any]:
        return {"backend": "function", "function": self._function, "takes": self._takes, "notes": list(self._notes)}

    async def close(self) -> None:
        """Nothing is called any more; the owner must close what the function itself holds open."""
        self._closed = True


def _arguments(function: Callable[..., Any], name: str) -> tuple[str, dict[str, str]]:
    """The name of the first parameter, and which of the others gets what."""
    parameters = parameters_of(function)
    if parameters is None:  # one of Python's own
        return "prompt", {}
    first, *others = parameters or [""]
    found = {other: other for other in others if other in _NAMED}
    unknown = [other for other in others if other not in _NAMED and parameters[other]]
    if len(unknown) == 1 and "params" not in found:
        return first, {**found, unknown[0]: "params"}
    if unknown or not first:
        raise UsageError(f"{name} does not fit: it must be {_CONTRACT}; found a function of ({', '.join(parameters)})")
    return first, found


def _read(item: Any, marks: tuple[str, str], function: str) -> tuple[str, FinishReason]:
    """The text of what a function returned or yielded, and why it ended."""
    if isinstance(item, Reply):
        thought = f"{marks[0]}{item.thinking}{marks[1]}" if item.thinking else ""
        return thought + item.text, item.finish
    if isinstance(item, list | tuple) and len(item) == 1:
        [item] = item
    if isinstance(item, str):
        return item, "stop"
    more = " (it is called once for each sample)" if isinstance(item, list | tuple) else ""
    raise UsageError(
        f"{function} does not fit: it must be {_CONTRACT}; it gave {item!r:.60} ({type(item).__name__}){more}"
    )
