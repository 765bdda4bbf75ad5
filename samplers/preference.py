"""Which drafts are worth showing: preferences of the model itself, a verifier or a score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from widthwise.core.prompting.reply import numbers
from widthwise.core.scores.trace_score import trace_scores
from widthwise.core.session.session import Session
from widthwise.core.strategy.verification import note_silence, verified
from widthwise.core.trace.trace import Trace

SELF = "self"
VERIFY = "verify"

Scores = list[float | None]


async def opinions(
    session: Session, drafts: Sequence[Trace], told: Sequence[str], by: str, k: int, times: int
) -> tuple[list[Scores], list[Trace]]:
    """``times`` opinions on the drafts, each one score per draft, and the judges' replies they were read from.

    ``by``: "self" shows the model all drafts (in the form ``told``) and asks for the best ``k``; "verify" asks of each
    draft whether it is right and takes the verdict's probability; any other word is a score of ``trace_scores``, which
    gives only one opinion. None if nothing was said of a draft.
    """
    if by == SELF:
        return await _selected(session, drafts, told, k, times)
    if by == VERIFY:
        return await _verified(session, drafts, told, times)
    return [await trace_scores(session, drafts, by)] * times, []


def best(scores: Scores, k: int, seed: int) -> tuple[int, ...]:
    """The indices of the ``k`` best, ascending; unscored ones come last, and a seeded draw breaks ties."""
    shuffled = np.random.default_rng(seed).permutation(len(scores)).tolist()
    ranked = sorted(shuffled, key=lambda i: math.inf if (score := scores[i]) is None else -score)
    return tuple(sorted(ranked[:k]))


async def _selected(
    session: Session, drafts: Sequence[Trace], told: Sequence[str], k: int, times: int
) -> tuple[list[Scores], list[Trace]]:
    listed = session.listed("draft", told)
    question = session.ask("select", drafts=listed, count=str(len(told)), k=str(k), after=drafts)
    replies = await session.sample(question, times, judging=True)
    named = [numbers(session.solution(reply), len(told)) for reply in replies]
    note_silence(session, sum(map(bool, named)), len(replies), replies)
    places = [{number: -float(place) for place, number in enumerate(one)} for one in named]
    places += [{}] * (times - len(places))
    return [[one.get(i) for i in range(1, len(told) + 1)] for one in places], replies


async def _verified(
    session: Session, drafts: Sequence[Trace], told: Sequence[str], times: int
) -> tuple[list[Scores], list[Trace]]:
    found = await verified(session, told, [[draft] for draft in drafts], times)
    said = [[verdict for verdict, _ in each] for each in found]
    padded = [verdicts + [None] * (times - len(verdicts)) for verdicts in said]
    return [[verdicts[time] for verdicts in padded] for time in range(times)], [r for each in found for _, r in each]
