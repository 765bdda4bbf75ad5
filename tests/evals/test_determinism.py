"""On the embedded backend, a run's bytes do not depend on how many problems run at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from widthwise import (
    DVTS,
    AnswerProbe,
    BeamSearch,
    BestOfN,
    Budget,
    DeepConf,
    DeepPrune,
    MajorityVote,
    StopWhenDecided,
    Strategy,
)
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.store import Store, compare
from widthwise.evals.suites.suites import load_suite
from widthwise.opening import bundled_models

STRATEGIES = {
    "decided": BestOfN(16, width=5, temperature=1.5) | StopWhenDecided() | MajorityVote(),
    "tokens": BestOfN(8, width=3) | Budget(tokens=400) | MajorityVote(),
    "judged": BestOfN(8) | DeepPrune(at=32, keep=2) | MajorityVote(),
    "probed": BestOfN(8, width=5) | DeepPrune(at=32, keep=2, judge=AnswerProbe()) | MajorityVote(),
    "confident": BestOfN(8, width=3) | DeepConf(warmup=3, window=16, consensus=None) | MajorityVote(),
    "beam": BeamSearch(6, 2, by="mean_logprob") | MajorityVote(),
    "beam tokens": BeamSearch(6, 2, by="mean_logprob") | Budget(tokens=200) | MajorityVote(),
    "subtrees tokens": DVTS(6, 2, by="mean_logprob") | Budget(tokens=200) | MajorityVote(),
    "sequential": BestOfN(8) | StopWhenDecided() | Budget(sequential=100) | MajorityVote(),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_concurrency_changes_nothing(name: str, tmp_path: Path) -> None:
    def store(concurrency: int) -> Store:
        path = tmp_path / f"{concurrency}.db"
        with Store.begin(path, {"strategy": name}, suite.problems) as written:
            asyncio.run(work(STRATEGIES[name], written, concurrency))
        return Store.read(path)

    async def work(strategy: Strategy, written: Store, concurrency: int) -> None:
        backend = EmbeddedBackend(bundled_models()["reasoner"], max_num_seqs=24)
        await run(suite, strategy, setting_for(suite, backend), written, concurrency=concurrency)
        await backend.close()

    suite = load_suite("arithmetic", limit=10)
    with store(1) as alone, store(4) as some, store(10) as all_at_once:
        outcomes = list(alone.outcomes())
        cut = [leaf for o in outcomes for leaf in o.leaves if leaf.finish not in ("stop", "length")]
        assert cut or len({len(o.leaves) for o in outcomes}) > 1, "nothing is stopped: the test would show nothing"
        assert compare(alone, some) == []
        assert compare(alone, all_at_once) == []
