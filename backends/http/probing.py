"""What a server can do, found out by asking it."""

from __future__ import annotations

import logging
from typing import Any

from widthwise.backends.http.address import beside, endpoint
from widthwise.backends.http.client import Unreachable, get, post
from widthwise.backends.http.profile import ServerProfile
from widthwise.core.errors import BackendError, UsageError

_log = logging.getLogger(__name__)

# A token id that every vocabulary has.
_ANY_ID = 1


def probe(url: str, model: str | None, timeout: float) -> ServerProfile:
    """Ask the server at ``url`` (ending in ``/v1``).

    Raises BackendError where it does not answer, UsageError for a model that it does not serve.
    """
    card = model_card(url, model, timeout)
    name = str(card["id"])
    ids = _try(url, timeout, _token_request(name))
    answer = ids or _text_answer(url, name, timeout)
    return ServerProfile(
        model=name,
        root=card.get("root"),
        max_model_len=card.get("max_model_len"),
        version=_version(url, timeout),
        token_ids=ids is not None,
        cached_tokens=(answer.get("usage") or {}).get("prompt_tokens_details") is not None,
        logprobs=bool((answer["choices"][0].get("logprobs") or {}).get("token_logprobs")),
        priorities=ids is not None and _try(url, timeout, _token_request(name) | {"priority": 1}) is not None,
    )


def model_card(url: str, model: str | None, timeout: float) -> dict[str, Any]:
    """The entry of ``/models`` for the model asked for, or the only (first) one."""
    try:
        cards: list[dict[str, Any]] = get(endpoint(url, "/models"), timeout)["data"]
    except BackendError as error:
        if error.retryable or model is None:
            raise
        _log.warning("%s has no list of models (%s); it is taken to serve %s", url, error, model)
        return {"id": model}
    except (KeyError, TypeError) as error:
        raise BackendError(f"{url} is not an OpenAI-compatible server: it has no list of models") from error
    if not cards:
        raise BackendError(f"{url} serves no model")
    if model is None:
        if len(cards) > 1:
            _log.warning("%s serves %d models; the first is taken: %s", url, len(cards), cards[0]["id"])
        return cards[0]
    named = [card for card in cards if card["id"] == model]
    if not named:
        raise UsageError(f"{url} does not serve {model!r}; it serves {', '.join(str(c['id']) for c in cards)}")
    return named[0]


def _token_request(model: str) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": [_ANY_ID, _ANY_ID],
        "max_tokens": 1,
        "logprobs": 0,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
    }


def _try(url: str, timeout: float, body: dict[str, Any]) -> dict[str, Any] | None:
    """The answer if it has token ids and counted the prompt as it was sent, else None; raises ``Unreachable``."""
    try:
        answer: dict[str, Any] = post(endpoint(url, "/completions"), body, timeout)
        choice = answer["choices"][0]
    except Unreachable:  # a busy server must not be taken for one that knows no token ids
        raise
    except (BackendError, KeyError, IndexError, TypeError) as error:
        _log.info("%s does not answer a request in token ids: %s", url, error)
        return None
    return answer if choice.get("token_ids") and choice.get("prompt_token_ids") == body["prompt"] else None


def _text_answer(url: str, model: str, timeout: float) -> dict[str, Any]:
    """One token of text, with log-probabilities if the server has them."""
    body = {"model": model, "prompt": "1", "max_tokens": 1}
    try:
        return dict(post(endpoint(url, "/completions"), body | {"logprobs": 0}, timeout))
    except BackendError as error:
        if error.retryable:
            raise
        _log.info("%s does not give log-probabilities: %s", url, error)
        return dict(post(endpoint(url, "/completions"), body, timeout))


def _version(url: str, timeout: float) -> str | None:
    """vLLM and Ollama name theirs, at different places; others do not."""
    for path in ("/version", "/api/version"):
        try:
            return str(get(beside(url, path), timeout)["version"])
        except (BackendError, KeyError, TypeError):
            continue
    _log.info("%s does not say which version it is", url)
    return None
