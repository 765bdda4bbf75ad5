"""What a session reports to a run store while it works, so that a killed run loses no finished generation."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from typing import Protocol

from widthwise.core.arrays import IntArray
from widthwise.core.backend import Delta, SamplingParams
from widthwise.core.rewards.reward import StepScores
from widthwise.core.trace.trace import Segment, Trace, TraceId

_PENALTIES = ("repetition_penalty", "presence_penalty", "frequency_penalty")


class Journal(Protocol):
    """Keeps finished generations, and gives them back to a resumed run, which then need not sample them again."""

    def recorded(self, problem_id: str, trace_id: TraceId, params: str, seed: int, model: str = "") -> Segment | None:
        """The generation that this very request finished earlier at this place of the tree; else None.

        ``model`` is the name of the model that was asked, in a run with several.
        """
        ...

    def record(self, problem_id: str, trace: Trace) -> None:
        """Keep ``trace``'s last segment, which the backend finished."""
        ...

    def recorded_scores(self, problem_id: str, key: str) -> StepScores | None:
        """What the reward model returned earlier for the solution that ``key`` names; None if that was an error."""
        ...

    def record_scores(self, problem_id: str, scores: Sequence[tuple[TraceId, str, StepScores]]) -> None:
        """Keep what the reward model returned in one call for traces and their solutions' keys, errors included."""
        ...


async def replayed(segment: Segment, chunk: int) -> AsyncIterator[Delta]:
    """A generation that was finished before, delivered as if it came from the backend now."""
    ids, stats = segment.token_ids, segment.stats
    for start in range(0, max(len(ids), 1), chunk):
        part = slice(start, start + chunk)
        over = start + chunk >= len(ids)
        yield Delta(
            ids[part],
            stats=None if stats is None else stats.part(part),
            finish=segment.finish if over and segment.finish in ("stop", "length") else None,
            stop_reason=segment.reason if over else None,
            usage=segment.usage if start == 0 else None,
            metadata=segment.metadata if over else {},
        )


def request_digest(prompt: IntArray, params: SamplingParams, model: str = "") -> str:
    """Identifies a request apart from its seed: a journal compares it before it serves a recorded generation.

    ``model`` is the name of the model that is asked, in a run with several.
    """
    return hashlib.blake2b(prompt.tobytes() + _spelled(params).encode() + model.encode(), digest_size=12).hexdigest()


def _spelled(params: SamplingParams) -> str:
    """The parameters; without penalties, in the form of runs from before penalties existed."""
    said = (field for field in fields(params) if params.penalised or field.name not in _PENALTIES)
    return f"SamplingParams({', '.join(f'{field.name}={getattr(params, field.name)!r}' for field in said)})"
