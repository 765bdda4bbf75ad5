"""Stopping and voting rules on recorded real generations: what each saves, and what it costs in accuracy.

    python bench/stopping_rules.py ../shared/data/traces [--orders 20] [--only NAME]

The recorded samples of every problem are drawn one after another, in several random orders; a rule sees the answers so
far, and samples that it would not have drawn are not counted. "text" is the share of all samples' text that was read
(recordings have no tokens). Accuracies are in per cent with 95 % intervals bootstrapped by problem; "against the vote"
is the paired difference to the majority vote over all samples. Files with fewer than 4 samples per problem are left
out. short-m@k is about thinking: it has rows only if samples separate thinking from answers, and counts the characters
of their thinking; a sample whose thinking is not closed never finished.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from widthwise import ESC, AdaptiveConsistency, Anytime, UsageError
from widthwise.evals.measure.intervals import bootstrap
from widthwise.evals.measure.pools import load
from widthwise.evals.store.recording_rows import read_recordings
from widthwise.pruning.stopping_rule import StoppingRule, Votes


@dataclass(frozen=True, slots=True)
class Drawn:
    """One problem's samples in the order drawn: answer classes (None: no answer), whether right, characters.

    ``thinking`` are the characters of their thinking; None if it is not closed.
    """

    labels: list[int | None]
    right: list[bool]
    lengths: list[int]
    thinking: list[int | None]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a rule made of one problem: whether its answer is right, samples begun, characters read."""

    right: bool
    samples: int
    text: int


Rule = Callable[[Drawn], Spent]


class Decided(StoppingRule):
    """``stop_when_decided``, one sample after another."""

    order = "launch"

    def decides(self, votes: Votes) -> str | None:
        return "decided" if votes.lead > votes.outstanding else None


def voted(drawn: Drawn, voters: Sequence[int]) -> bool:
    """Whether the majority of the voters is right; ties go to the answer that came first."""
    counts = Counter(drawn.labels[i] for i in voters if drawn.labels[i] is not None)
    if not counts:
        return False
    winner = counts.most_common(1)[0][0]
    return drawn.right[drawn.labels.index(winner)]


def every(drawn: Drawn) -> Spent:
    """The majority vote over all samples."""
    return Spent(voted(drawn, range(len(drawn.labels))), len(drawn.labels), sum(drawn.lengths))


def single(drawn: Drawn) -> Spent:
    return Spent(drawn.right[0], 1, drawn.lengths[0])


def shortest(drawn: Drawn) -> Spent:
    """The vote over all samples, with ties going to the answer that has the shortest one."""
    order = np.argsort(drawn.lengths, kind="stable").tolist()
    return Spent(voted(drawn, order), len(order), sum(drawn.lengths))


def stopping(rule: StoppingRule) -> Rule:
    """A rule of ``pruning/``, asked after every sample."""

    def run(drawn: Drawn) -> Spent:
        found = rule.first_stop(drawn.labels, len(drawn.labels))
        if found is None:
            return every(drawn)
        end = len(found[0].labels)
        return Spent(voted(drawn, range(end - rule.voters(found[0]), end)), end, sum(drawn.lengths[:end]))

    return run


def short(m: int, side_by_side: bool) -> Rule:
    """short-m@k: the m samples with the shortest thinking vote; the others think as far as the m-th shortest so far."""

    def run(drawn: Drawn) -> Spent:
        thought = [np.inf if length is None else length for length in drawn.thinking]
        order = [i for i in np.argsort(thought, kind="stable")[:m].tolist() if thought[i] < np.inf]
        final = sorted(thought)[min(m, len(thought)) - 1]
        read, seen = 0, list[float]()
        for i, length in enumerate(thought):
            bound = final if side_by_side else sorted(seen)[m - 1] if len(seen) >= m else np.inf
            read += drawn.lengths[i] if length <= bound else int(min(bound, drawn.lengths[i]))
            seen.append(length)
        return Spent(voted(drawn, order), len(drawn.lengths), read)

    return run


RULES: dict[str, Rule] = {
    "one sample": single,
    "majority_vote()": every,
    "majority_vote(tie='shortest')": shortest,
    "stop_when_decided()": stopping(Decided()),
    "esc(window=5)": stopping(ESC()),
    "esc(window=5, sliding=True)": stopping(ESC(sliding=True)),
    "esc(window=3)": stopping(ESC(window=3)),
    "adaptive_consistency(0.95)": stopping(AdaptiveConsistency()),
    "adaptive_consistency(0.95, 'dirichlet')": stopping(AdaptiveConsistency(prior="dirichlet")),
    "adaptive_consistency(0.9)": stopping(AdaptiveConsistency(0.9)),
    "anytime(0.05)": stopping(Anytime()),
    "anytime(0.2)": stopping(Anytime(0.2)),
}
SHORT: dict[str, Rule] = {
    "short(m=1), side by side": short(1, side_by_side=True),
    "short(m=3), side by side": short(3, side_by_side=True),
    "short(m=3), one after another": short(3, side_by_side=False),
}
CLOSING = "</think>"


def problems(path: Path) -> list[Drawn]:
    """The problems of a recording that have at least four samples."""
    source = load(path)
    texts = {r.problem.id: [s.text for s in r.samples] for r in read_recordings(path)}
    return [
        Drawn(
            [None if v < 0 else int(v) for v in pool.votes],
            [bool(v) for v in pool.values],
            [len(text) for text in texts[pool.problem]],
            [text.rfind(CLOSING) + len(CLOSING) if CLOSING in text else None for text in texts[pool.problem]],
        )
        for pool in source.pools
        if len(pool) >= 4
    ]


def shuffled(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    order = rng.permutation(len(drawn.labels)).tolist()
    fields = (drawn.labels, drawn.right, drawn.lengths, drawn.thinking)
    return Drawn(*([field[i] for i in order] for field in fields))  # type: ignore[arg-type, misc]


def table(name: str, pool: Sequence[Drawn], orders: int) -> None:
    """Every rule's row; a rule's figures are means over the orders, problem by problem."""
    rng = np.random.default_rng(0)
    shuffles = [[shuffled(drawn, rng) for _ in range(orders)] for drawn in pool]
    thinks = np.mean([length is not None for drawn in pool for length in drawn.thinking]) > 0.5
    rules = {**RULES, **(SHORT if thinks else {})}
    spent = {rule: [[run(d) for d in ds] for ds in shuffles] for rule, run in rules.items()}

    def mean(rule: str, field: str) -> np.ndarray:
        return np.array([np.mean([getattr(s, field) for s in row]) for row in spent[rule]])

    vote, text = mean("majority_vote()", "right"), mean("majority_vote()", "text").sum()
    samples = len(pool[0].labels)
    print(f"\n{name}: {len(pool)} problems x {samples} samples, {orders} orders")
    print(f"{'':42}{'samples':>8}{'text':>7}  {'accuracy':>20}  {'against the vote':>22}")
    for rule in rules:
        right = mean(rule, "right")
        band, difference = bootstrap(100 * right), bootstrap(100 * (right - vote))
        shown = f"{float(band.mean):.1f} ({float(band.low):.1f} to {float(band.high):.1f})"
        change = f"{float(difference.mean):+.2f} ({float(difference.low):+.2f} to {float(difference.high):+.2f})"
        share = mean(rule, "text").sum() / text
        print(f"{rule:42}{mean(rule, 'samples').mean():8.1f}{share:7.0%}  {shown:>20}  {change:>22}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    everything: list[Drawn] = []
    for path in sorted(given.folder.glob("*.jsonl")):
        if path.stem.startswith("steps_") or given.only not in path.stem:
            continue
        try:
            pool = problems(path)
        except UsageError as error:
            print(f"\n{path.stem}: left out, {error}")
            continue
        if len(pool):
            table(path.stem, pool, given.orders)
            everything += pool
    if not given.only:
        table("all of them", everything, given.orders)


if __name__ == "__main__":
    main()
