"""Composed samplers in a run store: interruptions and parallel work change nothing, and files are read back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.backend import Delta, Request
from widthwise.core.model_shape import ModelShape
from widthwise.core.strategy.composition import parse_strategy
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.exchange import export_run, import_recordings
from widthwise.evals.store.store import Store, compare
from widthwise.evals.suites.suites import load_suite
from widthwise.models.formats import REASONER
from widthwise.opening import bundled_models

SUITE = load_suite("countdown", limit=3)
JUDGING = replace(
    REASONER,
    prompts={
        **REASONER.prompts,
        "choose": "{problem}{drafts}<judge>",
        "compare": "{problem}<draft>{first}<draft>{second}<judge>",
    },
)
"""Asks the bundled model what it never learned: it names nobody, but what it says is stored and read again."""

STRATEGIES = [
    "parallel_distill_refine(drafts=(4, 2), distill='per_sample', k=2, free=1) | majority_vote()",
    "parallel_distill_refine(drafts=(3, 2), worker=outlined(n=2, worker=sequential_refinement(rounds=2)))",
    "revisions(n=12, ratio=3) | hierarchical_vote(by='mean_logprob', weight='exp')",
    "recursive_self_aggregation(population=4, group=2, loops=2, worker=best_of_n(n=2) | stop_when_decided())",
    "parallel_distill_refine(drafts=(3, 2), worker=best_of_n(n=2)) | budget(tokens=400) | majority_vote()",
    "best_of_n(n=12, width=2) | budget(flops=1000000000) | majority_vote()",
    "mcts(n=3, by='mean_logprob') | best_by(score='score')",
    "mcts(n=6, by='mean_logprob', rollout=True, rule='puct') | budget(tokens=300) | majority_vote()",
    "best_first_search(n=3, by='mean_logprob') | majority_vote()",
    "particle_filter(n=4, by='mean_logprob', scheme='systematic') | weighted_vote(by='particles', weight='identity')",
    "particle_gibbs(n=4, iterations=3, by='mean_logprob') | best_by(score='score')",
    "entropic_particle_filter(n=4, by='mean_logprob', lookahead=1) | weighted_vote(by='particles', weight='identity')",
    "tree_of_thoughts(n=2, children=3) | weighted_vote(by='score', weight='identity')",
    "tree_of_thoughts(n=1, children=2, order='depth') | majority_vote()",
    "beam_search(n=4, lookahead=1, by='mean_logprob') | majority_vote()",
    "entropy_gated_branching(n=3, threshold=0.5, by='mean_logprob') | best_by(score='score')",
    "ab_mcts(n=9, by='mean_logprob') | best_by(score='score')",
    "mctsr(rollouts=2) | best_by(score='score')",
    "best_of_n(n=5, temperature=1.2) | mutual_consistency(k=3)",
    "best_of_n(n=4, temperature=1.0) | gen_synthesis(window=2, draws=3)",
    "best_of_n(n=4) | gen_select(window=3, draws=3)",
    "best_of_n(n=4) | gen_select(window=2, draws=2, decide='tournament')",
    "best_of_n(n=4) | pivot_tournament(k=1)",
    "best_of_n(n=4) | confidence_gate(otherwise=generative_verification(k=2), agreement=0.9)",
]


class Interrupted(EmbeddedBackend):
    """Cancels the task ``task`` after a given number of requests has finished."""

    task: asyncio.Task[object] | None = None
    left = 0

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        async for delta in super().generate(request):
            self.left -= delta.finish is not None
            if delta.finish is not None and self.left == 0 and self.task is not None:
                self.task.cancel()
            yield delta


async def work(path: Path, text: str, *, interrupt: int = 0, concurrency: int = 32) -> None:
    backend = Interrupted(bundled_models()["reasoner"])
    strategy = parse_strategy(text)
    with Store.begin(path, {"strategy": text}, SUITE.problems) as store:
        setting = setting_for(SUITE, backend, JUDGING, shape=ModelShape.of_config(backend.facts.config))
        running = run(SUITE, strategy, setting, store, concurrency=concurrency)
        task = asyncio.create_task(running)
        backend.task, backend.left = task, interrupt
        await asyncio.gather(task, return_exceptions=bool(interrupt))


@pytest.mark.slow
@pytest.mark.parametrize("text", STRATEGIES)
async def test_interruptions_and_company_change_nothing(tmp_path: Path, text: str) -> None:
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    await work(whole, text)
    for interrupt, concurrency in ((3, 32), (5, 1), (6, 2)):
        await work(broken, text, interrupt=interrupt, concurrency=concurrency)
    with Store.read(broken) as store:
        assert {outcome.state for outcome in store.outcomes()} != {"done"}
    await work(broken, text, concurrency=1)
    with Store.read(whole) as a, Store.read(broken) as b:
        assert {outcome.state for outcome in a.outcomes()} == {"done"}
        assert compare(a, b) == []


@pytest.mark.slow
@pytest.mark.parametrize("text", STRATEGIES[:2])
async def test_an_export_of_questions_and_workers_comes_back(tmp_path: Path, text: str) -> None:
    await work(tmp_path / "a.db", text)
    with Store.read(tmp_path / "a.db") as a:
        export_run(a, tmp_path / "a.jsonl")
    import_recordings(tmp_path / "a.jsonl", tmp_path / "b.db")
    with Store.read(tmp_path / "a.db") as a, Store.read(tmp_path / "b.db") as b:
        for problem in SUITE.problems:
            ours, theirs = a.traces(problem.id), b.traces(problem.id)
            assert [(t.id, t.completion, t.finish) for t in ours] == [(t.id, t.completion, t.finish) for t in theirs]
            assert [t.path[0].text for t in ours] == [t.path[0].text for t in theirs]
            assert [t.token_ids.tolist() for t in ours] == [t.token_ids.tolist() for t in theirs]
            assert len({t.path[0].text for t in ours}) > 1
