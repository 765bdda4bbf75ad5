"""What a run file says of the model that it recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.trace.recording import Recording
from widthwise.core.trace.trace import MODEL
from widthwise.evals.store.configuration import models_in
from widthwise.evals.store.recorded_asking import asking_in
from widthwise.evals.store.recorded_saying import marks_in
from widthwise.models.families import OWN_PROFILE


def recorded_facts(manifest: Mapping[str, Any], file: str) -> ModelFacts:
    """The model's name, its profile, and how it marked its thinking.

    Raises ``UsageError`` for a run of several models: a replay stands for one.
    """
    _check_single(models_in(manifest), file)
    profile = (asking_in(manifest) or {}).get("profile")
    return ModelFacts(
        str(manifest["configuration"].get("model")),
        config={OWN_PROFILE: profile} if profile else {},
        thinking=marks_in(manifest),
    )


def facts_of_recordings(recordings: Mapping[str, Recording], name: str) -> ModelFacts:
    """The model's name, as far as recordings say it; ``UsageError`` for an exported run of several models."""
    ours = [sample for recording in recordings.values() for sample in recording.samples if sample.path]
    _check_single(sorted({str(sample.metadata[MODEL]) for sample in ours if MODEL in sample.metadata}), name)
    return ModelFacts(str(next((r.fields.get("model") for r in recordings.values()), None) or name))


def _check_single(names: Sequence[str], file: str) -> None:
    if len(names) > 1:
        raise UsageError(
            f"{file} was sampled by several models ({', '.join(names)}), and a replay stands for one: replay runs of "
            "each, --model NAME=replay:RUN.db"
        )
