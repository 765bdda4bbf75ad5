"""Threads: what is spawned, what exactly the join contains, what it costs, and what happens to malformed tags."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.scripted import Replying, Scripted, session
from widthwise import BackendError, BestOfN, Budget, MajorityVote, SerialSearch, Threads, UsageError
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.session import Session
from widthwise.core.strategy.result import Result
from widthwise.core.strategy.strategy import as_strategy
from widthwise.models.thread_grammars import GRAMMARS

TEXTS = ["so = 2", "I think it is = 3", "hm = 2.0", "no idea at all"]
BLOCK = "Plan.\n<Parallel>\n<Outlines>\n<Outline>1: add</Outline>\n<Outline>2: multiply</Outline>\n</Outlines>"
BOTH = pytest.mark.parametrize("deterministic", [True, False])


def spawning(family: str, backend: Any, **options: Any) -> Session:
    """A session with a model that writes threads as ``family`` does, asked the plain problem."""
    return session(backend, format=PromptFormat("made", grammars=GRAMMARS, threads=family), **options)


def replies(table: dict[str, str], **options: Any) -> Replying:
    """Says the entry of the longest key with which the prompt ends."""

    def reply(prompt: str, index: int) -> str:
        return table[max((end for end in table if prompt.endswith(end)), key=len)]

    return Replying(reply, **options)


async def run(sampler: Any, s: Session) -> Result:
    return await asyncio.wait_for((as_strategy(sampler) | MajorityVote()).run(s), 300)


def conserved(s: Session, backend: Scripted) -> None:
    """Every generated token is in the ledger once, and in a trace."""
    assert s.ledger.sampled == backend.generated
    sampled = [t for t in s.traces.values() if t.segment.origin == "sampled"]
    assert sum(len(t.segment) for t in sampled) == s.ledger.sampled
    assert s.ledger.sequential <= s.ledger.sampled


# -- the families' own texts -----------------------------------------------------------------------------------


@BOTH
async def test_threadweaver_writes_a_block_as_its_released_runtime_does(deterministic: bool) -> None:
    table = {"1+1?\n": BLOCK, "1:": " one</Thread>", "2:": " two, longer\n</Thread>", "\n": "</Parallel>\nSo = 2"}
    backend = replies(table, deterministic=deterministic)
    s = spawning("threadweaver", backend)
    result = await run(Threads(), s)
    [trace] = result.traces
    joined = "\n<Thread>\n1: one</Thread><Thread>\n2: two, longer\n</Thread>\n"
    assert trace.completion == f"{BLOCK}{joined}</Parallel>\nSo = 2\0"
    assert result.answer == "2"
    assert [t.completion.removeprefix(BLOCK) for t in result.fragments] == [
        "\n<Thread>\n1: one</Thread>",
        "\n<Thread>\n2: two, longer\n</Thread>",
    ]
    assert (result.notes, result.errors) == ((), ())
    conserved(s, backend)


async def test_children_share_their_parents_prompt_to_the_token_and_the_join_that_of_the_first() -> None:
    table = {"1+1?\n": BLOCK, "1:": " one\n</Thread>", "2:": " two\n</Thread>", "\n": "</Parallel>\nSo = 2"}
    backend = replies(table)
    await run(Threads(), spawning("threadweaver", backend))
    parent, first, second, onward = (r.prompt.tolist() for r in backend.requests)
    spawned = [*parent, *map(ord, BLOCK)]
    assert first == [*spawned, *map(ord, "\n<Thread>\n1:")]
    assert second == [*spawned, *map(ord, "\n<Thread>\n2:")]
    assert onward[: len(first)] == first


@pytest.mark.parametrize("threads", [1, 2, 8])
async def test_the_critical_path_is_the_longest_thread_not_the_sum(threads: int) -> None:
    outlines = "".join(f"<Outline>{n}: x</Outline>" for n in range(1, threads + 1))
    block, rest = f"<Outlines>{outlines}</Outlines>", "So = 2"
    table = {f"\n{n}:": "y" * 10 * n + "</Thread>" for n in range(1, threads + 1)} | {"1+1?\n": block, "\n": rest}
    s = spawning("threadweaver", replies(table))
    result = await run(Threads(), s)
    lengths = [10 * n + len("</Thread>") for n in range(1, threads + 1)]
    assert s.ledger.sequential == len(block) + max(lengths) + len(rest) + 1
    assert s.ledger.sampled == len(block) + sum(lengths) + len(rest) + 1
    assert result.traces[0].sequential == s.ledger.sequential


async def test_a_trace_is_one_sample_whatever_it_spawns() -> None:
    outlines = "".join(f"<Outline>{n}: x</Outline>" for n in range(1, 5))
    table = {f"\n{n}:": "y</Thread>" for n in range(1, 5)} | {
        "1+1?\n": f"<Outlines>{outlines}</Outlines>",
        "\n": "= 2",
    }
    s = spawning("threadweaver", replies(table), budget=Budget(samples=2))
    result = await run(Threads(n=3), s)
    assert [t.completion[-5:] for t in result.traces] == ["\n= 2\0"] * 2
    assert (s.ledger.samples, len(result.fragments)) == (2, 8)


async def test_only_conclusions_return_to_the_reasoner() -> None:
    table = {
        "1+1?\n": BLOCK,
        "1:": "\n5 + 3 = 8\n<Conclusion>none</Conclusion>\n</Thread>",
        "2:": "\n5 * 3 = 15\n<Conclusion>5 * 3 = 15</Conclusion>\n</Thread>",
        "\n": "</Parallel>\nSo = 15",
    }
    [trace] = (await run(Threads(), spawning("reasoner", replies(table)))).traces
    assert trace.completion.removeprefix(BLOCK) == (
        "\n<Thread>\n1:<Conclusion>none</Conclusion>\n</Thread>"
        "<Thread>\n2:<Conclusion>5 * 3 = 15</Conclusion>\n</Thread>\n</Parallel>\nSo = 15\0"
    )


async def test_a_conclusion_that_was_cut_off_does_not_return() -> None:
    table = {"1+1?\n": BLOCK, "1:": "a<Conclusion>1", "2:": "<Conclusion>2</Conclusion>\n</Thread>", "\n": "= 2"}
    [trace] = (await run(Threads(), spawning("reasoner", replies(table)))).traces
    assert "1:<Conclusion>none</Conclusion>\n</Thread><Thread>\n2:<Conclusion>2</Conclusion>" in trace.completion


async def test_paths_of_multiverse_may_fork_again() -> None:
    inner = "<Goal><Outline>\n2.1: u\n</Outline><Outline>2.2: v</Outline></Goal>"
    table = {
        "1+1?\n": "<Parallel>\n<Goal>\n<Outline>\n1: a\n</Outline>\n<Outline>\n2: b\n</Outline>\n</Goal>",
        "\n1:": "A\n</Path>",
        "\n2:": inner,
        "2.1:": "U</Path>",
        "2.2:": "V, longer</Path>",
        "2.2:V, longer</Path><Conclusion>\n": "UV</Conclusion></Parallel></Path>",
        "</Path><Conclusion>\n": "all</Conclusion>\n</Parallel>\n= 2",
    }
    backend = replies(table)
    s = spawning("multiverse", backend)
    result = await run(Threads(depth=2), s)
    nested = (
        f"{inner}\n<Path>\n2.1:U</Path>\n<Path>\n2.2:V, longer</Path><Conclusion>\nUV</Conclusion></Parallel></Path>"
    )
    assert f"\n<Path>\n1:A\n</Path>\n<Path>\n2:{nested}<Conclusion>\nall" in result.traces[0].completion
    assert (result.answer, len(result.fragments), result.notes) == ("2", 4, ())
    second = len(inner) + len("V, longer</Path>") + len("UV</Conclusion></Parallel></Path>")
    ends = len(table["1+1?\n"]) + second + len(table["</Path><Conclusion>\n"]) + 1
    assert s.ledger.sequential == ends
    conserved(s, backend)


async def test_paths_of_parallel_r1_are_told_nothing_and_differ_by_their_seeds() -> None:
    table = {"1+1?\n": "Hm.<Parallel>", "<Path>": "p</Path>", "<Summary>": "both</Summary> = 2"}
    backend = replies(table)
    [trace] = (await run(Threads(width=3), spawning("parallel-r1", backend))).traces
    path = "<Path>p</Path>"
    assert trace.completion == f"Hm.<Parallel>{path}{path}{path}</Parallel>\n<Summary>both</Summary> = 2\0"
    paths = [r for r in backend.requests if r.prompt[-6:].tolist() == [*map(ord, "<Path>")]]
    assert len({r.seed for r in paths}) == 3


STATE = "Moving to Node #0\nCurrent State: 36:[5, 9, 2, 4], Operations: []"


async def test_sub_searches_of_apr_see_their_own_state_and_return_the_clean_path() -> None:
    call = (
        "\nExploring Operation: 9-5=4, Resulting Numbers: [2, 4, 4]\n"
        "Generated Node #0,0: 36:[2, 4, 4] Operation: 9-5=4\n"
        "Generated Node #0,1: 36:[9, 4, 7] Operation: 5+2=7\n"
    )
    spawn = (
        "<Calling Sub Searches>\n<Start Sub Search 0 at level 1> Moving to Node #0,1\n"
        "<Start Sub Search 1 at level 1> Moving to Node #0,0\n<End Calling Sub Searches>"
    )
    success = "\nx equal: Goal Reached\nMoving to Node #0,0\nthe path\n36,36 equal: Goal Reached"
    joined = (
        "<Sub Searches>\n<No Solution in Sub Search 0 at level 1 at Node #0,1>\n"
        "<Goal Reached in Sub Search 1 at level 1 at Node #0,0>\n"
        "Moving to Node #0,0\nthe path\n36,36 equal: Goal Reached\n<End Sub Searches>\n"
    )
    table = {
        "1+1?\n": STATE + call + spawn,
        "Current State: 36:[9, 4, 7], Operations: ['5+2=7']\n": "\nNo solution found.",
        "Current State: 36:[2, 4, 4], Operations: ['9-5=4']\n": success,
        "<End Sub Searches>\n": "36,36 equal: Goal Reached = 36",
    }
    backend = replies(table)
    s = spawning("apr", backend)
    result = await run(Threads(), s)
    [trace] = result.traces
    assert trace.completion == f"{STATE}{call}{joined}36,36 equal: Goal Reached = 36\0"
    assert s.ledger.sequential == len(STATE + call + spawn) + len(success) + 1 + len("36,36 equal: Goal Reached = 36\0")
    conserved(s, backend)
    assert s.ledger.samples == 1


async def test_apr_never_writes_the_joined_block_itself() -> None:
    table = {
        "1+1?\n": f"{STATE}\n<Sub Searches>\n<Goal Reached",
        "<Calling Sub Searches>": "\n<Start Sub Search 0 at level 1> Moving to Node #9\n<End Calling Sub Searches>",
        "<End Sub Searches>\n": "No solution found. = 0",
    }
    s = spawning("apr", replies(table))
    result = await run(Threads(), s)
    assert result.traces[0].completion == (
        f"{STATE}\n<Sub Searches>\n<No Solution in Sub Search 0 at level 1 at Node #9>\n<End Sub Searches>\n"
        "No solution found. = 0\0"
    )
    assert [n.text for n in result.notes] == ["there is nothing to begin thread 0 with"]


# -- models that do not spawn ----------------------------------------------------------------------------------


@BOTH
async def test_a_model_that_never_spawns_is_sampled_as_ever(deterministic: bool) -> None:
    plain, threads = Scripted(TEXTS, deterministic=deterministic), Scripted(TEXTS, deterministic=deterministic)
    a = await run(BestOfN(4), session(plain))
    b = await run(Threads(n=4), spawning("threadweaver", threads))
    assert [(t.id, t.completion, t.finish, t.sequential) for t in a.traces] == [
        (t.id, t.completion, t.finish, t.sequential) for t in b.traces
    ]
    assert [r.seed for r in plain.requests] == [r.seed for r in threads.requests]
    assert (a.answer, a.ledger.sampled, a.ledger.samples) == (b.answer, b.ledger.sampled, b.ledger.samples)
    assert b.fragments == b.notes == ()


async def test_a_block_may_be_begun_on_the_models_behalf() -> None:
    table = {
        "<Outlines>\n": "<Outline>1: a</Outline>\n</Outlines>",
        "1: a\n": "A</Thread>",
        "</Thread>\n": "</Parallel> = 2",
    }
    [trace] = (await run(Threads(propose=True), spawning("prompted", replies(table)))).traces
    assert trace.completion == (
        "<Parallel>\n<Outlines>\n<Outline>1: a</Outline>\n</Outlines>\n<Thread>\n1: a\nA</Thread>\n</Parallel> = 2\0"
    )


def test_a_family_without_a_grammar_and_unknown_names_are_clear_errors() -> None:
    with pytest.raises(UsageError, match="no grammar of its own; name one"):
        asyncio.run(Threads()(session(Scripted(TEXTS))))
    with pytest.raises(UsageError, match="no grammar 'apl' for threads; it has: apr, multiverse"):
        asyncio.run(Threads(grammar="apl")(spawning("apr", Scripted(TEXTS))))
    with pytest.raises(ValueError, match="join must be"):
        Threads(join="last")  # type: ignore[arg-type]


# -- malformed blocks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "thread", "note"),
    [
        ("<Outlines></Outlines>", "", "a spawn without outlines"),
        ("</Outlines>", "", "a spawn without outlines"),
        ("<Outlines><Outline>1: never closed</Outlines>", "", "a spawn without outlines"),
        ("<Outlines><Outline>1: a</Outline> = 1", "", "an opened block spawned nothing"),
        ("<Outlines><Outline>1: a</Outline></Outlines>", "<Outlines><Outline>1: b</Outline></Outlines>", "nested more"),
    ],
)
async def test_what_is_malformed_goes_on_as_text_and_is_noted(begin: str, thread: str, note: str) -> None:
    table = {"1+1?\n": begin, "1:": thread, "</Outlines>": "x</Thread> = 2", "</Thread>\n": "= 2", "</Thread>": "= 2"}
    backend = replies(table)
    s = spawning("threadweaver", backend)
    result = await run(Threads(), s)
    assert any(note in n.text for n in result.notes)
    assert result.answer in ("1", "2")
    assert len(result.traces) == 1
    conserved(s, backend)


async def test_a_number_given_twice_and_more_outlines_than_threads() -> None:
    outlines = "".join(f"<Outline>{n}: {t}</Outline>" for n, t in [(1, "a"), (2, "b"), (1, "c"), (3, "d")])
    table = {"1+1?\n": f"<Outlines>{outlines}</Outlines>", ":": "x</Thread>", "\n": "= 2"}
    result = await run(Threads(width=2), spawning("threadweaver", replies(table)))
    assert [t.parent.segment.metadata for t in result.fragments if t.parent] == [
        {"thread": "1", "outline": "a"},
        {"thread": "2", "outline": "b"},
    ]
    assert [n.text for n in result.notes] == ["more than 2 outlines; the first ones became threads"]


async def test_a_trace_spawns_only_so_often() -> None:
    block = "<Outlines><Outline>1: a</Outline></Outlines>"
    table = {"1:": "x</Thread>", "\n": block}
    backend = replies(table)
    s = spawning("threadweaver", backend)
    result = await run(Threads(rounds=3), s)
    assert (len(result.fragments), result.notes[-1].text) == (3, "spawned more than 3 times")
    assert result.traces[0].completion.endswith(block + "\0")
    conserved(s, backend)


async def test_a_thread_that_fails_is_an_error_and_the_others_are_joined() -> None:
    table = {"1+1?\n": BLOCK, "1:": "one</Thread>", "2:": "two</Thread>", "\n": "= 2"}
    backend = replies(table, faults={1: (0, BackendError("no such luck"))})
    result = await run(Threads(), spawning("threadweaver", backend))
    assert result.traces[0].completion == f"{BLOCK}\n<Thread>\n2:two</Thread>\n= 2\0"
    assert result.errors == ("no such luck",)


async def test_without_any_thread_left_the_trace_goes_on_without_a_join() -> None:
    table = {"1+1?\n": BLOCK, ":": "never", "</Outlines>": "I do it myself = 2"}
    fault = BackendError("no such luck")
    backend = replies(table, faults={1: (0, fault), 2: (0, fault)})
    result = await run(Threads(), spawning("threadweaver", backend))
    assert result.traces[0].completion == f"{BLOCK}I do it myself = 2\0"
    assert [n.text for n in result.notes] == ["no thread returned"]


# -- joins and limits ------------------------------------------------------------------------------------------


@BOTH
async def test_the_first_thread_that_found_something_ends_the_others(deterministic: bool) -> None:
    outlines = "".join(f"<Outline>{n}: x</Outline>" for n in (1, 2, 3))
    table = {
        "1+1?\n": f"<Outlines>{outlines}</Outlines>",
        "1:": "y" * 400 + "<Conclusion>1</Conclusion></Thread>",
        "2:": "<Conclusion>none</Conclusion></Thread>",
        "3:": "y" * 40 + "<Conclusion>3</Conclusion></Thread>",
        "\n": "= 2",
    }
    backend = replies(table, deterministic=deterministic)
    s = spawning("reasoner", backend)
    result = await run(Threads(join="first"), s)
    none = "<Conclusion>none</Conclusion>\n</Thread>"
    assert f"1:{none}<Thread>\n2:<Conclusion>none</Conclusion></Thread><Thread>\n3:" in result.traces[0].completion
    assert [t.finish for t in result.fragments] == ["aborted", "stop", "stop"]
    assert s.ledger.discarded == len(result.fragments[0].segment) < 200
    assert result.traces[0].sequential == len(table["1+1?\n"]) + len(table["3:"]) + len("= 2\0")
    conserved(s, backend)


async def test_where_no_thread_found_anything_all_are_joined() -> None:
    table = {"1+1?\n": BLOCK, ":": "<Conclusion>none</Conclusion></Thread>", "\n": "= 2"}
    result = await run(Threads(join="first"), spawning("reasoner", replies(table)))
    assert [t.finish for t in result.fragments] == ["stop", "stop"]
    assert result.answer == "2"


async def test_threads_and_traces_have_limits_of_their_own() -> None:
    table = {"1+1?\n": BLOCK, "1:": "one</Thread>", "2:": "t" * 90, "\n": "z" * 500}
    s = spawning("threadweaver", replies(table))
    result = await run(Threads(thread_tokens=20, max_tokens=len(BLOCK) + 30), s)
    assert [(len(t.segment), t.finish) for t in result.fragments] == [(12, "stop"), (20, "length")]
    [trace] = result.traces
    assert (trace.tokens, trace.finish) == (len(BLOCK) + 30, "length")
    assert "t" * 20 + "\n</Thread>\n" in trace.completion


@pytest.mark.parametrize("total", [5, len(BLOCK), len(BLOCK) + 2, len(BLOCK) + 50, 300])
async def test_a_trace_with_all_its_threads_keeps_within_its_total(total: int) -> None:
    table = {"1+1?\n": BLOCK, "1:": "o" * 100, "2:": "t" * 100, "\n": "z" * 500, "</Outlines>": "alone"}
    backend = replies(table)
    s = spawning("threadweaver", backend)
    await run(Threads(total_tokens=total), s)
    assert s.ledger.sampled <= total
    conserved(s, backend)


@pytest.mark.parametrize("window", [4, 30, 140, 200, 400])
async def test_no_sequence_is_longer_than_the_window(window: int) -> None:
    table = {"1+1?\n": BLOCK, "1:": "o" * 100, "2:": "t" * 100, "\n": "z" * 500, "</Outlines>": "alone"}
    s = spawning("threadweaver", replies(table))
    await run(Threads(window=window), s)
    sampled = [t for t in s.traces.values() if t.segment.origin == "sampled"]
    assert max([len(t.token_ids) for t in sampled], default=0) <= window


@BOTH
@pytest.mark.parametrize("budget", [{"tokens": 150}, {"sequential": 140}, {"samples": 2}, {"tokens": 100}])
async def test_a_budget_that_ends_within_a_block_leaves_whole_traces(
    budget: dict[str, int], deterministic: bool
) -> None:
    table = {"1+1?\n": BLOCK, "1:": "o" * 50, "2:": "t" * 50, "\n": "= 2"}
    backend = replies(table, deterministic=deterministic)
    s = spawning("threadweaver", backend, budget=Budget(**budget))
    result = await run(Threads(), s)
    assert len(result.traces) == 1
    assert all("thread" in t.metadata for t in result.fragments)
    conserved(s, backend)


# -- anything at all -------------------------------------------------------------------------------------------

TAGS = [
    *("<Parallel>", "</Parallel>", "<Outlines>", "</Outlines>", "<Outline>1: a</Outline>", "<Outline>2.1: b</Outline>"),
    *("<Outline>", "</Outline>", "<Thread>", "</Thread>", "<Goal>", "</Goal>", "<Path>", "</Path>", "<Summary>"),
    *("<Conclusion>", "</Conclusion>", "<Conclusion>none</Conclusion>", "<Calling Sub Searches>", "<Sub Searches>"),
    *("<Start Sub Search 1 at level 1> Moving to Node #0", "<End Calling Sub Searches>", "<End Sub Searches>"),
    *("Goal Reached", "Moving to Node #0\nCurrent State: 9:[1, 2], Operations: []", "= 3", "\n", "1:", "{text}", "é"),
]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    soup=st.lists(st.lists(st.sampled_from(TAGS), max_size=12), min_size=1, max_size=6),
    family=st.sampled_from(sorted(GRAMMARS)),
    sampler=st.builds(
        Threads,
        n=st.integers(1, 3),
        width=st.integers(1, 3),
        join=st.sampled_from(["all", "first"]),
        depth=st.integers(0, 2),
        rounds=st.integers(1, 3),
        max_tokens=st.none() | st.integers(1, 300),
        thread_tokens=st.none() | st.integers(1, 60),
        total_tokens=st.none() | st.integers(1, 500),
        window=st.none() | st.integers(1, 400),
        propose=st.booleans(),
    ),
    budget=st.none() | st.builds(Budget, tokens=st.integers(1, 600)) | st.builds(Budget, samples=st.integers(1, 9)),
    deterministic=st.booleans(),
    fault=st.none() | st.integers(0, 6),
)
def test_tag_soup_never_crashes_or_hangs_and_loses_no_token(
    soup: list[list[str]],
    family: str,
    sampler: Threads,
    budget: Budget | None,
    deterministic: bool,
    fault: int | None,
) -> None:
    def reply(prompt: str, index: int) -> str:
        # The same prompt gets the same answer; different prompts get different answers.
        pick = random.Random(hashlib.md5(f"{index}{prompt}".encode()).digest())
        return "".join(pick.choice(soup))

    async def twice() -> None:
        seen = []
        for _ in range(2):
            faults = {} if fault is None else {fault: (2, BackendError("no such luck"))}
            backend = Replying(reply, deterministic=deterministic, faults=faults)
            s = spawning(family, backend, budget=budget)
            result = await run(sampler, s)
            conserved(s, backend)
            if sampler.total_tokens is not None:
                assert s.ledger.sampled <= sampler.n * sampler.total_tokens
            if sampler.window is not None:
                assert all(len(t.token_ids) <= sampler.window for t in [*result.traces, *result.fragments])
            assert len(result.traces) <= sampler.n
            seen.append([(t.id, t.completion) for t in (*result.traces, *result.fragments)])
        if deterministic:
            assert seen[0] == seen[1]

    asyncio.run(twice())


# -- the search written out ------------------------------------------------------------------------------------


async def test_a_search_is_asked_for_and_keeps_within_its_window() -> None:
    form = PromptFormat("made", prompts={"search": "{problem}<search>{order}"})
    backend = replies({"1+1?<search>breadth\n": "s" * 300})
    s = session(backend, format=form)
    [trace] = await SerialSearch("breadth", window=50)(s)
    assert (len(trace.token_ids), trace.finish) == (50, "length")
    assert (await run(SerialSearch("breadth", window=5), session(backend, format=form))).answer is None


async def test_a_model_that_learned_no_search_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="trained to write a search down"):
        await SerialSearch()(session(Scripted(TEXTS)))
