"""Runs with a budget for thinking: killed and resumed, recounted, replayed.

The bundled reasoner does not separate thinking from its answer. Here its steps count as thinking, which its prompt
opens and the box of its answer closes: a trained model on the embedded engine, whose traces sometimes end their
thinking themselves and sometimes reach the limit.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.evals.recount import recounted, recounted_ends
from widthwise.core.backend import SamplingParams
from widthwise.core.errors import UsageError
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.session.ledger import Ledger
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.trace.trace import Trace
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.store.store import Store, compare
from widthwise.evals.suites.suites import load_suite
from widthwise.models.formats import REASONER
from widthwise.opening import open_backend

STEPS = Thinking(
    marks=(("<assistant>", "\\boxed{"),),
    close="\n\n\\boxed{",
    empty="<assistant>\\boxed{",
    again="10 - 1 = 9",
)
STRATEGIES = (
    "best_of_n(n=4, width=3, temperature=1.2, thinking=40)",
    "best_of_n(n=3, temperature=1.2, thinking=60, waits=2)",
    "best_of_n(n=2, temperature=1.2, thinking=0)",
    "best_of_n(n=4, temperature=1.2, thinking=40, waits=1) | deepconf(warmup=2, window=8, every=4)",
    "beam_search(n=4, beam_width=2, by='mean_logprob', thinking=30)",
    "best_of_n(n=5, temperature=1.2, thinking=40, waits=1) | budget(tokens=200)",
    "best_of_n(n=3, width=1, thinking=40) | budget(sequential=130)",
    "best_of_n(n=4, width=2, temperature=1.2) | early_exit(every=12, stable=2, max_tokens=8)",
    "best_of_n(n=3, temperature=1.2, thinking=50) | early_exit(every=12, stable=2, max_tokens=8)",
    "best_of_n(n=6, width=3, temperature=1.2) | certaindex(every=12, hopeless=3, max_tokens=8)",
)


class Killed(BaseException):
    """Ends a run as a signal would."""


class Dying(Store):
    """A store that ends its run after a given number of generations."""

    left = 0

    def record(self, problem_id: str, trace: Trace) -> None:
        super().record(problem_id, trace)
        self.left -= 1
        if self.left == 0:
            raise Killed


def evaluate(
    path: Path, strategy: str, *, dies_after: int = 0, model: str = "reasoner", behind: bool = False
) -> list[Outcome]:
    async def work(store: Store) -> None:
        backend = await open_backend(model, {"model": "reasoner"} if behind else {})
        format_ = replace(REASONER, answer_now="")
        params = SamplingParams(max_tokens=120)
        setting = setting_for(suite, backend, format_, params=params, thinking=STEPS, seed=5)
        await run(suite, parse_strategy(strategy), setting, store, concurrency=2)
        await backend.close()

    suite = load_suite("arithmetic", limit=3)
    kind = Dying if dies_after else Store
    with kind.begin(path, {"strategy": strategy, "model": model}, suite.problems) as store:
        if isinstance(store, Dying):
            store.left = dies_after
        asyncio.run(work(store))
        return list(store.outcomes())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_run_ends_as_it_would_have(strategy: str, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    evaluate(whole, strategy)
    for after in (1, 2, 5):
        with pytest.raises(BaseExceptionGroup) as killed:
            evaluate(broken, strategy, dies_after=after)
        assert killed.group_contains(Killed)
    evaluate(broken, strategy)
    with Store.read(whole) as a, Store.read(broken) as b:
        assert compare(a, b) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_file_recounts_to_its_ledger(strategy: str, tmp_path: Path) -> None:
    outcomes = evaluate(tmp_path / "run.db", strategy)
    with Store.read(tmp_path / "run.db") as store:
        thoughts = set()
        for outcome in outcomes:
            tree, spent = store.tree(outcome.problem.id), outcome.ledger
            sampled = [t for t in tree.values() if t.segment.origin == "sampled"]
            assert sum(len(t.segment) for t in sampled) == spent.total
            assert recounted(tree) == spent.sequential
            assert {i: t.sequential for i, t in tree.items()} == recounted_ends(tree)
            if not strategy.startswith("beam"):
                assert discarded(sampled, outcome) == spent.discarded
            thoughts |= {t.segment.metadata.get("thought") for t in tree.values()}
    if "waits" in strategy:
        assert "again" in thoughts
    assert {"closed", "left out"} & thoughts if "thinking" in strategy else True


def discarded(sampled: list[Trace], outcome: Outcome) -> int:
    """The tokens that were taken back, and all those of stopped traces."""
    taken = [t for t in sampled if "thought" in t.segment.metadata]
    stopped = [leaf.tokens for leaf in outcome.leaves if leaf.finish in ("pruned", "aborted", "error")]
    return sum(len(t.segment) for t in taken) + sum(stopped)


def spent(ledger: Ledger) -> tuple[int, ...]:
    return ledger.sampled, ledger.discarded, ledger.samples, ledger.sequential


@pytest.mark.parametrize("options", ["thinking=40", "thinking=0"])
def test_a_replay_with_the_budget_it_was_recorded_with_does_the_same(options: str, tmp_path: Path) -> None:
    strategy = f"best_of_n(n=4, temperature=1.2, {options})"
    live = evaluate(tmp_path / "live.db", strategy)
    replayed = evaluate(tmp_path / "replayed.db", strategy, model=f"replay:{tmp_path / 'live.db'}")
    for a, b in zip(live, replayed, strict=True):
        assert (a.answer, a.leaves, a.errors, spent(a.ledger)) == (b.answer, b.leaves, b.errors, spent(b.ledger))
    with Store.read(tmp_path / "live.db") as a, Store.read(tmp_path / "replayed.db") as b:
        for outcome in live:
            assert pieces(a, outcome) == pieces(b, outcome)


def pieces(store: Store, outcome: Outcome) -> list[tuple[object, ...]]:
    tree = store.tree(outcome.problem.id)
    return [(i, s.origin, s.text, s.finish) for i, t in tree.items() if (s := t.segment).origin != "prompt"]


def test_a_replay_of_traces_that_were_told_to_wait(tmp_path: Path) -> None:
    """Their texts are replayed unchanged; they do not contain what was taken back, so it cannot be taken back again."""
    live = evaluate(tmp_path / "live.db", "best_of_n(n=3, temperature=1.2, waits=1)")
    replayed = evaluate(tmp_path / "replayed.db", "best_of_n(n=3)", model=f"replay:{tmp_path / 'live.db'}")
    with Store.read(tmp_path / "live.db") as a, Store.read(tmp_path / "replayed.db") as b:
        for one, other in zip(live, replayed, strict=True):
            texts = [[t.completion for t in s.traces(one.problem.id) if t.finish != "pruned"] for s in (a, b)]
            assert sorted(texts[0]) == sorted(texts[1])
            assert [leaf.finish for leaf in other.leaves] == ["stop"] * 3
    with pytest.raises(UsageError, match="cannot be told to wait"):
        evaluate(tmp_path / "no.db", "best_of_n(n=3, waits=1)", model=f"replay:{tmp_path / 'live.db'}")


def test_a_recording_without_budgets_answers_where_its_thinking_fits(tmp_path: Path) -> None:
    live = evaluate(tmp_path / "live.db", "best_of_n(n=3)")
    [least, *_, most] = sorted(leaf.tokens for outcome in live for leaf in outcome.leaves)
    replayed = f"replay:{tmp_path / 'live.db'}"
    fits = evaluate(tmp_path / "fits.db", f"best_of_n(n=3, thinking={most})", model=replayed)
    assert [[leaf.tokens for leaf in o.leaves] for o in fits] == [[leaf.tokens for leaf in o.leaves] for o in live]
    short = evaluate(
        tmp_path / "no.db", f"best_of_n(n=3, thinking={least // 2})", model=f"replay:{tmp_path / 'live.db'}"
    )
    assert all("cannot answer inserted text" in outcome.errors[0] for outcome in short)


def test_behind_a_recording_a_model_goes_on_only_where_thinking_was_cut(tmp_path: Path) -> None:
    live = evaluate(tmp_path / "live.db", "best_of_n(n=3, temperature=1.2)")
    least = min(leaf.tokens for outcome in live for leaf in outcome.leaves)
    for number, limit in enumerate((120, least + 20)):
        strategy, model = f"best_of_n(n=3, thinking={limit})", f"replay:{tmp_path / 'live.db'}"
        outcomes = evaluate(tmp_path / f"{number}.db", strategy, model=model, behind=True)
        with Store.read(tmp_path / "live.db") as a, Store.read(tmp_path / f"{number}.db") as b:
            for problem in (outcome.problem.id for outcome in outcomes):
                for then, now in zip(a.traces(problem), b.traces(problem), strict=True):
                    cut = any(s.metadata.get("thought") == "closed" for s in now.path)
                    assert cut == (then.tokens > limit + 5)
                    assert now.completion == then.completion or cut
                    assert now.completion.startswith(then.completion[:20])
        assert not any(outcome.errors for outcome in outcomes)
    assert any(leaf.tokens < least + 20 for outcome in live for leaf in outcome.leaves)
