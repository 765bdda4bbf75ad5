"""Which models a server serves, and which of them is meant."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from widthwise.backends.http.address import bases
from widthwise.backends.http.enquiry import Enquiry
from widthwise.backends.http.statuses import StatusError
from widthwise.core.errors import BackendError, UsageError
from widthwise.core.registry import nearest

_log = logging.getLogger(__name__)

Card = Mapping[str, Any]
"""What a server says of one of its models: its ``id``, and more."""

_DEPLOYMENT = re.compile(r"/deployments/([^/]+)/?$")
_SHOWN = 12
_CONTEXT = (
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "max_input_tokens",
    "inputTokenLimit",
)


async def model_card(enquiry: Enquiry, model: str | None) -> Card:
    """The entry of the server's list for the model asked for, or the only one.

    Raises ``UsageError`` for a model that is not served, and if several are served and none is named; ``BackendError``
    if this is no such server.
    """
    try:
        cards = _cards(await _list(enquiry))
    except StatusError as error:
        if error.retryable or error.status in (401, 403):
            raise
        model = model or _deployment(enquiry.server.url)
        if model is None:
            raise UsageError(f"{enquiry.url} has no list of models: name one, {enquiry.url}#MODEL ({error})") from error
        _log.warning("%s has no list of models (%s); assuming that it serves %s", enquiry.url, error, model)
        return {"id": model}
    if cards is None:
        raise BackendError(f"{enquiry.url} is not an OpenAI-compatible server: it has no list of models")
    if not cards:
        raise BackendError(f"{enquiry.url} serves no model")
    return _only(enquiry.url, cards) if model is None else _named(enquiry.url, cards, model)


async def _list(enquiry: Enquiry) -> Any:
    """The list of models; it also tells the server's base."""
    first, *others = bases(enquiry.server.url)
    try:
        return await enquiry.get("/models")
    except StatusError as error:
        if error.status == 500:
            hint = "a proxy may answer like this if it needs a key, WIDTHWISE_API_KEY or OPENAI_API_KEY"
            raise StatusError(f"{error} ({hint})", error.status, error.body) from error
        if error.status not in (404, 405):
            raise
        for enquiry.server.url in others:
            if _cards(found := await enquiry.glance("/models")):
                return found
        enquiry.server.url = first
        raise


def _deployment(url: str) -> str | None:
    """The model that an address itself names: Azure's end with ``/deployments/NAME``."""
    found = _DEPLOYMENT.search(urlsplit(url).path)
    return found[1] if found else None


def context_of(card: Card) -> int | None:
    """The length of the model's context, under one of the names that servers use for it."""
    lengths = [card.get(name) for name in _CONTEXT]
    return next((n for n in lengths if isinstance(n, int) and not isinstance(n, bool) and n > 0), None)


def root_of(card: Card) -> str | None:
    """Where the server has the model from, if it says so."""
    root = card.get("root")
    return root if isinstance(root, str) and root else None


def _cards(answer: Any) -> list[Card] | None:
    """The entries of a list of models: OpenAI's form, or a bare list."""
    listed = answer.get("data", answer.get("models")) if isinstance(answer, dict) else answer
    if not isinstance(listed, list):
        return None
    named = [{**card, "id": card.get("id", card.get("name"))} for card in listed if isinstance(card, dict)]
    return [card for card in named if isinstance(card["id"], str)]


def _only(url: str, cards: Sequence[Card]) -> Card:
    roots = {root_of(card) for card in cards}
    if len(cards) > 1 and (len(roots) > 1 or None in roots):  # else they are names of one model
        raise UsageError(f"{url} serves {len(cards)} models: name one, {url}#{cards[0]['id']}; {_listed(cards)}")
    return cards[0]


def _named(url: str, cards: Sequence[Card], model: str) -> Card:
    for card in cards:
        if model in (card["id"], str(card["id"]).removeprefix("models/")):
            return card
    close = nearest(model, [str(card["id"]) for card in cards]) or ";"
    raise UsageError(f"{url} does not serve {model!r}{close} {_listed(cards)}")


def _listed(cards: Sequence[Card]) -> str:
    names = [str(card["id"]) for card in cards]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it serves {', '.join(names[:_SHOWN])}{more}"
