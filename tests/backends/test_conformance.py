"""One suite for all backends; each test requires only the capabilities that the backend declares."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from tests.backends.conformance import MESSAGES, PROBLEM, Sampled, Subject
from widthwise import BestOfN, MajorityVote, Session, StopWhenDecided
from widthwise.core.backend import Request, SamplingParams
from widthwise.core.errors import BackendError, PromptTooLong
from widthwise.core.problem import Problem
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.evals.grading.graders import MathGrader
from widthwise.models.formats import REASONER

TEXTS = ["", "3 + 4 = 7", "  two  spaces ", "\n\nStep 2: \\boxed{12}\n", "naïve café ½ → 東京 🙂", "x" * 300]


def test_describes_itself_as_json(subject: Subject) -> None:
    described = subject.backend.describe()
    assert {"backend", "model"} <= set(described)
    assert json.loads(json.dumps(dict(described))) is not None


@pytest.mark.parametrize("text", TEXTS)
def test_tokenizer_gives_the_text_back(subject: Subject, text: str) -> None:
    tokenizer = subject.backend.tokenizer
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(np.array(ids, np.int64)) == text


def test_tokenizer_continues_in_the_middle(subject: Subject) -> None:
    tokenizer = subject.backend.tokenizer
    parts = ["Step 1:", " add", "\n\n", " 3", "4", "\n", "so"]
    assert tokenizer.decode([i for part in parts for i in tokenizer.encode(part)]) == "".join(parts)


def test_pieces_join_to_the_text(subject: Subject) -> None:
    tokenizer = subject.backend.tokenizer
    ids = tokenizer.encode("Step 2: 3 * 14 = 42, and then some more.\n\n")
    assert "".join(tokenizer.pieces(ids)) == tokenizer.decode(ids)


def test_chat_opens_the_assistants_turn(subject: Subject) -> None:
    tokenizer = subject.backend.tokenizer
    opened = tokenizer.decode(tokenizer.chat(MESSAGES))
    begun = tokenizer.decode(tokenizer.chat([*MESSAGES, {"role": "assistant", "content": "First, "}]))
    assert MESSAGES[0]["content"] in opened
    assert begun.startswith(opened)
    assert begun.endswith("First, ")


async def test_streams_until_the_limit(subject: Subject) -> None:
    sampled = await subject.sample(max_tokens=20, chunk=4)
    assert len(sampled.ids) == 20 or sampled.ended
    assert sampled.finish == ("stop" if sampled.ended else "length")
    assert [delta.finish for delta in sampled.deltas[:-1]] == [None] * (len(sampled.deltas) - 1)
    assert len([delta for delta in sampled.deltas if len(delta.token_ids)]) >= 2
    assert all(delta.token_ids.dtype == np.int64 for delta in sampled.deltas)


async def test_one_token(subject: Subject) -> None:
    assert len((await subject.sample(max_tokens=1)).ids) == 1


async def test_without_limit_ends_by_itself(subject: Subject) -> None:
    sampled = await subject.sample(max_tokens=None)
    limit = subject.backend.max_model_len
    assert sampled.finish in ("stop", "length")
    if sampled.finish == "length" and limit is not None and subject.backend.capabilities.token_ids:
        assert len(subject.prompt) + len(sampled.ids) == limit


async def test_end_of_sequence_is_kept_and_has_no_reason(subject: Subject) -> None:
    if not subject.backend.tokenizer.eos_ids:
        pytest.skip("the end-of-sequence token is not known")
    several = await asyncio.gather(*(subject.sample(max_tokens=None, seed=i, index=i) for i in range(8)))
    ended = [sampled for sampled in several if sampled.finish == "stop"]
    assert ended
    for sampled in ended:
        assert sampled.stop_reason is None
        assert sampled.ids[-1] in subject.backend.tokenizer.eos_ids
        assert not subject.backend.tokenizer.eos_ids & set(sampled.ids[:-1])


async def test_stop_string_stays_and_ends_the_output(subject: Subject) -> None:
    free = await subject.sample()
    string = free.text[len(free.text) // 2 :][:3]
    sampled = await subject.sample(stop=("never said", string))
    assert (sampled.finish, sampled.stop_reason) == ("stop", string)
    assert string in sampled.text
    # The last token completes the string: without it the string is missing.
    assert string not in subject.backend.tokenizer.decode(sampled.ids[:-1])
    assert free.ids[: len(sampled.ids)] == sampled.ids


async def test_stop_token_stays_and_ends_the_output(subject: Subject) -> None:
    subject.need("stop_token_ids")
    free = await subject.sample()
    token = free.ids[len(free.ids) // 2]
    sampled = await subject.sample(stop_token_ids=(token,))
    assert (sampled.finish, sampled.stop_reason) == ("stop", token)
    assert sampled.ids == free.ids[: free.ids.index(token) + 1]


async def test_equal_seeds_give_equal_tokens(subject: Subject) -> None:
    subject.need("seeds")
    assert (await subject.sample(seed=2**62 + 5)).ids == (await subject.sample(seed=2**62 + 5)).ids


async def test_different_seeds_give_different_tokens(subject: Subject) -> None:
    subject.need("seeds")
    subject.need_sampling()
    seeds = [1, 2, 3, 2**32 + 1, 2**61 + 1]  # some have the same low 32 bits
    drawn = [await subject.sample(subject.nonsense, seed=seed, temperature=2.0) for seed in seeds]
    assert len({tuple(sampled.ids) for sampled in drawn}) == len(seeds)


async def test_greedy_ignores_the_seed(subject: Subject) -> None:
    subject.need_sampling()
    first, second = [await subject.sample(seed=seed, temperature=0.0) for seed in (1, 2)]
    assert first.ids == second.ids


async def test_chunks_do_not_change_the_tokens(subject: Subject) -> None:
    subject.need("seeds")
    first, second = [await subject.sample(chunk=chunk) for chunk in (1, 7)]
    assert first.ids == second.ids


async def test_top_k_of_one_is_greedy(subject: Subject) -> None:
    subject.need_sampling()
    subject.need("token_ids")
    greedy, narrow = await subject.sample(temperature=0.0), await subject.sample(temperature=1.0, top_k=1)
    assert greedy.ids == narrow.ids


async def test_logprobs_of_the_sampled_tokens(subject: Subject) -> None:
    subject.need("max_logprobs")
    sampled = await subject.sample(logprobs=0)
    assert sampled.logprobs.shape == (len(sampled.ids),)
    assert sampled.logprobs.dtype == np.float32
    assert (sampled.logprobs <= 0).all()
    assert all(stats.top_ids is None for stats in sampled.stats)


async def test_no_logprobs_unless_asked_for(subject: Subject) -> None:
    assert (await subject.sample(logprobs=None)).stats == []


async def test_top_logprobs_are_sorted_and_aligned(subject: Subject) -> None:
    subject.need("max_logprobs")
    sampled = await subject.sample(logprobs=3, temperature=1.5)
    for delta in sampled.deltas:
        if not len(delta.token_ids):
            continue
        assert delta.stats is not None
        ids, logprobs = delta.stats.top_ids, delta.stats.top_logprobs
        if not subject.samples and ids is None:
            pytest.skip("none were recorded")
        assert ids is not None
        assert logprobs is not None
        assert ids.shape == logprobs.shape == (len(delta.token_ids), 3)
        assert (np.diff(logprobs, axis=1) <= 0).all()
        assert (delta.stats.logprobs <= logprobs[:, 0] + 1e-5).all()
        own = ids == delta.token_ids[:, None]
        np.testing.assert_allclose(logprobs[own], delta.stats.logprobs[own.any(axis=1)], atol=1e-5)


async def test_logprobs_are_raw(subject: Subject) -> None:
    """Whatever the temperature, the first token has the probability that the model gives it."""
    subject.need("max_logprobs")
    subject.need("token_ids")
    subject.need_sampling()
    hot, cold = [await subject.sample(max_tokens=1, logprobs=5, temperature=t) for t in (2.0, 0.0)]
    top_hot, top_cold = hot.stats[0].top_logprobs, cold.stats[0].top_logprobs
    assert top_hot is not None
    assert top_cold is not None
    np.testing.assert_allclose(top_hot, top_cold, atol=1e-4)


async def test_prompt_logprobs(subject: Subject) -> None:
    subject.need("prompt_logprobs")
    sampled = await subject.sample(max_tokens=1, prompt_logprobs=2)
    stats, length = sampled.prompt_stats, len(subject.prompt)
    assert stats.logprobs.shape == (length - 1,)
    assert (stats.logprobs <= 0).all()
    assert stats.top_ids is not None
    assert stats.top_ids.shape == (length - 1, 2)


async def test_prompt_logprobs_agree_with_sampled_ones(subject: Subject) -> None:
    subject.need("prompt_logprobs")
    sampled = await subject.sample(max_tokens=16)
    prompt = [*subject.prompt, *sampled.ids]
    scored = await subject.sample(prompt, max_tokens=1, prompt_logprobs=0)
    np.testing.assert_allclose(scored.prompt_stats.logprobs[-len(sampled.ids) :], sampled.logprobs, atol=0.05)


async def test_continues_exact_token_ids(subject: Subject) -> None:
    """Greedy sampling from the middle of a greedy answer continues as the answer did."""
    subject.need("token_ids")
    whole = await subject.sample(temperature=0.0, max_tokens=32)
    half = len(whole.ids) // 2
    rest = await subject.sample([*subject.prompt, *whole.ids[:half]], temperature=0.0, max_tokens=32 - half)
    assert whole.ids == whole.ids[:half] + rest.ids


async def test_usage_covers_the_prompt(subject: Subject) -> None:
    usage = (await subject.sample(max_tokens=4)).usage
    assert usage.prompt_cached + usage.prompt_computed == len(subject.prompt)
    assert usage.prompt_cached >= 0


async def test_a_shared_prefix_is_cached(subject: Subject) -> None:
    subject.need("cached_tokens")
    subject.need_sampling()
    prompt = [*subject.prompt, *subject.backend.tokenizer.encode("12 + 30 = 42.\n\n" * 16)]
    await subject.sample(prompt, max_tokens=2)
    usage = (await subject.sample([*prompt, int(prompt[-1])], max_tokens=2)).usage
    assert usage.prompt_cached >= len(prompt) - 64


async def test_long_prompt(subject: Subject) -> None:
    subject.need("token_ids")
    subject.need_sampling()
    limit = subject.need_context_limit()
    prompt = np.resize(subject.prompt, limit - 10)
    sampled = await subject.sample(prompt, max_tokens=None)
    assert len(sampled.ids) == 10 or sampled.ended
    assert sampled.finish == ("stop" if sampled.ended else "length")


async def test_prompt_that_does_not_fit(subject: Subject) -> None:
    subject.need_sampling()
    limit = subject.need_context_limit()
    for length in (limit, 3 * limit):
        with pytest.raises(PromptTooLong):
            await subject.sample(np.resize(subject.prompt, length))
    await subject.sample(max_tokens=1)


async def test_empty_prompt(subject: Subject) -> None:
    subject.need_sampling()
    with pytest.raises(BackendError) as refused:
        await subject.sample([])
    assert not refused.value.retryable


@pytest.mark.parametrize("token", [-1, 10**7])
async def test_token_outside_the_vocabulary(subject: Subject, token: int) -> None:
    subject.need("token_ids")
    subject.need_sampling()
    with pytest.raises(BackendError) as refused:
        await subject.sample([*subject.prompt, token])
    assert not refused.value.retryable
    await subject.sample(max_tokens=1)


async def test_many_at_once(subject: Subject) -> None:
    prompt = subject.nonsense if subject.samples else subject.prompt
    several = await asyncio.gather(*(subject.sample(prompt, seed=i, index=i, temperature=2.0) for i in range(64)))
    assert all(sampled.finish is not None and sampled.ids for sampled in several)
    assert not subject.samples or len({tuple(sampled.ids) for sampled in several}) > 32


async def test_abort_in_mid_stream_frees_the_engine(subject: Subject) -> None:
    requests = [subject.request(max_tokens=None, seed=i, index=i, chunk=1, temperature=1.2) for i in range(16)]
    taken = await asyncio.gather(*(subject.begin(request, 3) for request in requests))
    assert all(3 <= tokens < 48 for tokens in taken)
    assert await subject.idle()
    assert len((await subject.sample(max_tokens=8)).ids) == 8


async def test_cancelling_the_consumer_frees_the_engine(subject: Subject) -> None:
    subject.need_sampling()
    begun = asyncio.Event()

    async def consume() -> None:
        async for _ in subject.backend.generate(subject.request(max_tokens=None, chunk=1)):
            begun.set()

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await subject.idle()


async def test_abort_before_the_first_token(subject: Subject) -> None:
    await subject.begin(subject.request(), 0)
    assert await subject.idle()


def test_two_event_loops_in_turn(subject: Subject) -> None:
    async def several() -> list[Sampled]:
        return await asyncio.gather(*(subject.sample(seed=i, index=i) for i in range(4)))

    first, second = asyncio.run(several()), asyncio.run(several())
    assert all(sampled.finish for sampled in [*first, *second])


async def test_requests_of_many_problems(subject: Subject) -> None:
    subject.need_sampling()
    params = SamplingParams(max_tokens=8)
    requests = [Request(subject.prompt, params, i, problem=f"{PROBLEM}-{i}", priority=i) for i in range(16)]
    several = await asyncio.gather(*map(subject.run, requests))
    assert all(len(sampled.ids) == 8 or sampled.finish == "stop" for sampled in several)


async def test_the_same_strategy_answers_on_every_backend(subject: Subject) -> None:
    setting = Setting(Scheduler(subject.backend), MathGrader(), REASONER, SamplingParams(max_tokens=400))
    problem = Problem(PROBLEM, MESSAGES[0]["content"])
    strategy = BestOfN(3) | StopWhenDecided() | MajorityVote()
    result = await strategy.run(Session(problem, setting, pruners=strategy.pruners))
    assert result.errors == ()
    assert result.ledger.sampled == sum(trace.tokens for trace in result.traces) > 0
    assert result.answer is not None
