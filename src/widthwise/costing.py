"""What a token of a run's model costs, from what is known of the model."""

from __future__ import annotations

import logging
from pathlib import Path

from widthwise.backends.model_facts import config_in
from widthwise.core.backend import Backend
from widthwise.core.errors import UsageError
from widthwise.core.model_shape import ModelShape
from widthwise.core.prompting.profile import facts_of
from widthwise.settings import RunSettings

_log = logging.getLogger(__name__)


def shape_for(settings: RunSettings, backend: Backend) -> ModelShape | None:
    """The shape that the settings name, else that of the model's own files; None if neither tells.

    Raises ``UsageError`` for a ``model_config`` that describes no dense decoder.
    """
    if settings.flops_per_token is not None:
        return ModelShape(round(settings.flops_per_token))
    if settings.model_config is not None:
        return _named(Path(settings.model_config).expanduser())
    config = facts_of(backend).config
    try:
        return ModelShape.of_config(config) if config else None
    except ValueError as error:
        _log.info("FLOPs are not counted: the config.json of %s is not understood: %s", backend.name, error)
        return None


def _named(path: Path) -> ModelShape:
    file = path / "config.json" if path.is_dir() else path
    config = config_in(file)
    if not config:
        raise UsageError(f"there is no config.json at {path}: name a checkpoint's folder, or give --flops-per-token")
    try:
        return ModelShape.of_config(config)
    except ValueError as error:
        raise UsageError(f"FLOPs cannot be counted from {file}: {error}; give --flops-per-token instead") from error
