"""What a run file says about how its model was asked; a file from elsewhere may say anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from widthwise.core.errors import UsageError
from widthwise.evals.store.configuration import entry_of, models_in


def asking_in(manifest: Mapping[str, Any], entry: str = "asking") -> dict[str, Any] | None:
    """The manifest's ``entry`` about a model; None for runs from before it existed.

    Raises ``UsageError`` for an entry that no run has written.
    """
    said = manifest.get(entry)
    if said is None:
        return None
    try:
        _check(said)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"the run file is damaged: it does not say how its model was asked ({error!r})") from None
    return dict(said)


def asking_by_model(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """What ``asking_in`` says of each model, by name, in a run with several; empty for a single one."""
    names = models_in(manifest)
    return {name: asking_in(manifest, entry_of("asking", name, names)) for name in names} if len(names) > 1 else {}


def _check(said: Mapping[str, Any]) -> None:
    date.fromisoformat(said["date"])
    texts = [said["profile"], said["why"], said.get("step_separator", "")]
    texts += [*said["sampling_from"].values(), *said.get("notes", ())]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is not a text")
    if not all(isinstance(value, int | float) for value in said["sampling"].values()):
        raise TypeError("a setting is not a number")
    if not said["sampling_from"].keys() <= said["sampling"].keys():
        raise KeyError("a source without a setting")
