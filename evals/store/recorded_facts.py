"""What a run file says of the model that it recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.evals.store.configuration import models_in
from widthwise.evals.store.recorded_asking import asking_in
from widthwise.evals.store.recorded_saying import marks_in
from widthwise.models.families import OWN_PROFILE


def recorded_facts(manifest: Mapping[str, Any], file: str) -> ModelFacts:
    """The model's name, its profile, and how it marked its thinking.

    Raises ``UsageError`` for a run of several models: a replay stands for one.
    """
    if len(names := models_in(manifest)) > 1:
        raise UsageError(
            f"{file} was sampled by several models ({', '.join(names)}), and a replay stands for one: replay runs of "
            "each, --model NAME=replay:RUN.db"
        )
    profile = (asking_in(manifest) or {}).get("profile")
    return ModelFacts(
        str(manifest["configuration"].get("model")),
        config={OWN_PROFILE: profile} if profile else {},
        thinking=marks_in(manifest),
    )
