"""Equivalence classes of answers: what votes are counted over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from widthwise.core.problem import Grader
from widthwise.evals.normalisation import normalise

_COMPARISONS_BETWEEN_PAUSES = 500


async def classes(grader: Grader, answers: Sequence[str | None]) -> list[list[int]]:
    """The positions of ``answers`` grouped by meaning, classes by first appearance, positions ascending.

    An answer joins the first class whose representative (its first member) it is equivalent to. Equivalence need
    not be transitive, so the grouping may depend on the order of the answers; the same order gives the same classes.
    None never forms a class.
    """
    of_answer: dict[str, int] = {}
    of_form: dict[str, int] = {}
    representatives: list[str] = []
    for answer in dict.fromkeys(stated for stated in answers if stated is not None):
        form = normalise(answer)
        known = of_form.get(form)
        found = await _first_match(grader, representatives, answer) if known is None else known
        if found == len(representatives):
            representatives.append(answer)
        of_answer[answer] = of_form[form] = found
    groups: list[list[int]] = [[] for _ in representatives]
    for position, stated in enumerate(answers):
        if stated is not None:
            groups[of_answer[stated]].append(position)
    return groups


async def _first_match(grader: Grader, representatives: Sequence[str], answer: str) -> int:
    """The index of the first representative that ``answer`` is equivalent to; their number where there is none."""
    for index, representative in enumerate(representatives):
        if index % _COMPARISONS_BETWEEN_PAUSES == _COMPARISONS_BETWEEN_PAUSES - 1:
            await asyncio.sleep(0)  # other tasks shall not wait for a long row of quick comparisons
        if await grader.equivalent(representative, answer):
            return index
    return len(representatives)
