"""Hugging Face tokenizers: from a checkpoint's files, or as an engine has already loaded them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.backends.tokenizers.chat_template import ChatTemplate, plain_chat, special_tokens
from widthwise.backends.tokenizers.spellings import spelled, spellings
from widthwise.core.arrays import IntArray
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.errors import UsageError
from widthwise.core.file_bytes import file_bytes
from widthwise.core.literal import unguarded

_log = logging.getLogger(__name__)

# Put before a text so that a tokenizer treats it as the middle of a text.
_ANCHOR = "\n"

_NO_VOCABULARY = 2**31
"""More tokens than any model has."""


class HFTokenizer:
    """A tokenizer given by its two directions, both literal: control tokens parsed and spelled out, none added.

    ``template`` is None for a model without a chat format; its conversations are plain text after the ``opening`` ids
    (a begin-of-sequence token). ``bytes_of`` is what each id spells, in UTF-8, if known.
    """

    def __init__(
        self,
        encode: Callable[[str], list[int]],
        decode: Callable[[list[int]], str],
        *,
        eos_ids: Iterable[int],
        template: ChatTemplate | None,
        controls: Mapping[str, int],
        opening: Sequence[int] = (),
        bytes_of: Sequence[bytes] = (),
        bos_id: int | None = None,
    ) -> None:
        self._encode, self._decode = encode, decode
        self.eos_ids = frozenset(eos_ids)
        self.controls = controls
        self.bos_id = bos_id
        self.bytes_of = bytes_of
        self.template = template
        if template is None:
            _log.info("the tokenizer has no chat template: conversations are plain text joined by blank lines")
        self._opening = list(opening)
        self._anchor, self._anchor_ids = self._find_anchor()

    @classmethod
    def from_folder(cls, path: str | Path) -> HFTokenizer:
        """The tokenizer of a checkpoint folder (``tokenizer.json``), without the transformers library."""
        from tokenizers import Tokenizer

        folder = Path(path)
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises this very class
            raise UsageError(f"{folder / 'tokenizer.json'} is not a tokenizer ({error}); fetch it again") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        table = spellings(tokenizer)
        named = special_tokens(_json(folder / "tokenizer_config.json"))
        bos, eos = named.get("bos_token"), named.get("eos_token")
        own = None if eos is None else tokenizer.token_to_id(eos)
        return cls(
            lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids),
            lambda ids: spelled(table, ids),
            eos_ids=as_ids(own) + eos_ids_of(folder),
            template=ChatTemplate.from_folder(folder),
            controls={t.content: i for i, t in tokenizer.get_added_tokens_decoder().items() if t.special},
            opening=tokenizer.encode("", add_special_tokens=True).ids[:1],
            bytes_of=table,
            bos_id=None if bos is None else tokenizer.token_to_id(bos),
        )

    @classmethod
    def wrapping(cls, tokenizer: Any, eos_ids: Iterable[int]) -> HFTokenizer:
        """A tokenizer of the transformers library; ``eos_ids`` are added to its own end-of-sequence token."""
        return cls(
            lambda text: list(tokenizer.encode(text, add_special_tokens=False)),
            lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)),
            eos_ids=[*as_ids(tokenizer.eos_token_id), *eos_ids],
            template=_transformers_template(tokenizer),
            controls={t.content: i for i, t in tokenizer.added_tokens_decoder.items() if t.special},
            opening=tokenizer.encode("")[:1],
            bos_id=tokenizer.bos_token_id,
        )

    def encode(self, text: str) -> list[int]:
        return [i for part in unguarded(text, self.controls) if part for i in self._part(part)]

    def _part(self, text: str) -> list[int]:
        ids = self._encode(self._anchor + text)
        if ids[: len(self._anchor_ids)] != self._anchor_ids:  # the text's beginning merged with the anchor
            return self._encode(text)
        return ids[len(self._anchor_ids) :]

    def decode(self, ids: Sequence[int] | IntArray) -> str:
        if self.bytes_of:
            return spelled(self.bytes_of, ids.tolist() if isinstance(ids, np.ndarray) else ids)
        return self._decode([*self._anchor_ids, *map(int, ids)])[len(self._anchor) :]

    def pieces(self, ids: Sequence[int] | IntArray) -> list[str]:
        return [self.decode([i]) for i in ids]

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        if self.template is not None:
            return self.encode(self.template.prompt(messages, options))
        opening = [i for i in self._opening if i not in self.eos_ids]
        return opening + self.encode(plain_chat(messages))

    def _find_anchor(self) -> tuple[str, list[int]]:
        """The anchor; empty for a tokenizer that treats every text as the middle of a text.

        A SentencePiece tokenizer adds a space at the beginning of a text and removes one there; a trace is continued in
        the middle.
        """
        adds_space = self._encode(_ANCHOR + "a") != self._encode(_ANCHOR) + self._encode("a")
        drops_space = self._decode(self._encode(" a")) != " a"
        return (_ANCHOR, self._encode(_ANCHOR)) if adds_space or drops_space else ("", [])


def eos_ids_of(folder: Path) -> list[int]:
    """The ends of sequence named in a checkpoint's ``generation_config.json`` and ``config.json``."""
    files = (folder / "generation_config.json", folder / "config.json")
    return [i for file in files for i in as_ids(_json(file).get("eos_token_id"), str(file))]


def as_ids(entry: Any, where: str = "the tokenizer") -> list[int]:
    """A list: the configuration files give one id, several, or none. Raises ``UsageError`` for anything else."""
    ids = [] if entry is None else entry if isinstance(entry, list) else [entry]
    for id in ids:
        if not isinstance(id, int) or isinstance(id, bool) or abs(id) >= _NO_VOCABULARY:
            raise UsageError(
                f"{where} names {str(id)[:80]!r} as an end of sequence, which is not a token id; fetch it again"
            )
    return ids


def _transformers_template(tokenizer: Any) -> ChatTemplate | None:
    try:
        source = tokenizer.get_chat_template()
    except ValueError:  # none is set
        return None
    return ChatTemplate(source, special_tokens(tokenizer.special_tokens_map))


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(file_bytes(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    return content if isinstance(content, dict) else {}
