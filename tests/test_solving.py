"""The shortest way in from Python."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import widthwise as ww
from widthwise.opening import open_backend

QUESTION = "Compute (17 + 5) * 3 - 48."


def test_the_readmes_lines() -> None:
    strategy = ww.BestOfN(64) | ww.StopWhenDecided() | ww.MajorityVote()
    result = ww.solve(QUESTION, strategy, model="reasoner")
    assert result.answer == "18"
    assert result.ledger.sampled == sum(trace.tokens for trace in result.traces)
    assert result.traces[0].completion.startswith("17 + 5 = 22")


def test_a_strategy_may_be_text_or_a_function_of_ones_own() -> None:
    async def doubling(session: ww.Session) -> ww.Answer:
        traces: list[ww.Trace] = []
        while len(traces) < 64:
            traces += await session.sample(session.root, max(4, len(traces)))
            classes = await session.classes(traces)
            if classes and max(len(c.traces) for c in classes) >= 2 / 3 * len(traces):
                break
        return ww.elect(classes)

    by_text = ww.solve(QUESTION, "best_of_n(n=4) | majority_vote()")
    by_function = ww.solve(QUESTION, doubling)
    assert by_text.answer == by_function.answer == "18"
    assert len(by_function.traces) in (4, 8, 16, 32, 64)


async def test_it_works_where_an_event_loop_is_running_already() -> None:
    waited, awaited = ww.solve(QUESTION, ww.Single()), await ww.solve_async(QUESTION, ww.Single())
    assert waited.answer == awaited.answer
    assert waited.traces[0].token_ids.tolist() == awaited.traces[0].token_ids.tolist()


def test_a_budget_and_sampling_parameters_reach_the_model() -> None:
    short = ww.solve(QUESTION, ww.BestOfN(4), budget=ww.Budget(tokens=20), temperature=0.5)
    assert 20 <= short.ledger.sampled < 24
    assert {trace.finish for trace in short.traces} == {"budget"}


def test_the_same_seed_gives_the_same_traces_and_another_does_not() -> None:
    def texts(seed: int) -> list[str]:
        result = ww.solve("Use the numbers 12, 7, 3, 20 to reach 35.", ww.BestOfN(8), seed=seed)
        return [trace.completion for trace in result.traces]

    assert texts(1) == texts(1) != texts(2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "resoner"}, "did you mean 'reasoner'"),
        ({"strategy": "best_of(n=4)"}, "unknown part"),
        ({"strategy": ww.MajorityVote()}, "begin with a sampler"),
        ({"backend_args": {"max_seqs": 1}}, "max_num_seqs"),
        ({"temprature": 1.0}, "temprature"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ww.UsageError, match=words):
        ww.solve(QUESTION, **arguments)  # type: ignore[arg-type]


def test_a_model_that_answers_nothing_is_an_error() -> None:
    """Before, the answer was None, as if the model had found none."""
    backend = asyncio.run(open_backend("reasoner"))
    asyncio.run(backend.close())
    with pytest.raises(ww.BackendError, match=r"every request failed: embedded:.*reasoner was closed; open it again"):
        ww.solve(QUESTION, ww.BestOfN(2) | ww.MajorityVote(), backend)


def test_a_result_has_its_winner_its_classes_and_its_answers() -> None:
    result = ww.solve(QUESTION, "best_of_n(n=8) | majority_vote()")
    assert result.best is not None
    assert result.best.answer == result.answer == result.classes[0].answer == "18"
    assert result.best in result.traces  # traces compare by identity
    by_class = {trace: each.answer for each in result.classes for trace in each.traces}
    assert {trace: trace.answer for trace in result.traces if trace.answer is not None} == by_class
    assert [each.weight for each in result.classes] == sorted((each.weight for each in result.classes), reverse=True)


def test_a_strategy_is_told_where_answers_are_read() -> None:
    async def shortest(session: ww.Session) -> str | None:
        [trace] = await session.sample(session.root)
        return trace.answer

    with pytest.raises(ww.UsageError, match=r"in a strategy it is session.answer\(trace\)"):
        ww.solve(QUESTION, shortest)


def _asked(problem: object, **options: object) -> str:
    """The prompt sent to a model."""
    result = ww.solve(problem, ww.Single(), max_tokens=1, **options)  # type: ignore[arg-type]
    return result.traces[0].path[0].text


def test_a_conversation_is_answered_at_its_end() -> None:
    turns = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "doubled?"}]},
    ]
    asked = _asked(turns, instruction="Say a number.")
    places = [asked.index(text) for text in ("Be brief.", "What is 1 + 1?", "2", "And doubled?", "Say a number.")]
    assert places == sorted(places)
    assert "Be brief." not in _asked(turns[1:])


def test_a_system_prompt_and_an_instruction_of_ones_own() -> None:
    plain = _asked(QUESTION, format="generic")
    assert "\\boxed" in plain
    own = _asked(QUESTION, system="You are a judge.", instruction="", format="generic")
    assert own.index("You are a judge.") < own.index(QUESTION)
    assert "\\boxed" not in own
    among = _asked(QUESTION, template_args={"system": "You are a judge."}, instruction="", format="generic")
    assert among == own
    turns = [{"role": "system", "content": "Mine."}, {"role": "user", "content": QUESTION}]
    assert "You are a judge." not in _asked(turns, system="You are a judge.")


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ([{"role": "assistant", "content": "2"}], "ends with a message of the user"),
        ([], "ends with a message of the user"),
        ([{"role": "tool", "content": "2"}], "a message is {'role': 'system', 'user' or 'assistant'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "content of a message is a text"),
        (["What is 1 + 1?"], "a message is"),
        ([{"role": "user", "content": " "}], "the last message, which is to be answered, has no text"),
        ("  ", "has no text: there is nothing to solve"),
        (3, "a problem is a text, a ww.Problem or a list of messages, not 3"),
    ],
)
def test_what_is_no_problem_is_one_sentence(problem: object, words: str) -> None:
    with pytest.raises(ww.UsageError) as caught:
        ww.solve(problem, ww.Single())  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ww.BestOfN("four"), r"best_of_n: n must be a whole number, not 'four' \(str\)"),
        (lambda: ww.BestOfN(2.5), "n must be a whole number, not 2.5"),
        (lambda: ww.BestOfN(True), "n must be a whole number, not True"),
        (lambda: ww.BestOfN(-1), "best_of_n: n must be at least 1, not -1"),
        (lambda: ww.BestOfN(widht=2), "best_of_n has no argument 'widht'; did you mean 'width'"),
        (lambda: ww.Budget(tokens=-1), "budget: a budget of -1 tokens allows nothing"),
        (lambda: ww.Budget(tokens="x"), "budget: tokens must be a whole number"),
        (lambda: ww.solve(QUESTION, "best_of_n(n='four')"), "best_of_n: n must be a whole number, not 'four'"),
        (
            lambda: ww.sweep("best_of_n()", ["arithmetic"], [1]),
            "strategies is a list",
        ),
        (lambda: ww.sweep(["best_of_n()"], "arithmetic", [1]), "suites is a list"),
        (lambda: ww.sweep(["best_of_n()"], ["arithmetic"], 3), "budgets is a list"),
        (lambda: ww.sweep(["best_of_n()"], ["arithmetic"], ["1"]), "budgets are numbers"),
        (lambda: ww.sweep(["best_of_n()"], ["arithmetic"], [1], seeds=["a"]), "a seed must be a whole number"),
        (lambda: ww.sweep(["best_of_n()"], ["arithmetic"], [1], axis="tokns"), "did you mean 'tokens'"),
        (lambda: ww.curve(3), "a run is the path of its file"),
        (lambda: ww.compare(["a.db"]), "a run is the path of its file"),
        (lambda: ww.open(3), "a model is opened by its name"),
    ],
)
def test_parts_and_grids_that_cannot_be_are_one_sentence(make: Any, words: str) -> None:
    with pytest.raises(ww.UsageError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


async def _nothing(session: Any) -> None:
    await session.sample(session.root)


async def _a_trace(session: Any) -> Any:
    return (await session.sample(session.root))[0]


async def _an_answer_that_is_a_trace(session: Any) -> Any:
    return ww.Answer((await session.sample(session.root))[0])


async def _a_wrong_number(session: Any) -> Any:
    return await session.sample(session.root, n="four")


async def _a_wrong_name(session: Any) -> Any:
    return await session.sample(session.root, 2, temprature=1)


async def _a_class_of_one(session: Any) -> Any:
    return ww.elect(await session.classes((await session.sample(session.root))[0]))


async def _a_class_of_a_number(session: Any) -> Any:
    return ww.elect(await session.classes(3))


async def _a_class_of_texts(session: Any) -> Any:
    return ww.elect(await session.classes(["18"]))


async def _a_continued_number(session: Any) -> Any:
    return await session.sample(4)


async def _a_continued_text(session: Any) -> Any:
    return await session.sample("18")


async def _elected_traces(session: Any) -> Any:
    return ww.elect(await session.sample(session.root))


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (_nothing, "returned nothing: it returns the traces to aggregate, an answer, or"),
        (_a_trace, "returns traces, an Answer or a text; it returned Trace"),
        (_an_answer_that_is_a_trace, "returned an Answer whose text is Trace"),
        (_a_wrong_number, "n must be a whole number of at least 1, not 'four'"),
        (_a_wrong_name, "sampling has no parameter 'temprature'; did you mean 'temperature'"),
        (_a_class_of_one, "session.classes takes a list of traces"),
        (_a_class_of_a_number, "session.classes takes a list of traces, not 3"),
        (_a_class_of_texts, "session.classes takes a list of traces, not '18'"),
        (_a_continued_number, "what is continued is a trace or a list of traces, not 4"),
        (_a_continued_text, "what is continued is a trace or a list of traces, not '1'"),
        (_elected_traces, "elect takes classes of answers"),
    ],
)
def test_what_a_strategy_does_wrong_is_one_sentence(strategy: Any, words: str) -> None:
    with pytest.raises(ww.UsageError, match=words) as caught:
        ww.solve(QUESTION, strategy, max_tokens=5)
    assert "\n" not in str(caught.value)


def test_an_aggregator_that_returns_no_answer_is_one_sentence() -> None:
    async def first(session: Any, traces: Any) -> Any:
        return traces[0]

    async def answer_of_a_trace(session: Any, traces: Any) -> Any:
        return ww.Answer(traces[0])

    for aggregator, words in (
        (first, "that returns an Answer; it returned Trace"),
        (answer_of_a_trace, "text is Trace"),
    ):
        with pytest.raises(ww.UsageError, match=words):
            ww.solve(QUESTION, ww.BestOfN(2) | aggregator, max_tokens=5)
