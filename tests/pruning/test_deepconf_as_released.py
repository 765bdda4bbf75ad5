"""DeepConf on stored traces against an independent implementation of the authors' release: offline filters, online
rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.pruning.test_live_and_replayed import evaluate
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Store

N = 24
WARMUP = 8


@dataclass
class Sampled:
    """A whole trace: the confidence of each token, by definition, and the answer."""

    confidences: list[float]
    answer: str | None


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "full.db"
    evaluate("reasoner", parse_strategy(f"best_of_n(n={N}, temperature=1.3) | majority_vote()"), path, logprobs=20)
    return path


def sampled(path: Path) -> list[list[Sampled]]:
    with Store.read(path) as store:
        return [
            [_sampled(trace.segment.stats, leaf) for trace, leaf in zip(_traces(store, o), o.leaves, strict=True)]
            for o in store.outcomes()
        ]


def _traces(store: Store, outcome: Outcome) -> list:  # type: ignore[type-arg]
    by_id = store.tree(outcome.problem.id)
    return [by_id[leaf.id] for leaf in outcome.leaves]


def _sampled(stats, leaf: Leaf) -> Sampled:  # type: ignore[no-untyped-def]
    return Sampled([-sum(map(float, row)) / len(row) for row in stats.top_logprobs], leaf.answer)


def windows(confidences: Sequence[float], size: int) -> list[float]:
    if len(confidences) < size:
        return [sum(confidences) / len(confidences)]
    return [sum(confidences[i : i + size]) / size for i in range(len(confidences) - size + 1)]


def bottom(confidences: Sequence[float], size: int) -> float:
    means = sorted(windows(confidences, size))
    return float(np.mean(means[: max(1, int(len(means) * 0.1))]))


def weighed(votes: Sequence[tuple[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for answer, weight in votes:
        total[answer] += weight
    return dict(total)


def replayed(stored: Path, strategy: str, to: Path) -> list[Outcome]:
    return evaluate(f"replay:{stored}", parse_strategy(strategy), to)


def elected(outcome: Outcome) -> dict[str, list[int]]:
    classes: dict[str, list[int]] = defaultdict(list)
    for leaf in outcome.leaves:
        if leaf.vote is not None and leaf.answer is not None:
            classes[leaf.answer].append(leaf.id[-1])
    return dict(classes)


OFFLINE = {
    "mean_confidence": lambda c: sum(c) / len(c),
    "tail_confidence(window=20)": lambda c: float(np.mean(c[-20:])),
    "lowest_group_confidence(window=16)": lambda c: min(windows(c, 16)),
    "bottom_confidence(window=16, percent=10)": lambda c: bottom(c, 16),
}


@pytest.mark.slow
@pytest.mark.parametrize("top", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("score", OFFLINE)
def test_offline_filters_keep_the_traces_that_the_release_keeps(
    score: str, top: float, stored: Path, tmp_path: Path
) -> None:
    strategy = f"best_of_n(n={N}, temperature=1.3) | weighted_vote(by={score!r}, weight='identity', top={top})"
    outcomes = replayed(stored, strategy, tmp_path / "filtered.db")
    for outcome, traces in zip(outcomes, sampled(stored), strict=True):
        valid = [(i, t) for i, t in enumerate(traces) if t.answer]
        scores = {i: OFFLINE[score](t.confidences) for i, t in valid}
        least = np.percentile(list(scores.values()), (1 - top) * 100)
        kept = {i for i, s in scores.items() if s >= least or np.isclose(s, least, rtol=1e-9)}
        assert {i for ids in elected(outcome).values() for i in ids} == kept
        totals = weighed([(t.answer or "", scores[i]) for i, t in valid if i in kept])
        assert totals[outcome.answer or ""] == pytest.approx(max(totals.values()))


@pytest.mark.slow
@pytest.mark.parametrize("window", [8, 16, 64])
@pytest.mark.parametrize("eta", [10.0, 50.0, 90.0])
def test_online_without_consensus_stops_and_counts_as_the_release(
    eta: float, window: int, stored: Path, tmp_path: Path
) -> None:
    rule = f"deepconf(warmup={WARMUP}, eta={eta}, window={window}, consensus=None, every=1)"
    outcomes = replayed(stored, f"best_of_n(n={N}, temperature=1.3) | {rule} | majority_vote()", tmp_path / "online.db")
    for outcome, traces in zip(outcomes, sampled(stored), strict=True):
        lowest = [min(windows(t.confidences, window)) for t in traces]
        bar = float(np.percentile(lowest[:WARMUP], 100 - eta))
        tokens, voters = 0, []
        for i, trace in enumerate(traces):
            ran = len(trace.confidences)
            if i >= WARMUP and ran >= window:  # the engine's hook looks only at full windows
                below = [n for n, mean in enumerate(windows(trace.confidences, window)) if mean < bar]
                ran = below[0] + window if below else ran
            tokens += ran
            if lowest[i] >= bar and trace.answer:
                voters.append(i)
        assert outcome.ledger.sampled == tokens
        assert sorted(i for ids in elected(outcome).values() for i in ids) == voters
        totals = weighed([(traces[i].answer or "", lowest[i]) for i in voters])
        assert totals[outcome.answer or ""] == pytest.approx(max(totals.values()))


@pytest.mark.slow
@pytest.mark.parametrize("consensus", [0.6, 0.8, 0.95])
def test_online_with_consensus_ends_at_the_first_trace_after_the_warm_up_that_brings_it(
    consensus: float, stored: Path, tmp_path: Path
) -> None:
    """The paper's loop, one trace after another: beta = V(leading) / V(all) after each that was not stopped."""
    rule = f"deepconf(warmup={WARMUP}, eta=90.0, window=16, consensus={consensus})"
    strategy = f"best_of_n(n={N}, width=1, temperature=1.3) | {rule} | majority_vote()"
    outcomes = replayed(stored, strategy, tmp_path / "online.db")
    ends = []
    for outcome, traces in zip(outcomes, sampled(stored), strict=True):
        lowest = [min(windows(t.confidences, 16)) for t in traces]
        bar = float(np.percentile(lowest[:WARMUP], 10))
        votes = [(t.answer, s) for t, s in zip(traces[:WARMUP], lowest, strict=False) if s >= bar and t.answer]
        end = len(traces)
        for i in range(WARMUP, len(traces)):
            if lowest[i] < bar:
                continue  # stopped early: it does not vote, and the consensus is not checked
            if answer := traces[i].answer:
                votes.append((answer, lowest[i]))
            total = weighed([(a or "", s) for a, s in votes])
            if total and max(total.values()) / sum(total.values()) >= consensus:
                end = i + 1
                break
        ends.append(end)
        assert len(outcome.leaves) == end
        total = weighed([(a or "", s) for a, s in votes])
        assert total[outcome.answer or ""] == pytest.approx(max(total.values()))
    assert min(ends) > WARMUP
    assert min(ends) < N, "no consensus anywhere: the test would show nothing"
