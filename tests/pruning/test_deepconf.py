"""DeepConf online: the algorithm worked out by hand, on a model with scripted confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.core.scripted import Scripted, session
from widthwise import BestOfN, Budget, DeepConf, MajorityVote, UsageError
from widthwise.core.backend import TokenStats
from widthwise.core.strategy.result import Result


class Sure(Scripted):
    """A digit is a token with that confidence; all other tokens have confidence 5."""

    def stats(self, ids: Sequence[int], k: int) -> TokenStats:
        confidence = np.array([i - 48 if 48 <= i <= 57 else 5 for i in ids], np.float32)
        top = np.repeat(-confidence[:, None], k, axis=1)
        return TokenStats(confidence * 0, np.zeros(top.shape, np.int64), top)


async def drawn(texts: Sequence[str], rule: DeepConf, *, deterministic: bool = True, **options: int) -> Result:
    s = session(Sure(texts, deterministic=deterministic, max_logprobs=20), pruners=[rule])
    return await (BestOfN(len(texts), **options) | MajorityVote()).run(s)


def made(confidence: int, answer: str, tokens: int = 20) -> str:
    """A text with the given confidence, except for its last few tokens, which have confidence 5."""
    return str(confidence) * tokens + f" = {answer}"


WARM = [made(9, "1"), made(8, "2"), made(7, "2"), made(6, "2")]
"""Their least confident windows of four tokens: all end in ' = n' and the end token, with mean (5 + 5 + n + 5) / 4."""


def rule(**changes: object) -> DeepConf:
    return DeepConf(**{"warmup": 4, "window": 4, "eta": 50.0, "consensus": None, "every": 1, **changes})  # type: ignore[arg-type]


def test_the_threshold_is_a_percentile_of_the_least_sure_windows() -> None:
    scores = [1.0, 2.0, 3.0, 4.0]
    assert np.percentile(scores, 100 - 10) == pytest.approx(3.7)  # strict: near the best
    assert np.percentile(scores, 100 - 90) == pytest.approx(1.3)


async def test_a_trace_is_stopped_at_the_token_where_its_window_falls_below_the_threshold() -> None:
    # The warm-up's least confident windows are "5 5 n 5" with n = 1, 2, 2, 2: 4.0, 4.25, 4.25, 4.25; median 4.25.
    late = made(9, "3", 30) + " sure of it " + "1" * 60
    result = await drawn([*WARM, late], rule())
    stopped = result.traces[4]
    assert stopped.finish == "pruned"
    assert stopped.segment.reason == "confidence below 4.250"
    assert stopped.completion == made(9, "3", 30) + " sure of it " + "1"  # 5 5 5 1: 4.0
    assert (result.answer, result.ledger.discarded) == ("2", stopped.tokens)


async def test_warm_up_traces_below_the_threshold_do_not_vote_and_weights_are_confidences() -> None:
    result = await drawn(WARM, rule())
    assert [(c.answer, c.weight) for c in result.election.classes] == [("2", 3 * 4.25)]


async def test_a_trace_shorter_than_the_window_is_never_stopped_and_scores_its_mean() -> None:
    """The warm-up's means are 5.6 and 3.0; the third's, 2.5, is below the threshold: no vote, as in the release."""
    result = await drawn([made(9, "1", 2), "11 = 2", "000 = 3"], rule(window=50, warmup=2))
    assert [t.finish for t in result.traces] == ["stop"] * 3
    assert {c.answer for c in result.election.classes} == {"1"}


@pytest.mark.parametrize("every", [1, 3, 16])
async def test_the_votes_do_not_depend_on_how_often_one_looks(every: int) -> None:
    texts = [*WARM, made(9, "7", 8), "1111 = 9", "9999 1111 = 9", "9" * 40 + " = 5"]
    result = await drawn(texts, rule(every=every))
    voters = {t.id[-1] for c in result.election.classes for t in c.traces}
    assert voters == {1, 2, 3, 4, 7}


async def test_the_warm_up_alone_is_no_consensus() -> None:
    """Four of four agree, but the fifth is still drawn: the vote is checked only once a later trace has ended."""
    texts = [made(9, "2")] * 5 + ["9" * 500] * 60
    result = await drawn(texts, rule(consensus=0.95), width=1)
    assert (result.answer, len(result.traces), result.ledger.samples) == ("2", 5, 5)
    wide = await drawn(texts, rule(consensus=0.95))
    assert (wide.answer, wide.ledger.samples) == ("2", 65), "all have begun when the fifth ends"
    assert [t.finish for t in wide.traces[5:]] == ["pruned"] * 60


async def test_a_trace_that_was_stopped_is_no_occasion_to_look_at_the_vote() -> None:
    texts = [made(9, "2")] * 4 + ["1111" + "x" * 50, made(9, "2"), made(9, "3")]
    result = await drawn(texts, rule(consensus=0.95), width=1)
    assert [t.finish for t in result.traces] == ["stop"] * 4 + ["pruned", "stop"]


async def test_the_warm_up_votes_in_the_consensus() -> None:
    answers = ["2", "2", "2", "3", *"2" * 20]
    waiting = await drawn([made(9, a) for a in answers], rule(consensus=0.9, eta=90.0), width=1)
    # The 3 weighs 4.5 and each 2 weighs 4.25, so it takes ten 2s to reach nine tenths of the vote.
    assert len(waiting.traces) == 11
    assert waiting.answer == "2"


@pytest.mark.parametrize("deterministic", [True, False])
async def test_engines_of_both_kinds_have_the_same_voters(deterministic: bool) -> None:
    texts = [*WARM, "9" * 30 + "1111" + "x" * 400, "9" * 20 + " = 6"]
    result = await drawn(texts, rule(), deterministic=deterministic)
    assert {t.id[-1] for c in result.election.classes for t in c.traces} == {1, 2, 3, 5}


async def test_a_budget_that_ends_the_warm_up_leaves_a_plain_vote() -> None:
    s = session(Sure(WARM, max_logprobs=20), pruners=[rule()], budget=Budget(tokens=60))
    result = await (BestOfN(4) | MajorityVote()).run(s)
    assert [t.finish for t in result.traces] == ["stop"] * 2  # of the warm-up's four
    assert [(c.answer, c.weight) for c in result.election.classes] == [("1", 1.0), ("2", 1.0)]


async def test_a_backend_without_the_log_probabilities_is_refused() -> None:
    s = session(Sure(WARM, max_logprobs=5), pruners=[rule()])
    with pytest.raises(UsageError, match="at most 5"):
        await (BestOfN(4) | MajorityVote()).run(s)


class Slips(Scripted):
    """A minus is a token with probability 1/8; all other tokens are certain."""

    def stats(self, ids: Sequence[int], k: int) -> TokenStats:
        return TokenStats(np.log([0.125 if i == ord("-") else 1.0 for i in ids]).astype(np.float32))


async def test_a_slip_stops_a_trace_where_nothing_but_the_drawn_token_shows_it() -> None:
    texts = ["so = 1", "so = 1", "s-o = 2", "so -" + "o" * 50 + " = 2", "so = 1"]
    s = session(Slips(texts), pruners=[rule(warmup=3, confidence="sampled")])
    result = await (BestOfN(len(texts)) | MajorityVote()).run(s)
    assert [t.finish for t in result.traces] == ["stop"] * 3 + ["pruned", "stop"]
    assert result.traces[3].completion == "so -"
    assert [(c.answer, c.weight) for c in result.election.classes] == [("1", 3.0)]


@pytest.mark.parametrize(
    "wrong",
    [{"warmup": 0}, {"eta": 100.0}, {"eta": 0.0}, {"consensus": 1.5}, {"every": 0}, {"k": 0}, {"confidence": "all"}],
)
def test_impossible_arguments_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        rule(**wrong)
