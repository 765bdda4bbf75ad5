"""Drawing tokens: distributions, filters, and independence from neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from widthwise.backends.embedded.sampling import RUN, Knobs, choose, log_softmax, most_likely, uniforms
from widthwise.core.arrays import FloatArray
from widthwise.core.backend import SamplingParams

LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.07, 0.03], np.float32))
DRAWS = 20_000


def frequencies(logits: FloatArray, **params: float) -> FloatArray:
    """How often each token is drawn from the same scores."""
    knobs = Knobs.rows(DRAWS)
    for row in range(DRAWS):
        knobs.put(row, SamplingParams(**params))  # type: ignore[arg-type]
    numbers = np.random.default_rng(0).random(DRAWS)
    tokens, _ = choose(np.tile(logits, (DRAWS, 1)), knobs, numbers)
    return np.bincount(tokens, minlength=len(logits)).astype(np.float32) / DRAWS


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [0.5, 0.25, 0.15, 0.07, 0.03]),
        ({"temperature": 0.5}, [0.7337, 0.1834, 0.066, 0.0144, 0.0026]),
        ({"temperature": 0.0}, [1, 0, 0, 0, 0]),
        ({"temperature": 1e-6}, [1, 0, 0, 0, 0]),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0, 0]),
        ({"top_k": 99}, [0.5, 0.25, 0.15, 0.07, 0.03]),
        ({"top_p": 0.76}, [0.5 / 0.9, 0.25 / 0.9, 0.15 / 0.9, 0, 0]),
        ({"top_p": 1e-9}, [1, 0, 0, 0, 0]),
        ({"min_p": 0.4}, [2 / 3, 1 / 3, 0, 0, 0]),
        ({"min_p": 1.0}, [1, 0, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.5}, [1, 0, 0, 0, 0]),
        ({"top_k": 3, "top_p": 0.6}, [2 / 3, 1 / 3, 0, 0, 0]),
    ],
)
def test_draws_follow_the_distribution(params: dict[str, float], expected: list[float]) -> None:
    assert np.abs(frequencies(LOGITS, **params) - np.array(expected)).max() < 0.012


def test_log_probabilities_are_raw() -> None:
    knobs = Knobs.rows(1)
    knobs.put(0, SamplingParams(temperature=0.1, top_k=1))
    tokens, logprobs = choose(LOGITS[None], knobs, np.array([0.9]))
    assert tokens.tolist() == [0]
    assert logprobs[0] == pytest.approx(np.log(0.5), abs=1e-6)
    assert logprobs.tobytes() == log_softmax(LOGITS[None])[:, 0].tobytes()


def test_the_extremes_of_the_random_numbers() -> None:
    logits = np.array([[-np.inf, 0.0, -200.0, -np.inf]] * 2, np.float32)
    tokens, _ = choose(logits, Knobs.rows(2), np.array([0.0, 1 - 2.0**-52]))
    assert tokens.tolist() == [1, 1]


def test_a_row_does_not_feel_its_neighbours() -> None:
    rng = np.random.default_rng(3)
    logits, numbers, knobs = rng.standard_normal((29, 451)).astype(np.float32) * 3, rng.random(29), Knobs.rows(29)
    kinds = [{}, {"temperature": 0.7}, {"temperature": 0.0}, {"top_p": 0.9}, {"top_k": 5, "min_p": 0.01}]
    for row in range(29):
        knobs.put(row, SamplingParams(**kinds[row % 5]))  # type: ignore[arg-type]
    together = choose(logits, knobs, numbers)
    for row in range(29):
        one = np.array([row])
        alone = choose(logits[one], knobs.take(one), numbers[one])
        assert [a.tobytes() for a in alone] == [t[one].tobytes() for t in together]


def test_most_likely_in_falling_order() -> None:
    logprobs = np.array([[-1.0, -3.0, -2.0, -2.0], [-4.0, -1.0, -2.0, -3.0]], np.float32)
    ids, values = most_likely(logprobs, 3)
    assert ids.tolist() == [[0, 2, 3], [1, 2, 3]]
    assert values.tolist() == [[-1, -2, -2], [-1, -2, -3]]
    assert most_likely(logprobs, 4)[0].tolist() == [[0, 2, 3, 1], [1, 2, 3, 0]]


def test_random_numbers_are_a_function_of_seed_and_position() -> None:
    numbers = np.concatenate([uniforms(5, run) for run in range(200)])
    assert len(np.unique(numbers)) == 200 * RUN
    assert 0 <= numbers.min() < 0.001
    assert 0.999 < numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=0.01)
    assert (uniforms(5, 7) == numbers[7 * RUN : 8 * RUN]).all()
    assert not (uniforms(6, 7) == uniforms(5, 7)).any()
    uniforms(2**63 - 1, 2**20)
