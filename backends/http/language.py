"""The language used with a server: the tokenizer, the dialect, and what is known of the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from widthwise.backends.http.address import shown
from widthwise.backends.http.chat_dialect import ChatDialect
from widthwise.backends.http.dialect import Dialect
from widthwise.backends.http.profile import ServerProfile
from widthwise.backends.http.text_dialect import OPEN_ENDED, TextDialect
from widthwise.backends.http.token_dialect import TokenDialect
from widthwise.backends.model_facts import facts_in
from widthwise.backends.notes import Notes
from widthwise.backends.tokenizers.chat_template import ChatTemplate
from widthwise.backends.tokenizers.files import folder_of, holding, tokenizer_from
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.backends.tokenizers.remote import RemoteTokenizer
from widthwise.core.backend import Tokenizer
from widthwise.core.errors import BackendError, UsageError, WidthwiseError
from widthwise.core.prompting.profile import ModelFacts

_log = logging.getLogger(__name__)

_SAMPLE = "Let $x = 12$.\n\nThen 3*x + 4 = 40."


def folder_named(tokenizer: str | None, profile: ServerProfile, known: Mapping[str, Path]) -> Path | None:
    """The local folder with the model's files: the one that the user names, or one ``known`` by the model's name."""
    if tokenizer is not None:
        return holding(tokenizer)
    names = [Path(name).name for name in (profile.root, profile.model) if name]
    return next((known[name] for name in names if name in known), None)


def facts_about(folder: Path | None, profile: ServerProfile) -> ModelFacts:
    """From the model's files if they are here, else from what the server says of it."""
    return replace(_facts(folder, profile), apart=profile.dialect == "chat")


def _facts(folder: Path | None, profile: ServerProfile) -> ModelFacts:
    name = profile.root or profile.model
    if folder is None and profile.token_ids:
        folder = folder_of(name)
    if folder is None and profile.template is not None:
        template = ChatTemplate(profile.template, profile.special_tokens)
        return ModelFacts(name, template=template.source, arguments=template.arguments)
    return facts_in(folder, name)


def tokenizer_for(
    profile: ServerProfile, remote: RemoteTokenizer, tokenizer: str | None, folder: Path | None, notes: Notes
) -> Tokenizer:
    """The tokenizer for servers of this ``profile``, whose own tokenizer is ``remote``.

    Raises ``UsageError`` if none can be had.
    """
    if profile.dialect == "token_ids":
        notes.tell("a seed's tokens may change with the batch it runs in, unless the engine is batch-invariant")
        return tokenizer_from(tokenizer) if tokenizer else _servers_tokenizer(profile, remote, notes)
    only = "messages" if profile.dialect == "chat" else "text"
    notes.warn(f"{only} only: tokens are counted in pieces of text (an approximation)")
    if profile.dialect == "chat":
        return PieceTokenizer()
    if profile.max_model_len is None and profile.kind not in OPEN_ENDED:
        notes.warn(
            "the server does not report its context length: without --max-tokens it ends answers wherever it likes"
        )
    template = _template(profile, folder, notes)
    return PieceTokenizer(template, bos=_bos_of(profile, template))


def _bos_of(profile: ServerProfile, template: ChatTemplate | None) -> str:
    """The begin-of-sequence token that the server itself puts before a text.

    llama.cpp was asked; vLLM is told not to; others are assumed to do as the model's tokenizer does.
    """
    if template is None or profile.kind == "vLLM":
        return ""
    return profile.bos if profile.kind == "llama.cpp" else template.special_tokens.get("bos_token", "")


def dialect_for(profile: ServerProfile, tokenizer: Tokenizer) -> Dialect:
    """How to address one server, in the way its program expects."""
    if not isinstance(tokenizer, PieceTokenizer):
        return TokenDialect(tokenizer, profile)
    return (ChatDialect if profile.dialect == "chat" else TextDialect)(tokenizer, profile)


def _template(profile: ServerProfile, folder: Path | None, notes: Notes) -> ChatTemplate | None:
    found = None if folder is None else ChatTemplate.from_folder(folder)
    if found is None and profile.template is not None:
        found = ChatTemplate(profile.template, profile.special_tokens)
    if found is None:
        notes.warn(
            f"no chat template of {profile.model} was found, and its server takes text: it is asked without one, "
            "like a base model; name a folder that holds it (--backend-arg tokenizer=FOLDER)"
        )
    return found


def _servers_tokenizer(profile: ServerProfile, remote: RemoteTokenizer, notes: Notes) -> Tokenizer:
    """From the model's folder or hub id as the server reports it; else the server itself is asked."""
    folder = folder_of(profile.root or profile.model)
    local = None if folder is None else _readable(folder)
    try:
        if local is not None and local.encode(_SAMPLE) == remote.encode(_SAMPLE):
            return local
        if local is not None:
            _log.warning("the tokenizer in %s differs from the server's and is not used", folder)
        remote.encode(_SAMPLE)
    except BackendError as error:
        if local is not None:
            notes.tell(f"the tokenizer in {folder} could not be compared with the server's: {error}")
            return local
        raise UsageError(
            f"{shown(remote.base)} takes token ids but does not tokenize: name a local tokenizer "
            "(tokenizer=FOLDER), or use text completions (dialect=text)"
        ) from error
    notes.warn("the server tokenizes the texts, with one request each; dates in its chat template are the server's")
    return remote


def _readable(folder: Path) -> Tokenizer | None:
    try:
        return tokenizer_from(folder)
    except WidthwiseError as error:
        _log.info("no usable tokenizer in %s: %s", folder, error)
        return None
