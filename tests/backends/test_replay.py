"""What the conformance suite leaves open for the replay backend: which sample, which tokens, what it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.core.scripted import Scripted
from widthwise.backends.replay import ReplayBackend
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.backend import Delta, Request, SamplingParams, TokenStats
from widthwise.core.errors import BackendError
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.budget import Budget
from widthwise.core.trace.recording import Recording, Sample
from widthwise.evals.grading.graders import MathGrader

PROBLEM = Problem("p0", "What is 6 times 7?", "42")
TEXTS = ["First, think.\n\nThen 42.", "First, guess.\n\nSo \\boxed{41}.", "Done: \\boxed{42}"]


def backend(samples: Sequence[Sample] | None = None, **options: object) -> ReplayBackend:
    recorded = samples or [Sample(t, "42", True, metadata={"reward": i, "correct": 1}) for i, t in enumerate(TEXTS)]
    return ReplayBackend({"p0": Recording(PROBLEM, tuple(recorded))}, **options)  # type: ignore[arg-type]


def session(replay: ReplayBackend, **options: object) -> Session:
    setting = Setting(Scheduler(replay), MathGrader(), PromptFormat("plain"), instruction="Box it.")
    return Session(PROBLEM, setting, **options)  # type: ignore[arg-type]


def root(replay: ReplayBackend, text: str = PROBLEM.text) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(replay.tokenizer.chat([{"role": "user", "content": text}]), np.int64)


async def served(replay: ReplayBackend, request: Request) -> list[Delta]:
    async with aclosing(replay.generate(request)) as deltas:  # type: ignore[type-var]
        return [delta async for delta in deltas]


def spelled(replay: ReplayBackend, deltas: Sequence[Delta]) -> str:
    return "".join(replay.tokenizer.decode(d.token_ids) for d in deltas)


async def test_samples_come_in_their_order_and_as_they_were() -> None:
    s = session(backend())
    traces = await s.sample(s.root, 3)
    assert [t.completion for t in traces] == TEXTS
    assert [t.finish for t in traces] == ["stop"] * 3
    assert [t.segment.metadata for t in traces] == [{"reward": i} for i in range(3)]


async def test_chunks_are_as_asked_and_stop_when_nobody_asks() -> None:
    replay = backend()
    stream = replay.generate(Request(root(replay), SamplingParams(), 0, "p0", chunk=2))
    first = await anext(stream)
    assert len(first.token_ids) == 2
    assert first.finish is None
    await stream.aclose()  # type: ignore[attr-defined]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_usage_is_that_of_a_prefix_cache() -> None:
    s = session(backend())
    await s.sample(s.root, 3)
    length = len(s.root.segment)
    assert (s.ledger.prompt_computed, s.ledger.prompt_cached) == (length, 2 * length)


async def test_limits_and_stops_act() -> None:
    s = session(backend())
    (cut,) = await s.sample(s.root, max_tokens=2)
    assert (cut.finish, cut.tokens) == ("length", 2)
    (step,) = await s.sample(s.root, stop="\n\n")
    assert (step.finish, step.segment.reason) == ("stop", "\n\n")
    assert step.completion.endswith("guess.\n\n")


async def test_a_budget_ends_a_replay_within_a_token_of_each_trace() -> None:
    s = session(backend(), budget=Budget(tokens=6))
    traces = await s.sample(s.root, 3)
    assert {t.finish for t in traces} == {"budget"}
    assert 6 <= s.ledger.sampled <= 6 + 3


async def test_a_step_goes_on_to_its_own_sample() -> None:
    s = session(backend())
    steps = await s.sample(s.root, 2, stop="\n\n")
    ends = [(await s.sample(step))[0] for step in steps]
    assert [e.completion for e in ends] == TEXTS[:2]
    (nothing_more,) = await s.sample(ends[0])
    assert (len(nothing_more.segment), nothing_more.finish) == (0, "stop")


async def test_recorded_tokens_are_served_with_their_statistics() -> None:
    ends, logprobs = np.array([2, 5, 7]), np.array([-0.5, -1.5, -2.5], np.float32)
    tops = np.arange(6).reshape(3, 2)
    sample = Sample(
        "abcdefg", token_ends=ends, stats=TokenStats(logprobs, tops, tops.astype(np.float32)), finish="length"
    )
    replay = backend([sample])
    deltas = await served(replay, Request(root(replay), SamplingParams(logprobs=1), 0, "p0", chunk=1))
    assert [replay.tokenizer.decode(d.token_ids) for d in deltas] == ["ab", "cde", "fg"]
    assert [float(d.stats.logprobs[0]) for d in deltas if d.stats] == [-0.5, -1.5, -2.5]
    assert [d.stats.top_ids.tolist() for d in deltas if d.stats and d.stats.top_ids is not None] == [
        [[0]],
        [[2]],
        [[4]],
    ]
    assert deltas[-1].finish == "length"
    silent = await served(replay, Request(root(replay), SamplingParams(logprobs=None), 0, "p0"))
    assert silent[0].stats is None


async def test_a_tokenizer_cuts_what_has_no_tokens() -> None:
    class Halves(PieceTokenizer):
        def encode(self, text: str) -> list[int]:
            return self.intern([text[: len(text) // 2], text[len(text) // 2 :]])

    class Other:
        """Not a PieceTokenizer, so it does not handle recorded ends."""

        eos_ids: frozenset[int] = frozenset()
        bos_id: int | None = None
        controls: Mapping[str, int] = {}

        def __init__(self) -> None:
            inner = Halves()
            self.encode, self.decode, self.chat = inner.encode, inner.decode, inner.chat

    replay = backend(tokenizer=Other())
    deltas = await served(replay, Request(root(replay), SamplingParams(), 0, "p0", chunk=1))
    assert len(deltas) == 2
    assert spelled(replay, deltas) == TEXTS[0]


async def test_an_insertion_that_was_recorded_is_followed() -> None:
    s = session(backend([Sample("Hmm.\n\nWait, 42.")]))
    (step,) = await s.sample(s.root, stop="\n\n")
    (end,) = await s.sample(s.append(step, "Wait,"))
    assert end.completion == "Hmm.\n\nWait, 42."


async def test_an_insertion_that_was_not_recorded_is_refused() -> None:
    s = session(backend())
    (step,) = await s.sample(s.root, stop="\n\n")
    (end,) = await s.sample(s.append(step, "But wait"))
    assert end.finish == "error"
    assert "inserted" in str(end.segment.reason)


async def test_more_samples_than_recorded_are_refused() -> None:
    s = session(backend())
    traces = await s.sample(s.root, 4)
    assert [t.finish for t in traces] == ["stop"] * 3 + ["error"]
    assert "problem p0 has 3 recorded samples, but sample 4 was requested: lower n" in str(traces[3].segment.reason)


async def test_a_text_goes_on_only_as_often_as_it_was_recorded() -> None:
    s = session(backend())
    (step,) = await s.sample(s.root, stop="\n\n")
    traces = await s.sample(step, 4)
    said = str(traces[3].segment.reason)
    assert "that continue this text" in said
    assert said.endswith("a strategy that goes on with a text in several ways needs a model")


async def test_an_unknown_problem_is_refused() -> None:
    replay = backend(name="replay:x.jsonl")
    with pytest.raises(BackendError, match=r"replay:x\.jsonl has no problem 'p9'"):
        await served(replay, Request(root(replay), SamplingParams(), 0, "p9"))


async def test_another_prompt_about_the_problem_is_refused_whatever_comes_first() -> None:
    for own_first in (True, False):
        replay = backend()
        own = Request(root(replay), SamplingParams(), 0, "p0")
        other = replace(own, prompt=root(replay, f"{PROBLEM.text}\n\nDrafts: 41, 42. Improve them."))
        if own_first:
            await served(replay, own)
        with pytest.raises(BackendError, match="not other prompts"):
            await served(replay, other)
        assert spelled(replay, await served(replay, own)) == TEXTS[0]


async def test_a_plain_prompt_is_known_again() -> None:
    replay = backend()
    ids = np.array(replay.tokenizer.encode("Any prompt"), np.int64)
    deltas = await served(replay, Request(ids, SamplingParams(max_tokens=3), 0, "p0"))
    longer = np.concatenate([ids, *(d.token_ids for d in deltas)])
    rest = await served(replay, Request(longer, SamplingParams(), 0, "p0"))
    assert spelled(replay, [*deltas, *rest]) == TEXTS[0]


async def test_an_open_assistant_turn_is_continued() -> None:
    replay = backend()
    talk = [{"role": "user", "content": PROBLEM.text}, {"role": "assistant", "content": "First, guess.\n\n"}]
    prompt = np.array(replay.tokenizer.chat(talk), np.int64)
    deltas = await served(replay, Request(prompt, SamplingParams(), 0, "p0"))
    assert spelled(replay, deltas) == "So \\boxed{41}."


async def test_samples_that_failed_and_those_of_other_prompts_are_left_out() -> None:
    replay = backend([Sample("refined", trace="1.0"), Sample("cu", finish="error"), Sample("own", trace="0.0")])
    assert spelled(replay, await served(replay, Request(root(replay), SamplingParams(), 0, "p0"))) == "own"


async def test_prompt_logprobs_are_refused() -> None:
    replay = backend()
    with pytest.raises(BackendError, match="log-probabilities of prompts"):
        await served(replay, Request(root(replay), SamplingParams(prompt_logprobs=0), 0, "p0"))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".db"])
async def test_every_kind_of_file_is_served(tmp_path: Path, suffix: str) -> None:
    from widthwise.evals.store.exchange import export_run, import_recordings
    from widthwise.evals.store.store import Store
    from widthwise.opening import open_backend

    (tmp_path / "a.jsonl").write_text('{"problem_id": "p0", "problem": "What is 6 times 7?", "answer": "42", '
                                      '"samples": [{"text": "It is 42", "answer": null}]}\n')  # fmt: skip
    import_recordings(tmp_path / "a.jsonl", tmp_path / "a.db")
    with Store.read(tmp_path / "a.db") as store:
        export_run(store, tmp_path / "a.parquet")
    replay = await open_backend(f"replay:{tmp_path / 'a'}{suffix}")
    prompt = np.array(replay.tokenizer.chat([{"role": "user", "content": PROBLEM.text}]), np.int64)
    deltas = [d async for d in replay.generate(Request(prompt, SamplingParams(), 0, "p0"))]
    assert "".join(replay.tokenizer.decode(d.token_ids) for d in deltas) == "It is 42"
    await replay.close()


async def test_a_model_behind_it_is_asked_whatever_was_not_recorded() -> None:
    model = Scripted(["6 * 7 = 42", "yes"])
    replay = backend(model=model)
    assert replay.name == "replay with scripted"
    s = session(replay)
    [recorded] = await s.sample(s.root)
    [inserted] = await s.sample(s.append(recorded, "\nWait:\n"), stop=" = 42")
    other = s.prompt([{"role": "user", "content": f"{PROBLEM.text} Is it 42?"}])
    replies = await s.sample(other, 2)
    assert recorded.completion == TEXTS[0]
    assert inserted.completion == f"{TEXTS[0]}\nWait:\n6 * 7 = 42"
    assert [r.completion for r in replies] == ["6 * 7 = 42\0", "yes\0"]
    assert [len(r.prompt) for r in model.requests] == [
        *[len(PROBLEM.text) + len("\n\nBox it.\n") + len(TEXTS[0]) + len("\nWait:\n")],
        *[len(f"{PROBLEM.text} Is it 42?\n")] * 2,
    ]
    assert model.closed == 3
