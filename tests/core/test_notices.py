"""Everything that the core retries is logged."""

from __future__ import annotations

import numpy as np
import pytest

from tests.core.scripted import Scripted, session
from widthwise.core.backend import Usage
from widthwise.core.errors import BackendError
from widthwise.core.problem import Problem
from widthwise.core.rewards.language_reward import LanguageRewardModel
from widthwise.core.rewards.reading import Read, Reading
from widthwise.core.rewards.reward import Solution
from widthwise.core.rewards.reward_format import RewardFormat
from widthwise.core.session.scheduler import Retry


async def test_a_request_that_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    backend = Scripted(["abcdef"], faults={0: (0, BackendError("the line broke", retryable=True))})
    drawing = session(backend)
    (trace,) = await drawing.sample(drawing.root, 1)
    assert trace.finish == "stop"
    assert [r.getMessage() for r in caplog.records] == ["sending a request of problem p1 again: the line broke"]
    assert caplog.records[0].levelname == "WARNING"


class _Failing:
    """A reader that fails once."""

    name = "reader"
    reuses_prefixes = False
    max_model_len = None

    def __init__(self) -> None:
        self.tokenizer = Scripted([]).tokenizer
        self._asked = 0

    async def read(self, reading: Reading) -> Read:
        self._asked += 1
        if self._asked == 1:
            raise BackendError("busy", retryable=True)
        return Read(np.zeros((len(reading.positions), 2), np.float32), Usage(0, len(reading.ids)))


async def test_a_reading_that_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    format = RewardFormat("classes", tag="\n", reads="classes")
    model = LanguageRewardModel(_Failing(), format, retry=Retry(attempts=3, first_delay=0.0))  # type: ignore[arg-type]
    (scores,) = await model.score(Problem("p", "?"), [Solution(("a",))])
    assert scores.steps is not None
    assert [r.getMessage() for r in caplog.records] == ["asking again for a reading of problem p: busy"]
