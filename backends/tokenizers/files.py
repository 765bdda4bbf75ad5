"""The tokenizer of a checkpoint: a local folder, a file in it, or a hub id."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from widthwise.backends.hub import downloaded
from widthwise.backends.tokenizers.huggingface import HFTokenizer
from widthwise.core.backend import Tokenizer
from widthwise.core.errors import UsageError

_log = logging.getLogger(__name__)

_FILES = ["tokenizer*", "*chat_template*", "special_tokens_map.json", "config.json", "generation_config.json"]


class CheckpointTokenizer(Tokenizer, Protocol):
    """A tokenizer whose files are local.

    ``bytes_of`` is what each id spells, in UTF-8; an id beyond it spells nothing.
    """

    @property
    def bytes_of(self) -> Sequence[bytes]: ...


def tokenizer_from(path: str | Path) -> CheckpointTokenizer:
    """The tokenizer in a checkpoint folder, given by the folder or by its ``tokenizer.json`` / ``tokenizer.model``.

    Raises UsageError if there is none.
    """
    place, folder = Path(path), holding(path)
    if (folder / "tokenizer.json").is_file() and place.name != "tokenizer.model":
        return HFTokenizer.from_folder(folder)
    if (folder / "tokenizer.model").is_file():
        from widthwise.backends.tokenizers.sentencepiece import SentencePieceTokenizer

        return SentencePieceTokenizer.from_folder(folder)
    raise UsageError(f"{place} has neither a tokenizer.json nor a tokenizer.model")


def holding(path: str | Path) -> Path:
    """``path`` if it is a folder, else the folder that contains it."""
    return Path(path).parent if Path(path).is_file() else Path(path)


def folder_of(model: str) -> Path | None:
    """Where a model's tokenizer files are: its local folder, or a download by hub id; None if neither exists."""
    if Path(model).is_dir():
        return Path(model)
    try:
        return downloaded(model, _FILES)
    except Exception as error:  # no network, no such model, no access: all mean that there are no files
        _log.info("no tokenizer files of %s on the Hugging Face hub: %s", model, error)
        return None
