"""What each token of a ``tokenizer.json`` spells, in bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from widthwise.core.errors import UsageError

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
Spelling = Callable[[str], bytes]
# SentencePiece's stand-in for a space inside pieces.
_SPACE = "\u2581"


def spellings(tokenizer: Any) -> list[bytes]:
    """The bytes of each id of a tokenizer of the ``tokenizers`` library; an unused id spells nothing."""
    of_piece, of_added = _writing(tokenizer)
    table = [b""] * (max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1)
    for piece, token in tokenizer.get_vocab(with_added_tokens=False).items():
        table[token] = of_piece(piece)
    for token, added in tokenizer.get_added_tokens_decoder().items():
        table[token] = added.content.encode() if added.special else of_added(added.content)
    return table


def spelled(table: Sequence[bytes], ids: Sequence[int]) -> str:
    """The text of some ids: U+FFFD for bytes that do not form a character, nothing for an id beyond the table."""
    end = len(table)
    return b"".join([table[i] if 0 <= i < end else b"" for i in ids]).decode("utf-8", "replace")


def _writing(tokenizer: Any) -> tuple[Spelling, Spelling]:
    """How vocabulary and added tokens write bytes: one character each (byte-level), or SentencePiece's way."""
    decoder = {} if tokenizer.decoder is None else json.loads(tokenizer.decoder.__getstate__())
    kinds = {str(part.get("type")) for part in (decoder, *decoder.get("decoders", ()))}
    if "ByteLevel" in kinds:
        return lambda piece: b"".join(_BYTES.get(character, character.encode()) for character in piece), str.encode
    if kinds & {"ByteFallback", "Metaspace", "Replace"}:
        return _sentencepiece_bytes, _sentencepiece_bytes
    raise UsageError(
        f"the tokenizer's decoder ({', '.join(sorted(kinds))}) is not supported here; vllm: runs such a checkpoint"
    )


def _sentencepiece_bytes(piece: str) -> bytes:
    byte = _BYTE.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace(_SPACE, " ").encode()


def _byte_characters() -> dict[str, bytes]:
    """GPT-2's alphabet: a printable character for each byte, the byte's own if it is printable."""
    own = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(b): bytes([b]) for b in own} | {chr(256 + i): bytes([b]) for i, b in enumerate(others)}


_BYTES = _byte_characters()
