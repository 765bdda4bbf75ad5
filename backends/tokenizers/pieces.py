"""Token-like pieces of text, for models whose tokenizer is unknown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from widthwise.backends.tokenizers.chat_template import ChatTemplate, controls_in, plain_chat
from widthwise.core.arrays import IntArray
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.literal import GUARD

# Similar to the pre-tokenisation of byte-pair vocabularies: a word of up to eight letters with the space before it, up
# to three digits, a LaTeX command, a run of up to three punctuation marks, line ends, spaces.
_PIECE = re.compile(
    r"""
      \ ?\\?[^\W\d_]{1,8}
    | \d{1,3}
    | \ ?[^\w\s]{1,3} | \ ?_{1,3}
    | \s*\n+
    | \s{1,8}
    | .
    """,
    re.VERBOSE | re.DOTALL,
)

_APART = "\u200b"
_SHORT, _MOST_SHORT = 24, 100_000
"""A stream delivers texts of about a token, many of them repeatedly: up to so many texts of so many characters are
kept.
"""


def pieces_of(text: str, ends: IntArray) -> list[str]:
    """``text`` cut at the characters ``ends``."""
    return [text[a:b] for a, b in pairwise([0, *ends.tolist()])]


class PieceTokenizer:
    """A reversible approximation of a tokenizer, the same for every strategy.

    A text is cut by a fixed regular expression into pieces of about a token's length; a piece's id is 62 bits of its
    hash, the same on every machine. Counts of pieces approximate counts of tokens: on recorded solutions of competition
    problems a piece has 2.6 to 3.1 characters, and a text has 0.93 to 0.98 times as many pieces as tokens of a
    byte-pair vocabulary of 131,000 (Mistral's Tekken), 0.82 to 0.89 times as many as tokens of a SentencePiece
    vocabulary of 32,000. ``decode`` knows the pieces that this instance has seen.

    Conversations are written in the model's own ``template``, if it is known; they omit a begin-of-sequence token
    ``bos`` that a server puts before every text. A server that takes text reads control tokens wherever they are
    spelled: in text that is data, a zero-width space breaks up the spelling (see ``literal``).
    """

    eos_ids: frozenset[int] = frozenset()
    bos_id: int | None = None

    def __init__(self, template: ChatTemplate | None = None, *, bos: str = "") -> None:
        self._template, self._bos = template, bos
        self._texts: dict[int, str] = {}
        self._ids: dict[str, int] = {}
        self._short: dict[str, list[int]] = {}
        spelled = [] if template is None else controls_in(template)
        self.controls: Mapping[str, int] = {control: self._id(control) for control in spelled}
        self._control = re.compile("(" + "|".join(map(re.escape, spelled)) + ")") if spelled else None

    @property
    def has_template(self) -> bool:
        """Whether conversations are written in the model's own format."""
        return self._template is not None

    def intern(self, pieces: Iterable[str]) -> list[int]:
        """Ids of pieces that are known as such, for example the tokens of a recording."""
        return [self._id(piece) for piece in pieces]

    def learn(self, text: str, ends: IntArray) -> None:
        """Learn the pieces of ``text`` that end at ``ends``, so that what an earlier process stored can be spelled."""
        self.intern(pieces_of(text, ends))

    def encode(self, text: str) -> list[int]:
        known = self._short.get(text)
        if known is None:
            known = self.intern(self._cut(text))
            if len(text) <= _SHORT and len(self._short) < _MOST_SHORT:
                self._short[text] = known
        return known[:]

    def _cut(self, text: str) -> Iterable[str]:
        if self._control is None:
            return _PIECE.findall(text)
        parts = self._control.split(text.replace(GUARD, _APART))
        return (piece for i, part in enumerate(parts) for piece in ([part] if i % 2 else _PIECE.findall(part)))

    def decode(self, ids: Sequence[int] | IntArray) -> str:
        return "".join(self.pieces(ids))

    def pieces(self, ids: Sequence[int] | IntArray) -> list[str]:
        """Raises KeyError for an id that this instance never gave out."""
        return [self._texts[int(i)] for i in ids]

    def chat(self, messages: Sequence[Mapping[str, str]], options: ChatOptions = NO_OPTIONS) -> list[int]:
        if self._template is None:
            return self.encode(plain_chat(messages))
        return self.encode(self._template.prompt(messages, options).removeprefix(self._bos))

    def _id(self, piece: str) -> int:
        known = self._ids.get(piece)
        if known is not None:
            return known
        # Two pieces of a run practically never share 62 bits; if they do, the second moves on by one.
        new = int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=8).digest(), "little") >> 2
        while new in self._texts:
            new += 1
        self._ids[piece], self._texts[new] = new, piece
        return new
