"""Allocation by a policy that was fitted on a stored run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from widthwise.core.errors import UsageError
from widthwise.core.registry import register
from widthwise.core.strategy.strategy import Aggregator, Strategy
from widthwise.evals.allocation.allocator import Allocator, by_gain
from widthwise.evals.allocation.difficulty import ORACLE
from widthwise.evals.allocation.policy import Policy
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.allocation.switches import Switch, alternatives_for
from widthwise.evals.store.configuration import digest


@register("allocator")
@dataclass(frozen=True)
class Fitted(Allocator):
    """Does what was best for problems of the same difficulty (``allocate --fit-policy FILE``).

    Compute-optimal scaling (Snell et al., arXiv 2408.03314) with a pool in place of equal budgets (Damani et al., arXiv
    2410.04707): a problem's bin is told from its probes, and its next sample is worth what it added in that bin. Where
    another strategy of the policy is worth more, the problem goes on with that one. The probes are charged and vote,
    which the paper leaves out. ``probes`` are the policy's.
    """

    policy: str = ""
    probes: int = 0

    def __post_init__(self) -> None:
        if not self.policy:
            raise UsageError(
                "fitted needs the file of a policy, fitted(policy='FILE'): `widthwise allocate --fit-policy FILE`"
            )
        if self.probes not in (0, self.known.probes):
            raise UsageError(
                f"the policy in {self.policy} was fitted with {self.known.probes} probes, not {self.probes}"
            )
        object.__setattr__(self, "probes", self.known.probes)
        super().__post_init__()

    @classmethod
    def of(cls, policy: Policy, file: str | Path) -> Self:
        """By a ``policy`` that is to be written to ``file``."""
        made = object.__new__(cls)
        vars(made)["known"] = policy
        made.__init__(policy=str(file))  # type: ignore[misc]
        return made

    @cached_property
    def known(self) -> Policy:
        return Policy.read(self.policy)

    @property
    def score(self) -> str:
        return self.known.score

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        return tuple(self.known.strategies.values())

    @property
    def aggregators(self) -> tuple[Aggregator, ...]:
        return tuple(self.known.aggregators.values())

    def aggregator(self, prospect: Prospect) -> Aggregator | None:
        return self.known.aggregators[self.known.bin(prospect).chosen(len(prospect))] if len(prospect) else None

    @property
    def needs_references(self) -> bool:
        return self.known.difficulty == ORACLE

    @property
    def configuration(self) -> dict[str, str]:
        return {"policy": digest(asdict(self.known))}

    def allocate(self, prospects: Sequence[Prospect], tokens: float, most: int) -> list[int]:
        bins = [self.known.bin(prospect) for prospect in prospects]
        return by_gain(prospects, tokens, most, lambda i, m: bins[i].gain(len(prospects[i]) + m))

    def switches(self, prospects: Sequence[Prospect], tokens: float, most: int) -> dict[int, Switch]:
        bins = [self.known.bin(prospect) for prospect in prospects]
        found = alternatives_for(prospects, bins, tokens, most)
        return {i: Switch(self.known.strategies[each.strategy], cost) for i, (each, cost) in found.items()}
