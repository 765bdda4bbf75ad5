"""How long traces may think, and how long they must."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.arguments import ArgumentError


@dataclass(frozen=True, slots=True)
class ThoughtBudget:
    """A budget for the thinking of each trace (s1, Muennighoff et al., arXiv 2501.19393).

    ``tokens`` is how many tokens a trace may sample before its thinking is closed for it and it is asked for its
    answer. None sets no limit; 0 prefills the thinking as finished (NoThinking, Ma et al., arXiv 2504.09858). The first
    ``waits`` times that a trace closes its thinking itself, the mark is taken back, and it is told to think on. Raises
    ``ValueError`` for an impossible budget.
    """

    tokens: int | None = None
    waits: int = 0

    def __post_init__(self) -> None:
        for name, number in (("thinking", self.tokens), ("waits", self.waits)):
            whole = f"{name} is a whole number of at least 0, not {number!r}"
            if isinstance(number, bool):
                raise ArgumentError(f"{whole}; show_thinking says whether drafts are shown with their thinking")
            if number is not None and (not isinstance(number, int) or number < 0):
                raise ValueError(whole)
        if self.tokens == 0 and self.waits:
            raise ValueError(
                "waits make a model think on, but thinking=0 leaves its thinking out: give only one of them"
            )

    @classmethod
    def of(cls, thinking: int | None, waits: int | None) -> ThoughtBudget | None:
        """The budget that these options of a sampler give; None if they limit nothing."""
        given = cls(thinking, 0 if waits is None else waits)
        return None if given == cls() else given

    @property
    def leaves_out(self) -> bool:
        """Whether there is to be no thinking at all."""
        return self.tokens == 0


def thought_of(part: object) -> ThoughtBudget | None:
    """The thinking budget of a part of a strategy; None if it has none."""
    budget = getattr(part, "thought", None)
    return budget if isinstance(budget, ThoughtBudget) else None
