"""What a token of a run's model costs, from what is known of the model."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from widthwise.core.backend import Backend
from widthwise.core.errors import UsageError
from widthwise.core.model_shape import ModelShape
from widthwise.core.prompting.profile import facts_of

_log = logging.getLogger(__name__)


def check_cost(model: Any, model_config: str | Path | None, flops_per_token: float | None) -> None:
    """Raises ``UsageError`` for settings from which FLOPs cannot be counted; ``model`` may be several by name."""
    named = {"model_config": model_config, "flops_per_token": flops_per_token}
    given = [name for name, value in named.items() if value is not None]
    if given and isinstance(model, Mapping):
        raise UsageError(f"{given[0]} is about one model, and the run has several: their own files are read")
    if len(given) > 1:
        raise UsageError("model_config and flops_per_token both say what a token costs: give one of them")
    if flops_per_token is not None and not 1 <= flops_per_token < math.inf:
        raise UsageError(f"flops_per_token must be at least 1, not {flops_per_token}")


def shape_for(
    backend: Backend, model_config: str | Path | None = None, flops_per_token: float | None = None
) -> ModelShape | None:
    """The shape that the settings name, else that of the model's own files; None if neither tells.

    Raises ``UsageError`` for a ``model_config`` that describes no dense decoder.
    """
    if flops_per_token is not None:
        return ModelShape(round(flops_per_token))
    if model_config is not None:
        return _named(Path(model_config).expanduser())
    config = facts_of(backend).config
    try:
        return ModelShape.of_config(config) if config else None
    except ValueError as error:
        _log.info("FLOPs are not counted: the config.json of %s is not understood: %s", backend.name, error)
        return None


def _named(path: Path) -> ModelShape:
    from widthwise.backends.model_facts import config_in

    file = path / "config.json" if path.is_dir() else path
    config = config_in(file)
    if not config:
        raise UsageError(f"there is no config.json at {path}: name a checkpoint's folder, or give --flops-per-token")
    try:
        return ModelShape.of_config(config)
    except ValueError as error:
        raise UsageError(f"FLOPs cannot be counted from {file}: {error}; give --flops-per-token instead") from error
