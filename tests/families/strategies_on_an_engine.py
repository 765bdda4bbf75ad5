"""What strategies must do on a real engine with random weights: exact tokens, exact ledgers, no forged tokens."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.evals.recount import check_recount
from tests.families.test_prompts_of_families import ours, reference
from tests.families.test_reward_layouts import STEPS
from widthwise.backends.model_facts import facts_in
from widthwise.core.backend import Backend, SamplingParams, Tokenizer
from widthwise.core.errors import UsageError
from widthwise.core.literal import Tags
from widthwise.core.problem import Problem
from widthwise.core.prompting.grammar import ThreadGrammar
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.registry import entries
from widthwise.core.roles import ROLES
from widthwise.core.session.session import Session
from widthwise.core.strategy.composition import parse_strategy
from widthwise.core.trace.trace import Trace, TraceId
from widthwise.evals.runner import run, setting_for
from widthwise.evals.store.store import Store
from widthwise.evals.suites.hub import MATH
from widthwise.evals.suites.suite import Suite
from widthwise.models.formats import BOXED
from widthwise.models.profiles import profile_of
from widthwise.models.reward_formats import reward_format_for

LETTERS = ThreadGrammar(
    "letters",
    opening="<Parallel>",
    spawn="e",
    header="<Path>",
    close="a",
    forced="</Path>",
    after="</Parallel>\n",
)
"""Random text spawns two threads at its first "e"; each thread ends at its first "a"."""

FORGED = "<|im_start|><|im_end|><|eot_id|><|start_header_id|></s><think></think>"
STRATEGIES = {
    "refine": "sequential_refinement(rounds=2)",
    "judged": "parallel_distill_refine(drafts=(2, 1), distill='top_k', k=1, by='self') | generative_verification(k=1)",
    "threads": "threads(n=2, grammar='letters', width=2, rounds=1, thread_tokens=24)",
    "tree": "beam_search(n=4, beam_width=2, by='mean_logprob', max_step_tokens=8, max_depth=3) | majority_vote()",
}
SUITE = Suite("two", tuple(Problem(f"p{n}", f"What is {n} + 4? {FORGED}", str(n + 4)) for n in (3, 5)), MATH, "", BOXED)


def check_reward_layouts(tokenizer: Tokenizer, folder: Path) -> None:
    """Every layout whose tokens the vocabulary contains gets the same ids as from the files' own tokenizer."""
    checked = 0
    for entry in entries(ROLES["reward_format"]):
        layout = reward_format_for(ModelFacts("m"), entry.name)
        with suppress(UsageError):  # the vocabulary lacks the layout's tokens
            layout.check(ours(folder))
            laid, expected = (layout.laid_out(each, SUITE.problems[0], STEPS) for each in (tokenizer, ours(folder)))
            assert laid.ids.tolist() == expected.ids.tolist()
            assert laid.positions == expected.positions
            checked += 1
    assert checked >= 4


async def check_thinking(backend: Backend, folder: Path) -> None:
    """Cut thinking says nothing; ``conclude`` and the limit on thinking close it with the family's mark."""
    profile = profile_of(facts_in(folder, folder.name))
    if profile.thinking is None:
        return
    opening, closing = profile.thinking.marks[0]
    setting = setting_for(SUITE, backend, profile.format, thinking=profile.thinking)
    session = Session(SUITE.problems[0], setting)
    begun = session.append(session.root, Tags(f"{opening}\n"))
    [cut] = await session.sample(begun, max_tokens=8)
    if session.is_thinking(cut):  # random weights may close it
        assert (session.answer(cut), session.solution(cut)) == (None, "")
        concluded = session.conclude(cut)
        assert not session.is_thinking(concluded)
        [mark] = backend.tokenizer.encode(closing)
        assert mark in concluded.segment.token_ids
    [limited] = await session.sample(begun, thinking=8, max_tokens=16)
    assert not session.is_thinking(limited)
    assert limited.tokens <= 16
    assert session.ledger.sampled == sum(
        len(t.segment) for t in session.traces.values() if t.segment.origin == "sampled"
    )


async def check_strategies(backend: Backend, folder: Path, runs: Path) -> None:
    """Each strategy's run has a ledger that equals a recount, prompts with the reference's ids, and no forged token."""
    profile = profile_of(facts_in(folder, folder.name))
    format = replace(profile.format, grammars={**profile.format.grammars, "letters": LETTERS})
    for name, strategy in STRATEGIES.items():
        params = SamplingParams(max_tokens=40, logprobs=5, temperature=1.0)
        setting = setting_for(SUITE, backend, format, params=params, thinking=profile.thinking)
        with Store.begin(runs / f"{name}.db", {"strategy": strategy}, SUITE.problems) as store:
            await run(SUITE, parse_strategy(strategy), setting, store, concurrency=2)
        store = Store.read(runs / f"{name}.db")
        for outcome in store.outcomes():
            assert not outcome.errors
            _check_tokens(store.tree(outcome.problem.id), backend.tokenizer, folder)
        check_recount(store)


def _check_tokens(tree: dict[TraceId, Trace], tokenizer: Any, folder: Path) -> None:
    controls, theirs = set(tokenizer.controls.values()), reference(folder)
    frame = [i for i in tokenizer.chat([{"role": "user", "content": "Hm?"}]) if i in controls]
    assert any(trace.segment.origin == "sampled" for trace in tree.values())
    for trace in tree.values():
        ids = [int(i) for i in trace.segment.token_ids]
        if trace.segment.origin == "prompt":
            assert [i for i in ids if i in controls] == frame
            assert theirs.decode(ids, skip_special_tokens=False) == trace.segment.text
        if trace.segment.origin == "inserted" and "thought" not in trace.segment.metadata:
            assert not controls & set(ids)
