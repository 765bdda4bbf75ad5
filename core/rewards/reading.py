"""The contract between reward and embedding models and the engines that run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import Tokenizer, Usage
from widthwise.core.brief import Brief
from widthwise.core.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Reading(Brief):
    """One pass over a token sequence: the model's outputs at some of its positions.

    ``ids`` is the whole sequence, ``int64 [length]``; ``positions`` ascend. ``labels`` are the token ids whose
    next-token log-probabilities are wanted; without labels, the outputs of the model's own head are. ``problem`` keeps
    a problem's readings on one server of a pool. ``conversation`` is what the sequence spells, for engines that take
    messages; None for a sequence that is not a conversation.
    """

    ids: IntArray
    positions: tuple[int, ...]
    labels: tuple[int, ...] = ()
    problem: str = ""
    conversation: Conversation | None = None

    def __post_init__(self) -> None:
        if not self.positions or self.positions[0] < 0 or self.positions[-1] >= len(self.ids):
            raise ValueError(f"positions {self.positions} are not all within {len(self.ids)} tokens")


@dataclass(frozen=True, slots=True)
class Read(Brief):
    """``values`` ``float32 [positions, labels or classes]``, before any softmax over the labels, and what they cost.

    ``written`` tokens were sampled for the reading. ``silence`` says why there are no values although nothing failed.
    """

    values: FloatArray
    usage: Usage
    written: int = 0
    silence: str | None = None


class Reader(Protocol):
    """An engine that reads. ``reuses_prefixes``: it does not compute again what it has computed for a prefix.

    ``read`` raises ``BackendError`` as ``Backend.generate`` does.
    """

    @property
    def name(self) -> str: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def reuses_prefixes(self) -> bool: ...

    async def read(self, reading: Reading) -> Read: ...

    def describe(self) -> Mapping[str, Any]: ...

    async def close(self) -> None: ...


class Embedder(Protocol):
    """Turns texts into unit vectors that are close together for texts of similar meaning.

    ``embed`` gives ``float32 [texts, dimensions]`` and the number of tokens it read; it raises ``BackendError``.
    """

    @property
    def name(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> tuple[FloatArray, int]: ...
