"""What papers claim of their methods, and how each claim is tested on the wind tunnels (`bench/effects.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

from widthwise.core.session.ledger import Ledger

BY_SCORE = "weighted_vote(by='score', weight='identity')"
BY_REWARD = "weighted_vote(by='reward_model', weight='identity')"
WHOLE = "best_of_n("
VOTE = f"{WHOLE}n=64) | majority_vote()"
COVERAGE = {16: 1.5, 64: 1.4, 256: 1.45}
"""The second weight of ETS by width, in the settings that its authors released."""
ROOM = 320
"""Tokens of the drafts that a refining prompt shows: the bundled model reads prompts of up to 1,024 with its answer."""


def kv(ledger: Ledger) -> float:
    """Unique tokens that the rounds of a search continue, summed: the figure in the paper of ETS."""
    return ledger.kv_rounds


def tokens(ledger: Ledger) -> float:
    """Generated tokens, including judges' replies."""
    return ledger.total


def path(ledger: Ledger) -> float:
    """Sequential tokens."""
    return ledger.sequential


COSTS = {kv: "times fewer KV tokens", tokens: "times fewer tokens", path: "times shorter critical path"}


@dataclass(frozen=True, slots=True)
class Effect:
    """A claim, and how it is tested.

    ``saves`` names the cost that the method divides by ``bar``, at an accuracy that is at most ``margin`` points lower,
    by its whole interval or (not ``surely``) by its estimate; without it the method gains ``bar`` points. ``reported``
    are the least and the most that the paper reports in the same unit, None if it reports none. Where
    whole samples are only stopped or weighed, it ``replays`` those of ``VOTE``, which record log-probabilities.
    ``which`` says which problems of the suite the effect is about, ``on`` another suite and its model, and ``limits``
    are words of `widthwise eval` for both.
    """

    name: str
    paper: str
    published: str
    baseline: str
    methods: tuple[str, ...]
    bar: float
    saves: Callable[[Ledger], float] | None = None
    margin: float = 2.0
    surely: bool = True
    scored: bool = False
    reported: tuple[float, float] | None = None
    replays: bool = False
    which: str = ""
    on: tuple[str, str] | None = None
    limits: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What a figure of this effect counts."""
        return COSTS[self.saves] if self.saves else "points gained"


def _rebase(width: int) -> str:
    return f"rebase(n={width}, balance=1.0)"


def _ets(width: int) -> str:
    return f"ets(n={width}, balance=1.0, cost=1.0, coverage={COVERAGE[width]})"


def efficient_tree_search() -> Effect:
    """ETS, with the weights of its paper for this width, holds fewer tokens than REBASE."""
    return _efficient_tree_search("ets", 64)


def wider_efficient_tree_search() -> Effect:
    """The same four times as wide."""
    return _efficient_tree_search("ets_wide", 256)


def _efficient_tree_search(name: str, width: int) -> Effect:
    return Effect(
        name, "arXiv 2502.13575", "1.8 times fewer KV tokens than REBASE, accuracy nearly equal",
        f"{_rebase(width)} | {BY_SCORE}", (f"{_ets(width)} | {BY_SCORE}",),
        bar=1.8, saves=kv, scored=True, reported=(1.8, 1.8),
    )  # fmt: skip


def uncovered_efficient_tree_search() -> Effect:
    """ETS without its second term, which keeps steps that say something else."""
    costs = (0.5, 0.75, 1.0, 2.0)
    methods = tuple(f"ets(n=64, balance=1.0, cost={cost}, coverage=0.0) | {BY_SCORE}" for cost in costs)
    return replace(efficient_tree_search(), name="ets_kv", methods=methods)


def tree_search() -> Effect:
    """A tree grown by scores answers better than a weighted vote over whole samples of the same width.

    `bench/tree_methods.py` compares all methods.
    """
    return _tree_search("tree", 16)


def wider_tree_search() -> Effect:
    """The same four times as wide; two of the searches are those of ``ets``."""
    return _tree_search("tree_wide", 64)


def _tree_search(name: str, width: int) -> Effect:
    merging = f"tree_search(n={width}, select=distinct_steps() | softmax_balanced(temperature=0.5))"
    return Effect(
        name, "arXiv 2408.00724", "more accurate than sampling at every budget", f"best_of_n(n={width}) | {BY_REWARD}",
        tuple(f"{tree} | {BY_SCORE}" for tree in (_rebase(width), _ets(width), merging)), bar=3.0, scored=True,
        replays=True,
    )  # fmt: skip


def deep_confidence() -> Effect:
    """DeepConf stops samples that the model is unsure of."""
    grid = product((8, 16), (16, 32, 64), (10.0, 50.0, 90.0))
    return Effect(
        "deepconf", "arXiv 2508.15260", "18 to 85 % fewer tokens than the vote at equal or better accuracy", VOTE,
        tuple(
            f"best_of_n(n=64, width=8) | deepconf(warmup={first}, window={window}, eta={eta}) | majority_vote()"
            for first, window, eta in grid
        ),
        bar=1 / 0.6, saves=tokens, reported=(1 / (1 - 0.18), 1 / (1 - 0.85)), replays=True,
    )  # fmt: skip


def deep_pruning() -> Effect:
    """DeepPrune stops samples that will end in an answer that already exists."""
    grid = ((24, 16), (32, 8), (32, 12), (32, 16), (48, 8), (48, 16))
    return Effect(
        "deepprune", "arXiv 2510.08483", "65.7 to 88.5 % fewer tokens than the vote within 3.4 points", VOTE,
        tuple(f"best_of_n(n=64) | deepprune(at={at}, keep={keep}) | majority_vote()" for at, keep in grid),
        bar=1 / 0.35, saves=tokens, margin=3.0, surely=False, reported=(1 / (1 - 0.657), 1 / (1 - 0.885)),
    )  # fmt: skip


def refining() -> Effect:
    """Rounds of drafts that are distilled and refined answer better than one round at equal sequential tokens."""
    return Effect(
        "refine", "arXiv 2510.01123, arXiv 2509.26626", "+11 and +9 points on AIME 2024 and 2025 over a single pass",
        "best_of_n(n=16) | majority_vote()",
        ("parallel_distill_refine(drafts=(8, 8), distill='top_k', k=3) | majority_vote()",
         "recursive_self_aggregation(population=8, group=3, loops=2) | majority_vote()"),
        bar=5.0, reported=(9.0, 11.0), on=("countdown", "embedded:reasoner"), limits=("--budget-sequential", "400"),
    )  # fmt: skip


def refining_long() -> Effect:
    """The same on solutions of up to sixteen steps, where a vote already finds the right answer."""
    ways = ("'random_k', k=2", "'top_k', k=2, by='mean_logprob'")  # notes are written on more drafts than fit
    rounds = [f"parallel_distill_refine(drafts=(16, 16), distill={how}, workspace_tokens={ROOM}) | majority_vote()"
              for how in ways]  # fmt: skip
    aggregated = (
        f"recursive_self_aggregation(population=8, group=2, loops=3, workspace_tokens={ROOM}) | majority_vote()"
    )
    return Effect(
        "refine_long", "arXiv 2510.01123, arXiv 2509.26626",
        "+11 and +9 points on AIME 2024 and 2025 over a single pass", "best_of_n(n=32) | majority_vote()",
        (*rounds, aggregated), bar=5.0, reported=(9.0, 11.0),
    )  # fmt: skip


def threads() -> Effect:
    """Threads shorten the critical path of problems that have independent parts."""
    return Effect(
        "threads", "arXiv 2504.15466, arXiv 2512.07843", "75.2 against 57.3 % at equal latency (countdown)",
        "single()", tuple(f"threads(width={width})" for width in (2, 4, 8)), bar=2.0, saves=path, margin=0.0,
        which="levels=(14, 16), wide=True",
    )  # fmt: skip


EFFECTS = (
    efficient_tree_search, wider_efficient_tree_search, uncovered_efficient_tree_search, tree_search,
    wider_tree_search, deep_confidence, deep_pruning, refining, refining_long, threads,
)  # fmt: skip
