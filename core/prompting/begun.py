"""Which recorded samples began inside their thinking, if the prompt that opened it was not recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from widthwise.core.prompting.saying import BEGUN
from widthwise.core.prompting.thinking import USUAL
from widthwise.core.trace.recording import Recording, Sample


def with_begun(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings of one file; samples of models whose prompts open the thinking carry a note (``BEGUN``).

    If the prompt was recorded, it decides. Otherwise a model's samples do: if they close a thinking that none of them
    opens, a sample that closes nothing was cut off inside its thinking.
    """
    by_model: dict[str, list[Sample]] = {}
    for recording in recordings:
        for sample in recording.samples:
            by_model.setdefault(_model(recording, sample), []).append(sample)
    begun = {model for model, samples in by_model.items() if _only_closes(samples)}
    return [_noted(recording, begun) for recording in recordings]


def _model(recording: Recording, sample: Sample) -> str:
    return str(sample.metadata.get("model") or recording.fields.get("model"))


def _only_closes(samples: Sequence[Sample]) -> bool:
    """Whether some samples close a thinking and none opens one before that."""
    firsts = [_first_marks(sample.text) for sample in samples]
    closing = [closed < opened for opened, closed in firsts if closed != opened]
    return bool(closing) and all(closing)


def _first_marks(text: str) -> tuple[int, int]:
    """Where thinking is first opened and first closed; past the end of the text if it is not."""
    opened, closed = ([text.find(mark) for mark in marks] for marks in zip(*USUAL.marks, strict=True))
    return _first(opened, len(text)), _first(closed, len(text))


def _first(found: Sequence[int], nowhere: int) -> int:
    return min((at for at in found if at >= 0), default=nowhere)


def _noted(recording: Recording, begun: set[str]) -> Recording:
    if recording.prompt is not None:
        opened = [USUAL.begun(recording.prompt)] * len(recording.samples)
    else:
        opened = [_model(recording, sample) in begun for sample in recording.samples]
    if not any(opened):
        return recording
    pairs = zip(recording.samples, opened, strict=True)
    samples = [replace(s, metadata={**s.metadata, BEGUN: True}) if known else s for s, known in pairs]
    return replace(recording, samples=tuple(samples))
