"""Numbers that no part can work with are refused when it is made, and the argument is named."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import widthwise as ww
from widthwise import aggregators, pruning, samplers
from widthwise.core import strategy
from widthwise.core.arguments import _plain_types
from widthwise.core.strategy.part import Part
from widthwise.evals import allocation
from widthwise.pruning.top_k import TopK

GIVEN: dict[str, dict[str, Any]] = {
    "Cascade": {"models": ("a", "b"), "thresholds": (1.0,), "by": "reward_model"},
    "Route": {"models": ("a", "b"), "thresholds": (1.0,)},
    "MixtureOfAgents": {"models": ("a", "b")},
    "Escalate": {"model": "a"},
    "ConfidenceGate": {"otherwise": ww.Knockout(), "agreement": 0.5},
    "TopK": {"k": 1},
    "UpperBound": {"children": 2, "c": 1.0},
    "Breadth": {"children": 2},
}
"""What parts need besides their defaults."""
UNBOUNDED = {"TooLong.factor", "SelfVerification.band", "TreeOfThoughts.threshold", "Budget.flops", "Budget.seconds"}
"""Arguments that may be infinite: never too long, all of them, none, no limit."""


def built_in() -> list[type[Part]]:
    """The parts of the package that can be made, each with what ``GIVEN`` has for it."""
    for package in (samplers, pruning, aggregators, strategy, allocation):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
    found, left = list[type[Part]](), [Part]
    while left:
        below = left.pop().__subclasses__()
        left += below
        found += [each for each in below if each.__module__.startswith("widthwise.") and dataclasses.is_dataclass(each)]
    return sorted(set(found), key=lambda each: each.__name__)


def numbers() -> Iterator[tuple[type[Part], str, type]]:
    """Every argument that is a number."""
    for part in built_in():
        if part.__name__ == "Fitted":  # its numbers are those of the file that it needs
            continue
        for name, kinds in _plain_types(part).items():
            if int in kinds or float in kinds:
                yield part, name, int if int in kinds else float


def refused(part: type[Part], name: str, value: float) -> bool:
    """Whether the value is refused in a sentence that names the argument."""
    try:
        part(**{**GIVEN.get(part.__name__, {}), name: value})
    except ww.UsageError as error:
        return name in str(error)
    return False


def test_no_number_of_any_part_is_negative_without_a_word() -> None:
    every = list(numbers())
    assert len(every) > 200
    assert [f"{part.__name__}.{name}" for part, name, _ in every if not refused(part, name, -5)] == []


def test_no_number_of_any_part_is_infinite_unless_it_may_be() -> None:
    infinite = {
        f"{p.__name__}.{name}" for p, name, kind in numbers() if kind is float and not refused(p, name, math.inf)
    }
    assert infinite <= UNBOUNDED


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ww.BestOfN(temperature=-5), r"best_of_n: temperature must be at least 0 and finite, not -5"),
        (lambda: ww.BestOfN(top_p=2), r"best_of_n: top_p must be in \(0, 1\], not 2"),
        (lambda: ww.BestOfN(max_tokens=0), "best_of_n: max_tokens must be at least 1, not 0"),
        (lambda: ww.BestOfN(width=0), "width must be at least 1, not 0"),
        (lambda: ww.Single(temperature=math.inf), "temperature must be at least 0 and finite"),
        (lambda: ww.Threads(thread_temperature=-1.0), "thread_temperature must be at least 0"),
        (lambda: ww.ETS(balance=0.0), "balance must be above 0"),
        (lambda: ww.ETS(coverage=-1.0), "coverage must be at least 0 and finite, not -1"),
        (lambda: ww.REBASE(balance=-0.2), "balance must be above 0 and finite, not -0.2"),
        (lambda: ww.SequentialRefinement(workspace_tokens=0), r"workspace_tokens must be at least memory \(1\), not 0"),
        (lambda: ww.Revisions(workspace_tokens=0), "workspace_tokens"),
        (lambda: ww.Revisions(10**9), "n must be from 1 to 1000000"),
        (lambda: ww.Escalate(model="a", threshold=2.0), "threshold is a share of the traces, from 0 to 1, not 2.0"),
        (lambda: ww.BestOfN(temperature=np.float32(-2)), "temperature must be at least 0"),
        (lambda: ww.BestOfN(max_tokens=np.int64(0)), "max_tokens must be at least 1"),
        (lambda: ww.Cascade(("a", "b"), thresholds=(5.0,)), "shares of the traces, from 0 to 1"),
        (lambda: ww.Route(("a", "b"), thresholds=(-5.0,)), "shares of the traces, from 0 to 1"),
        (lambda: ww.ParallelDistillRefine(drafts=(2.5,)), r"drafts must be .* tuple of whole numbers.* not \(2.5,\)"),  # type: ignore[arg-type]
        (lambda: TopK(k=0), "k and children must be at least 1"),
    ],
)
def test_what_is_refused_and_why(make: Any, said: str) -> None:
    with pytest.raises(ww.UsageError, match=said):
        make()
