"""What every built-in part that samples has: the name of the model that works for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from widthwise.core.strategy.part import Part


@dataclass(frozen=True, kw_only=True)
class ModelPart(Part):
    """A part for which ``model`` works, one of the run's models by name.

    None: the model that works for the part around it, and the run's first one at the outermost.
    """

    model: str | None = None

    names_model: ClassVar[bool] = True
