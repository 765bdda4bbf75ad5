"""A SentencePiece model with the project's tokenizer contract."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sentencepiece import SentencePieceProcessor

from widthwise.backends.embedded.checkpoint import read_json
from widthwise.backends.tokenizers.chat_template import ChatTemplate, plain_chat
from widthwise.backends.tokenizers.huggingface import eos_ids_of
from widthwise.core.arrays import IntArray
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.errors import BackendError
from widthwise.core.literal import unguarded

_log = logging.getLogger(__name__)

# SentencePiece's stand-in for a space inside pieces.
_SPACE = "\u2581"
# Many models put a space before whatever they encode. They put it before this character, which no piece but its own
# contains, and encode what follows it as it is.
_ANCHOR = "\x1f"


class SentencePieceTokenizer:
    """``tokenizer.model`` of a checkpoint folder, with the control tokens of ``tokenizer_config.json``.

    A text is a stretch of a trace, not a document: no dummy space is put before it, so a token spells the same text
    wherever it stands. ``bytes_of`` is what each id spells, in UTF-8; an id beyond it spells nothing.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self._model = _load(folder / "tokenizer.model")
        self._anchor: list[int] = self._model.encode(_ANCHOR)
        self._config = _optional_json(folder / "tokenizer_config.json")
        self._template = ChatTemplate.from_folder(folder)
        if self._template is None:
            _log.info("%s has no chat template: conversations are plain text joined by blank lines", folder)
        special = _special_tokens(self._model, self._config)
        self.bytes_of = _spellings(self._model, special)
        named = special.get(str(self._text_of("eos_token")), -1)
        self.eos_ids = frozenset(i for i in (self._model.eos_id(), named, *eos_ids_of(folder)) if i >= 0)
        self._byte_ids = {piece: i for i, piece in enumerate(self.bytes_of) if self._is_byte(i)}
        self._special = special
        self.bos_id: int | None = self._model.bos_id() if self._model.bos_id() >= 0 else None
        begun = [self._model.id_to_piece(i) for i in self._model.encode("a")]
        self._dummy_prefix = begun[:1] != ["a"] and self._config.get("legacy", True) is not False
        self.controls = _controls(self._model, self._config)
        # The longest first, since one may begin like another. A literal stand-in is split out too, see _literal.
        names = sorted(special, key=len, reverse=True)
        self._split = re.compile("(" + "|".join(map(re.escape, [*names, _SPACE])) + ")")

    @classmethod
    def from_folder(cls, folder: str | Path) -> SentencePieceTokenizer:
        """Raises BackendError if the folder holds no readable ``tokenizer.model``."""
        return cls(folder)

    def encode(self, text: str) -> list[int]:
        return [i for part in unguarded(text, self.controls) for i in self._part(part)]

    def _rendered(self, text: str) -> list[int]:
        """A conversation as the transformers library encodes it.

        If the library puts a dummy space before each text, it also puts one after each control token.
        """
        if not self._dummy_prefix:
            return self.encode(text)
        ids: list[int] = []
        for part in self._split.split(text):
            begins = not ids or ids[-1] in self._special.values()
            first, *others = unguarded(part, self.controls)
            plain = begins and first not in (*self._special, _SPACE)
            ids += self._model.encode(first) if plain else self._part(first)
            ids += [i for other in others for i in self._part(other)]
        return ids

    def _part(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._split.split(text):
            if part in self._special:
                ids.append(self._special[part])
            elif part == _SPACE:
                ids += self._literal(part)
            elif part:
                ids += self._plain(part)
        return ids

    def decode(self, ids: Sequence[int] | IntArray) -> str:
        return b"".join(map(self._spelling, ids)).decode("utf-8", "replace")

    def pieces(self, ids: Sequence[int] | IntArray) -> list[str]:
        return [self._spelling(i).decode("utf-8", "replace") for i in ids]

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        if self._template is not None:
            return self._rendered(self._template.prompt(messages, options))
        opened = self._model.bos_id() >= 0 and self._config.get("add_bos_token", True)
        return [self._model.bos_id()] * bool(opened) + self.encode(plain_chat(messages))

    def _plain(self, text: str) -> list[int]:
        """Ids of a text without control tokens: those after the anchor."""
        ids: list[int] = self._model.encode(_ANCHOR + text)
        start = len(self._anchor)
        return ids[start:] if ids[:start] == self._anchor else list(self._model.encode(text))

    def _spelling(self, token: int) -> bytes:
        return self.bytes_of[token] if 0 <= token < len(self.bytes_of) else b""

    def _literal(self, text: str) -> list[int]:
        """A character that SentencePiece would take for a space, spelled in bytes if the model has them."""
        spelled = [self._byte_ids.get(bytes([b])) for b in text.encode()]
        return [i for i in spelled if i is not None] if None not in spelled else self._plain(text)

    def _is_byte(self, token: int) -> bool:
        return token < self._model.vocab_size() and bool(self._model.is_byte(token))

    def _text_of(self, name: str) -> str | None:
        token = self._config.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        return text if isinstance(text, str) else None


def _optional_json(file: Path) -> dict[str, Any]:
    return read_json(file) if file.is_file() else {}


def _load(file: Path) -> SentencePieceProcessor:
    if not file.is_file():
        raise BackendError(f"{file} is missing; the embedded engine needs the checkpoint's SentencePiece model")
    try:
        model = SentencePieceProcessor(model_file=str(file))
    except (RuntimeError, OSError) as error:
        raise BackendError(f"{file} is not a SentencePiece model ({error}); fetch the checkpoint again") from error
    return model


def _special_tokens(model: SentencePieceProcessor, config: Mapping[str, Any]) -> dict[str, int]:
    """Text and id of the tokens that SentencePiece itself would not find in a text."""
    pieces = range(model.vocab_size())
    special = {model.id_to_piece(i): i for i in pieces if model.is_control(i)}
    return special | {entry["content"]: token for token, entry in _added(config)}


def _added(config: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The tokens that ``tokenizer_config.json`` adds, by their ids; raises BackendError for an invalid one."""
    added = config.get("added_tokens_decoder") or {}
    for token, entry in added.items() if isinstance(added, dict) else [("", added)]:
        is_token = isinstance(entry, dict) and isinstance(entry.get("content"), str)
        if not (is_token and token.isascii() and token.isdigit() and len(token) < 8):
            raise BackendError("tokenizer_config.json adds an invalid token; fetch the checkpoint again")
        yield int(token), entry


def _controls(model: SentencePieceProcessor, config: Mapping[str, Any]) -> dict[str, int]:
    """The special tokens that mark turns and ends; others (tags for a model's own use) are text that it writes."""
    own = {model.id_to_piece(i): i for i in range(model.vocab_size()) if model.is_control(i) or model.is_unknown(i)}
    return own | {entry["content"]: token for token, entry in _added(config) if entry.get("special")}


def _spellings(model: SentencePieceProcessor, special: Mapping[str, int]) -> list[bytes]:
    spellings = [_piece_bytes(model, i) for i in range(model.vocab_size())]
    spellings += [b""] * (max(special.values(), default=-1) + 1 - len(spellings))
    for text, token in special.items():
        spellings[token] = text.encode()
    return spellings


def _piece_bytes(model: SentencePieceProcessor, token: int) -> bytes:
    piece: str = model.id_to_piece(token)
    if model.is_byte(token):
        return bytes([int(piece[3:-1], 16)])  # "<0x0A>"
    return piece.replace(_SPACE, " ").encode()
