"""Run files made by hand, without a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from widthwise.core.backend import TokenStats
from widthwise.core.problem import Problem
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.trace import Finish, Segment, Trace
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.store import Store

STRATEGY = "best_of_n(n=4) | majority_vote()"


def made_run(
    path: Path,
    answers: Sequence[Sequence[str | None]],
    *,
    strategy: str | None = STRATEGY,
    suite: str = "made",
    finish: Finish = "stop",
    text: str = "Think.\n\nThe answer is \\boxed{%s}.",
    problem: str = "p",
    open_problems: int = 0,
    graded: bool = True,
) -> Path:
    """A run with one problem per row of ``answers``, whose traces state these answers; the reference is always 1."""
    problems = [Problem(f"{problem}{i}", f"Problem {i}?", "1") for i in range(len(answers) + open_problems)]
    configuration = {"suite": suite, "model": "none", "strategy": strategy}
    with Store.begin(path, configuration, problems) as store:
        for asked, row in zip(problems, answers, strict=False):
            traces = [_trace(i, text % answer if "%s" in text else text, finish) for i, answer in enumerate(row)]
            leaves = [
                Leaf(t.id, finish, t.tokens, a, (a == "1") if a is not None and graded else None)
                for t, a in zip(traces, row, strict=True)
            ]
            stated = [a for a in row if a is not None]
            voted = max(stated, key=stated.count) if stated else None
            tokens = sum(t.tokens for t in traces)
            longest = max((t.tokens for t in traces), default=0)
            spent = Ledger(sampled=tokens, samples=len(row), sequential=longest, seconds=1.5)
            right = None if voted is None else voted == "1"
            # One token per character, as from a character-level tokenizer.
            ends = {t.id: np.arange(1, len(t.segment.text) + 1) for t in traces}
            outcome = Outcome(asked, "done", voted, right, leaves=tuple(leaves), ledger=spent)
            store.finish(outcome, traces, ends=ends)
    return path


def _trace(i: int, text: str, finish: Finish) -> Trace:
    root = Trace((0,), Segment("prompt", np.arange(3), "Q: "))
    logprobs = -np.linspace(0.0, 4.0, len(text)).astype(np.float32)
    stats = TokenStats(logprobs)
    reason = "not worth more" if finish == "pruned" else None
    segment = Segment(
        "sampled", np.arange(len(text)), text, stats, finish, reason, seed=i, params="x", metadata={"reward": i / 10}
    )
    return Trace((0, i), segment, root, len(text))
