"""What a micro reasoner learns from: documents as text, and a corpus of them as arrays of token ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import sentencepiece
from numpy.typing import NDArray

IGNORED = 0xFFFF
"""The target of a position that is not learned."""
LONGEST = 1024
"""Maximum number of tokens of a document; the rest is cut off."""
END = "</s>"

Part: TypeAlias = tuple[str, bool | str]


@dataclass(frozen=True, slots=True)
class Document:
    """One text of a skill, in parts: parts marked True are learned, parts marked False are only read.

    A part marked with a piece is only read too, and at each of its tokens the model learns to say that piece: a verdict
    at the end alone is one bit of a long text. `key` is the canonical key of the document's problem, for the held-out
    split.
    """

    key: str
    skill: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


def document(key: str, skill: str, asked: str, answered: str) -> Document:
    """A document of one turn: the question is read, the answer is learned."""
    return Document(key, skill, ((turn(asked), False), (answered + END, True)))


def turn(asked: str) -> str:
    """The user's turn in the chat format, and the beginning of the assistant's."""
    return f"<user>{asked}<assistant>"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Token ids of many documents end to end; document i is `tokens[starts[i]:starts[i + 1]]`.

    `targets` are what each position shall predict: the next token, a label, or `IGNORED`.
    """

    tokens: NDArray[np.uint16]
    targets: NDArray[np.uint16]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def load(cls, path: Path) -> Corpus:
        with np.load(path) as arrays:
            return cls(arrays["tokens"], arrays["targets"], arrays["starts"])

    def save(self, path: Path) -> None:
        np.savez(path, tokens=self.tokens, targets=self.targets, starts=self.starts)

    @classmethod
    def of(cls, rows: Iterable[tuple[Sequence[int], Sequence[int]]]) -> Corpus:
        """From (tokens, targets) of each document; documents whose learned part lies beyond the cut are left out."""
        tokens, targets, starts = [], [], [0]
        for ids, aims in rows:
            if all(aim == IGNORED for aim in aims[:LONGEST]):
                continue
            tokens.append(np.array(ids[:LONGEST], np.uint16))
            targets.append(np.array(aims[:LONGEST], np.uint16))
            starts.append(starts[-1] + len(tokens[-1]))
        return cls(np.concatenate(tokens), np.concatenate(targets), np.array(starts))


def encode(documents: Iterable[Document], tokenizer: sentencepiece.SentencePieceProcessor) -> Corpus:
    """The corpus of documents whose learned parts are predicted token by token."""
    return Corpus.of(row(each, tokenizer) for each in documents)


def row(each: Document, tokenizer: sentencepiece.SentencePieceProcessor) -> tuple[list[int], list[int]]:
    """Its tokens and what each position shall predict."""
    ids: list[int] = []
    targets: list[int] = []
    for text, learn in each.parts:
        piece = encode_text(text, tokenizer)
        if learn is True:
            targets[-1:] = [*(piece if targets else piece[1:]), IGNORED]
        else:
            targets += [tokenizer.piece_to_id(learn) if learn else IGNORED] * len(piece)
        ids += piece
    return ids, targets


def encode_text(text: str, tokenizer: sentencepiece.SentencePieceProcessor) -> list[int]:
    """Token ids of a text; `</s>` at its end is the end-of-sequence token."""
    body = text.removesuffix(END)
    ids: list[int] = tokenizer.encode(body)
    return ids if body == text else [*ids, tokenizer.eos_id()]
