"""What was spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from dataclasses import field as dataclass_field
from typing import Any

from widthwise.core.tabular import Tabular

KV_FIGURES = ("kv_peak", "kv_mean", "kv_rounds", "kv_content_peak", "kv_content_mean", "kv_content_rounds")
"""What caches held; not spending."""


@dataclass(slots=True)
class Spending:
    """What one model of several cost: its ``calls`` (requests for continuations), and what is as in ``Ledger``."""

    calls: int = 0
    prompt_computed: int = 0
    prompt_cached: int = 0
    sampled: int = 0
    judging: int = 0
    flops: int = 0

    def add(self, other: Spending) -> None:
        """Add ``other``'s spending."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def beyond(self, other: Spending) -> Spending:
        """What was spent beyond ``other``, an earlier state of this account."""
        return Spending(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


@dataclass(slots=True)
class Ledger(Tabular):
    """Everything that was spent on a problem (or, summed, on a run).

    Tokens: ``prompt_computed`` and ``prompt_cached`` of the prompts served; ``sampled``, every token the policy
    generated; ``discarded``, those of them in traces that were pruned, aborted or failed; ``judging``, generated for
    text that is not itself a solution (verdicts, summaries, outlines); ``scoring`` and ``embedding``, read by reward
    and embedding models. ``prompt_ideal`` is what a perfect prefix cache would have had to compute for the same
    requests, each text once, whatever conversation it is in (``IdealCache``). ``flops`` are those of the models that
    sample, for prompt tokens that they computed and tokens that they generated (``ModelShape``); 0 if a shape is not
    known. ``sequential`` is the critical path in sampled tokens. ``samples`` counts the policy's continuations: a trace
    is one, whatever threads it spawns and joins; a step of a search is one; a judge's reply is none. ``retries``
    are requests that had to be sent again, ``seconds`` wall-clock time. ``kv_peak`` and ``kv_mean`` are the unique
    tokens by node that a cache held for the tree, at most and on average while tokens were sampled: siblings with equal
    text count separately (``Residency``). ``kv_content_peak`` and ``kv_content_mean`` are those by content: a model's
    equal prefixes count once (``ContentResidency``). ``kv_rounds`` and ``kv_content_rounds`` are summed over the rounds
    of a tree search: the unique tokens of the traces that each round continues, including the prompt (KV tokens in the
    paper of ETS, Hooper et al., arXiv 2502.13575). ``models`` is what each model cost, by name, in a run with several.
    """

    prompt_computed: int = 0
    prompt_cached: int = 0
    prompt_ideal: int = 0
    sampled: int = 0
    discarded: int = 0
    judging: int = 0
    scoring: int = 0
    embedding: int = 0
    flops: int = 0
    sequential: int = 0
    samples: int = 0
    retries: int = 0
    seconds: float = 0.0
    kv_peak: int = 0
    kv_mean: float = 0.0
    kv_rounds: int = 0
    kv_content_peak: int = 0
    kv_content_mean: float = 0.0
    kv_content_rounds: int = 0
    models: dict[str, Spending] = dataclass_field(default_factory=dict)

    @property
    def total(self) -> int:
        """Generated tokens, including the judges': what a token budget limits."""
        return self.sampled + self.judging

    def add(self, other: Ledger) -> None:
        """Add ``other``'s spending (that of another problem: sequential tokens add up like all the rest)."""
        for name in FIGURES:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for model, spending in other.models.items():
            self.of(model).add(spending)

    @classmethod
    def sum_of(cls, ledgers: Iterable[Ledger]) -> Ledger:
        """What was spent on several problems together."""
        found = cls()
        for ledger in ledgers:
            found.add(ledger)
        return found

    def copy(self) -> Ledger:
        """The same figures, which do not change when these do."""
        return Ledger.sum_of([self])

    def wasted(self, kept: Ledger) -> Ledger:
        """What was spent beyond ``kept``, an earlier state of this ledger, on a draw that begins anew.

        Its tokens are discarded. The draw's samples and the ideal prompt are those of the draw that replaces it.
        """
        spent = {name: getattr(self, name) - getattr(kept, name) for name in _AGAIN}
        models = {name: each.beyond(kept.models.get(name, Spending())) for name, each in self.models.items()}
        return Ledger(**spent, discarded=spent["sampled"], models=models)

    def of(self, model: str) -> Spending:
        """What ``model`` cost so far."""
        return self.models.setdefault(model, Spending())

    def asdict(self) -> dict[str, int | float]:
        """The figures of all models together."""
        return {name: getattr(self, name) for name in FIGURES}

    @property
    def record(self) -> dict[str, Any]:
        """Everything as JSON values: the figures, and ``models``, which is empty for a single one."""
        return {**self.asdict(), "models": {name: asdict(spent) for name, spent in sorted(self.models.items())}}

    def table(self) -> dict[str, list[Any]]:
        """One row: every figure."""
        return {name: [value] for name, value in self.asdict().items()}


FIGURES = tuple(field.name for field in fields(Ledger) if field.name != "models")
"""The names of the ledger's figures."""

_AGAIN = (
    "prompt_computed",
    "prompt_cached",
    "sampled",
    "judging",
    "scoring",
    "embedding",
    "flops",
    "sequential",
    "retries",
)
"""Figures of what a draw that begins anew has cost besides."""
