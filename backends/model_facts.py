"""What a checkpoint's files say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from widthwise.backends.tokenizers.chat_template import ChatTemplate
from widthwise.core.errors import UsageError
from widthwise.core.file_bytes import file_bytes
from widthwise.core.plain_json import parse
from widthwise.core.prompting.profile import ModelFacts


def facts_in(folder: Path | None, name: str) -> ModelFacts:
    """The facts in a checkpoint folder; if a model's files are not available, only its name is known.

    Raises ``UsageError`` for damaged files.
    """
    if folder is None:
        return ModelFacts(name)
    template = ChatTemplate.from_folder(folder)
    return ModelFacts(
        name,
        config=config_in(folder / "config.json"),
        generation=config_in(folder / "generation_config.json"),
        template=None if template is None else template.source,
        arguments=frozenset() if template is None else template.arguments,
    )


def config_in(file: Path) -> dict[str, Any]:
    """The JSON object in a checkpoint's file; empty if there is none. Raises ``UsageError`` for a damaged file."""
    try:
        content = parse(file_bytes(file))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as JSON: {error}") from error
    return content if isinstance(content, dict) else {}
