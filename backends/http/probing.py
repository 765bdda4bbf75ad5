"""Finding out what a server can do by asking it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.backends.http.chat_dialect import ChatDialect
from widthwise.backends.http.dialect import Dialect
from widthwise.backends.http.enquiry import Enquiry, is_busy
from widthwise.backends.http.logprobs import listed
from widthwise.backends.http.profile import DialectName, Prefix, ServerProfile
from widthwise.backends.http.programs import CONTINUING, Program, hosted_at, owner_of, prefix_of, program_of
from widthwise.backends.http.refusals import Refusals
from widthwise.backends.http.served import Card, context_of, model_card, root_of
from widthwise.backends.http.statuses import StatusError
from widthwise.backends.http.text_dialect import TextDialect
from widthwise.backends.tokenizers.chat_template import ChatTemplate
from widthwise.backends.tokenizers.files import folder_of
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.conversation import Conversation
from widthwise.core.errors import BackendError, PromptTooLong

_log = logging.getLogger(__name__)

_NAMES = "return_tokens_as_token_ids"
"""The parameter with which tokens in log-probabilities are named by their ids: vLLM's own."""
_PROMPT = [1, 1]
"""Token ids that every vocabulary has."""
_FEW_TOKENS = 4
"""The most tokens that "1" can have, with a begin-of-sequence token, if it is not put into a conversation."""
_COUNTING, _NEXT = "1, 2, 3, 4,", "5"
_FORBIDDEN = frozenset({401, 402, 403})
_NO_SUCH_PATH = frozenset({404, 405, 501})

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user specifies about a server: the model, the ``dialect``, how its chat continues (``prefix``).

    ``templated``: the model's chat template is already here.
    """

    model: str | None = None
    dialect: DialectName | None = None
    prefix: Prefix | None = None
    templated: bool = False


async def probe(wishes: Wishes, enquiry: Enquiry, refusals: Refusals) -> ServerProfile:
    """Ask the server what it is; ``refusals`` learns what it does not take.

    Raises BackendError if it does not answer, UsageError for a model that it does not serve.
    """
    card = await model_card(enquiry, wishes.model)
    found = await _Probe(enquiry, wishes, refusals).described(card)
    return replace(found, template=None) if wishes.templated else found


async def introduce(model: str | None, enquiry: Enquiry, _: Refusals) -> ServerProfile:
    """Ask the server only which model it serves; raises as ``probe`` does."""
    card = await model_card(enquiry, model)
    program = Program(owner_of(card))
    return _begun(card, await program_of(enquiry, card) if program.kind == "llama.cpp" else program)


def _begun(card: Card, program: Program) -> ServerProfile:
    """What is known of a server before it has answered anything."""
    begun = ServerProfile(
        model=str(card["id"]),
        root=root_of(card),
        kind=program.kind,
        version=program.version,
        max_model_len=context_of(card),
    )
    return _with_properties(begun, program.said) if program.said and program.kind == "llama.cpp" else begun


def _with_properties(begun: ServerProfile, said: Mapping[str, Any]) -> ServerProfile:
    """What llama.cpp says of its model: its file, its chat template, and the context of a slot."""
    texts = {name: said[name] for name in ("model_path", "chat_template") if isinstance(said.get(name), str)}
    settings = said.get("default_generation_settings")
    context = settings.get("n_ctx") if isinstance(settings, dict) else None
    return replace(
        begun,
        root=begun.root or texts.get("model_path"),
        template=texts.get("chat_template") or None,
        special_tokens={name: said[name] for name in ("bos_token", "eos_token") if isinstance(said.get(name), str)},
        max_model_len=context if isinstance(context, int) and context > 0 else begun.max_model_len,
    )


class _Probe:
    """One server's probe; ``said`` is the last refusal."""

    def __init__(self, enquiry: Enquiry, wishes: Wishes, refusals: Refusals) -> None:
        self._enquiry, self._wishes, self._refusals = enquiry, wishes, refusals
        self._said: BackendError | None = None
        self._program = hosted_at(enquiry.url) or Program()
        self._wraps = False

    async def described(self, card: Card) -> ServerProfile:
        """The profile in the most capable dialect: token ids, text in the model's format, messages, bare text."""
        wanted = self._wishes.dialect
        may_have_ids = wanted in (None, "token_ids") and not self._program.hosted
        streamed = await self._token_ids(str(card["id"])) if may_have_ids else None
        await self._identify(card)
        begun = _begun(card, self._program)
        if streamed is not None:
            return await self._in_ids(begun, streamed)
        text = await self._in_text(begun) if wanted == "text" or (wanted is None and self._has_completions) else None
        if text is not None and (wanted or (text.continues and (text.template or self._wishes.templated))):
            return text
        chat = await self._in_chat(begun) if wanted in (None, "chat") else None
        if chat is None and text is None:
            what = f"does not answer in {wanted}" if wanted else "answers neither in completions nor in chat"
            raise BackendError(f"{self._enquiry.url} {what}: {self._said or 'it says nothing'}")
        return chat or self._bare(text)

    def _bare(self, text: ServerProfile | None) -> ServerProfile:
        """Text, if there is no chat: a model that did not continue the counting may be unable to count."""
        assert text is not None
        return text if self._wraps else replace(text, continues=True)

    async def _identify(self, card: Card) -> None:
        """Find out which program it is; one that takes only messages cannot be told from others, so it is not asked."""
        if self._program.hosted:
            return
        chat_only = self._wishes.dialect is None and not self._has_completions
        self._program = Program(owner_of(card)) if chat_only else await program_of(self._enquiry, card)
        self._wraps = self._program.kind == "Ollama"

    @property
    def _has_completions(self) -> bool:
        said = self._said
        return not (isinstance(said, StatusError) and said.status in _NO_SUCH_PATH)

    # -- token ids ---------------------------------------------------------------------------------------------

    async def _token_ids(self, model: str) -> list[Event] | None:
        """What a server streams that gives token ids, and counts the prompt as it was sent; None for any other."""
        asked = _in_ids(model)
        events = await self._asked("/completions", asked | {"logprobs": 0, _NAMES: True})
        if events is None and isinstance(self._said, StatusError) and _NAMES in self._said.body:
            events = await self._asked("/completions", asked | {"logprobs": 0})
        if events is None and self._has_completions:
            events = await self._asked("/completions", asked)
        return events if events is not None and _in_token_ids(events, _PROMPT) else None

    async def _in_ids(self, begun: ServerProfile, events: list[Event]) -> ServerProfile:
        prioritised = await self._asked("/completions", _in_ids(begun.model) | {"priority": 1})
        return replace(
            begun,
            dialect="token_ids",
            cached_tokens=_usage(events).get("prompt_tokens_details") is not None,
            logprobs=_has_logprobs(events),
            priorities=prioritised is not None and _in_token_ids(prioritised, _PROMPT),
        )

    # -- text --------------------------------------------------------------------------------------------------

    async def _in_text(self, begun: ServerProfile) -> ServerProfile | None:
        pieces, hopeful = PieceTokenizer(), replace(begun, logprobs=True)
        dialect = TextDialect(pieces, hopeful)
        events = await self._sampled(dialect, begun.model, _request(pieces.encode("1"), 1))
        if events is None or not any("text" in choice for choice in _choices(events)):
            return None
        found = replace(begun, logprobs=_has_logprobs(events), refused=self._refusals.names)
        found = await self._with_template(found)
        return replace(found, continues=await self._goes_on(found, events, dialect, pieces))

    async def _with_template(self, found: ServerProfile) -> ServerProfile:
        """With the model's chat template: llama.cpp's, or that of the model's files if these can be had."""
        if found.kind == "llama.cpp":
            return replace(found, bos=found.special_tokens.get("bos_token", "") if await self._adds_bos() else "")
        name = str(found.root or (self._program.said or {}).get("model_id") or found.model)
        folder = None if self._wishes.templated else await asyncio.to_thread(_files_of, name)
        template = None if folder is None else ChatTemplate.from_folder(folder)
        if template is None:
            return found
        return replace(found, root=name, template=template.source, special_tokens=template.special_tokens)

    async def _adds_bos(self) -> bool:
        """Whether llama.cpp puts a begin-of-sequence token before every text."""
        counts = []
        for special in (True, False):
            answer = await self._enquiry.glance("../tokenize", {"content": "1", "add_special": special})
            counts.append(len(answer.get("tokens") or ()) if isinstance(answer, dict) else 0)
        return counts[0] > counts[1]

    async def _goes_on(
        self, found: ServerProfile, events: list[Event], dialect: Dialect, pieces: PieceTokenizer
    ) -> bool:
        """Whether completions continue a text instead of answering it as a question in a conversation (Ollama)."""
        if found.kind in CONTINUING or self._wishes.dialect == "text":
            return True
        if isinstance(count := _usage(events).get("prompt_tokens"), int) and count > 0:
            self._wraps = self._wraps or count > _FEW_TOKENS
            return not self._wraps
        if self._wraps:
            return False
        counted = await self._sampled(dialect, found.model, _request(pieces.encode(_COUNTING), 4, greedy=True))
        return _text(counted or []).strip().startswith(_NEXT)

    # -- messages ----------------------------------------------------------------------------------------------

    async def _in_chat(self, begun: ServerProfile) -> ServerProfile | None:
        pieces, hopeful = PieceTokenizer(), replace(begun, dialect="chat", logprobs=True)
        asked = Conversation(({"role": "user", "content": "Say 1."},))
        request = replace(_request(pieces.encode("Say 1."), 16), conversation=asked)
        events = await self._sampled(ChatDialect(pieces, hopeful), begun.model, request)
        if events is None or not any("delta" in c or "message" in c for c in _choices(events)):
            return None
        prefix = self._wishes.prefix or prefix_of(self._program, self._enquiry.url)
        found = replace(begun, logprobs=_has_logprobs(events), refused=self._refusals.names)
        return replace(found, dialect="chat", prefix=prefix, continues=prefix is not None)

    # -- asking ------------------------------------------------------------------------------------------------

    async def _sampled(self, dialect: Dialect, model: str, request: Request) -> list[Event] | None:
        """The events that answer ``request`` without the parameters that the server refuses; None if it refuses all."""
        body = {"model": model, **dialect.body(request)}
        while True:
            sent = self._refusals.heeded(body)
            events = await self._asked(dialect.path, sent)
            said = self._said
            if events is not None or not isinstance(said, StatusError):
                return events
            if not self._refusals.learn(sent, said, frozenset()):
                return None

    async def _asked(self, path: str, body: Mapping[str, Any]) -> list[Event] | None:
        try:
            return list(await self._enquiry.stream(path, body))
        except (StatusError, PromptTooLong) as error:
            if isinstance(error, StatusError) and (error.status in _FORBIDDEN or is_busy(error)):
                raise
            _log.info("%s refuses a probe: %s", self._enquiry.url, error)
            self._said = error
            return None


def _files_of(name: str) -> Path | None:
    """Where a model's files can be had; a name that is neither a folder nor a hub id (``owner/name``) has none."""
    return folder_of(name) if "/" in name or Path(name).is_dir() else None


def _in_ids(model: str) -> dict[str, Any]:
    """A request for one token, with token ids in both directions."""
    counted = {"stream_options": {"include_usage": True}}
    return {"model": model, "prompt": _PROMPT, "max_tokens": 1, "return_token_ids": True, **counted}


def _request(prompt: list[int], tokens: int, *, greedy: bool = False) -> Request:
    params = SamplingParams(max_tokens=tokens, temperature=0.0 if greedy else 1.0)
    return Request(np.array(prompt, np.int64), params, seed=1)


def _choices(events: list[Event]) -> list[dict[str, Any]]:
    found = [choice for event in events for choice in event.get("choices") or ()]
    return [choice for choice in found if isinstance(choice, dict)]


def _in_token_ids(events: list[Event], prompt: list[int]) -> bool:
    choices = _choices(events)
    echoed = [choice["prompt_token_ids"] for choice in choices if choice.get("prompt_token_ids")]
    as_sent = echoed[0] == prompt if echoed else _usage(events).get("prompt_tokens") == len(prompt)
    return as_sent and any(choice.get("token_ids") for choice in choices)


def _has_logprobs(events: list[Event]) -> bool:
    found = [listed(choice.get("logprobs")) for choice in _choices(events)]
    return any(tokens is not None and tokens.own for tokens in found)


def _usage(events: list[Event]) -> Mapping[str, Any]:
    reported = [event["usage"] for event in events if isinstance(event.get("usage"), dict)]
    return reported[-1] if reported else {}


def _text(events: list[Event]) -> str:
    return "".join(str(choice.get("text") or "") for choice in _choices(events))
