"""Runs on servers from the command line: what is asked, what is refused, which model a run belongs to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.backends import manners
from tests.backends.scripted_server import Asked, Reply, Script, by_path, chat_events, served, sse
from widthwise.cli.app import app
from widthwise.evals.store.store import Store

SUMS = [{"id": f"sum-{i}", "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(1, 5)]
VOTE = "best_of_n(n=2) | majority_vote()"
MODEL = ({"id": "gpt-x"},)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SUMS))
    return tmp_path


def called(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def evaluated(url: str, *arguments: str, strategy: str = VOTE) -> Result:
    return called("eval", "--data", "sums.jsonl", "--model", url, "--strategy", strategy, *arguments)


def doubled(text: str) -> str:
    """The answer to "What is 3 + 3?", boxed."""
    found = re.findall(r"What is (\d+) \+ \1\?", text)
    return f"It is \\boxed{{{2 * int(found[-1])}}}." if found else "1"


def chat(
    said: Any = doubled, refuses: Mapping[str, str] | None = None, reasoning: int = 0, thought: str = ""
) -> Script:
    """A hosted chat model that can double; ``said`` makes its answer from all messages it is shown."""

    def script(asked: Asked) -> Reply:
        answer = said("\n".join(str(m["content"]) for m in asked.body["messages"]))
        fields = {"reasoning_content": thought} if thought else {}
        made = manners.hosted(answer, refuses=refuses, reasoning=reasoning, **fields)
        return made(asked)

    return by_path(chat_completions=script)


def conversations(bodies: Sequence[Any]) -> list[list[dict[str, str]]]:
    return [body["messages"] for body in bodies]


def test_a_chat_server_is_asked_whole_conversations_and_the_line_says_what_it_is() -> None:
    with served(chat(), MODEL) as server:
        result = evaluated(server.url)
        assert result.exit_code == 0, result.output
        table = " ".join(result.stdout.split())
        assert "100.00 %" in table
        assert "gpt-x on an unknown server, in messages, unknown context, continues no text" in table
        solving = [m for m in conversations(server.bodies("chat/completions")) if "What is" in str(m)]
        assert len(solving) == 8
        assert all([turn["role"] for turn in messages] == ["user"] for messages in solving)
        [run] = Path("runs").iterdir()
        with Store.read(run) as store:
            assert store.manifest["configuration"]["served"]["model"] == {
                "model": "gpt-x",
                "root": None,
                "dialect": "chat",
            }
            assert store.manifest["backend"]["dialect"] == "chat"


@pytest.mark.parametrize(
    "strategy",
    [
        "single()",
        "best_of_n(n=4) | esc(window=2) | majority_vote()",
        "parallel_distill_refine(drafts=(2,))",
        "sequential_refinement(rounds=1)",
        "recursive_self_aggregation(population=2, group=2, loops=1)",
        "best_of_n(n=2) | universal_self_consistency()",
        "best_of_n(n=2) | generative_verification(k=1)",
    ],
)
def test_what_needs_no_continuation_works_in_messages(strategy: str) -> None:
    with served(chat(), MODEL) as server:
        result = evaluated(server.url, "--json", strategy=strategy)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["accuracy"] == 1.0


@pytest.mark.parametrize(
    "strategy", ["beam_search(by='length')", "best_of_n(n=2) | deepprune(judge=answer_probe()) | majority_vote()"]
)
def test_what_needs_continuation_is_refused_before_the_first_sample(strategy: str) -> None:
    with served(chat(), MODEL) as server:
        result = evaluated(server.url, strategy=strategy)
        assert result.exit_code != 0
        said = " ".join(result.output.split())
        assert "needs a backend that can continue a text" in said
        assert "only answers whole conversations" in said
        assert "vLLM or llama.cpp" in said
        assert not [m for m in conversations(server.bodies("chat/completions")) if "What is" in str(m)]
        assert not Path("runs").exists()


def test_logprobs_that_a_server_does_not_give_are_refused_before_the_first_sample() -> None:
    with served(chat(), MODEL) as server:
        result = evaluated(server.url, strategy="best_of_n(n=4) | deepconf(warmup=2, k=2) | majority_vote()")
        assert result.exit_code != 0
        assert "needs log-probabilities, but http:gpt-x gives none" in " ".join(result.output.split())


def test_a_refiner_is_asked_in_a_conversation_of_its_own() -> None:
    with served(chat(), MODEL) as server:
        evaluated(server.url, strategy="sequential_refinement(chains=1, rounds=2)")
        asked = [m for m in conversations(server.bodies("chat/completions")) if "It is \\boxed{2}" in m[-1]["content"]]
        assert asked
        assert all(len(messages) == 1 and messages[0]["role"] == "user" for messages in asked)


def test_a_judge_on_a_chat_server_is_asked_a_question_and_thinks_apart() -> None:
    def said(shown: str) -> str:
        return "8" if "from 0 to 10" in shown or "score" in shown.lower() else doubled(shown)

    judge = served(chat(said, thought="Let me see: 3."), [{"id": "judge"}])
    with served(chat(), MODEL) as server, judge as other:
        options = ("--reward-model", other.url, "--reward-arg", "format=stated")
        result = evaluated(server.url, *options, "--json", strategy="best_of_n(n=2) | best_by(score='reward_model')")
        assert result.exit_code == 0, result.output
        asked = [m for m in conversations(other.bodies("chat/completions")) if "It is \\boxed{2}" in m[-1]["content"]]
        assert asked
        with Store.read(json.loads(result.stdout)["run"]) as store:
            scores = [s for _, s in store.scores("sum-1")]
            assert scores
            assert all(s.error is None for s in scores)
            assert store.manifest["configuration"]["served"]["reward_model"]["model"] == "judge"


def test_hidden_reasoning_is_charged_and_says_nothing() -> None:
    with served(chat(reasoning=50), MODEL) as server:
        summary = json.loads(evaluated(server.url, "--json").stdout)
        assert summary["accuracy"] == 1.0
        assert summary["tokens"]["sampled"] > 8 * 50
        with Store.read(summary["run"]) as store:
            [trace, _] = store.traces("sum-1")
            assert trace.completion == "It is \\boxed{2}."
            assert trace.tokens > 50
        again = json.loads(evaluated(server.url, "--json").stdout)
        assert again == summary


def test_reasoning_in_a_field_of_its_own_stands_before_the_answer_between_marks() -> None:
    wrong = "Perhaps it is \\boxed{1000}."
    with served(chat(thought=wrong), MODEL) as server:
        summary = json.loads(evaluated(server.url, "--json").stdout)
        assert summary["accuracy"] == 1.0
        with Store.read(summary["run"]) as store:
            [trace, _] = store.traces("sum-1")
            assert re.fullmatch(rf"<think>\s*{re.escape(wrong)}\s*</think>\s*It is \\boxed\{{2\}}\.", trace.completion)


def test_what_is_only_thought_is_no_answer() -> None:
    with served(chat(lambda shown: "I do not know.", thought="Perhaps \\boxed{2}."), MODEL) as server:
        summary = json.loads(evaluated(server.url, "--grader", "math(thinking='never')", "--json").stdout)
        assert summary["accuracy"] == 0.0
        with Store.read(summary["run"]) as store:
            assert [leaf.answer for leaf in store.outcome("sum-1").samples] == [None, None]


def test_refused_parameters_are_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    refuses = {
        "max_tokens": "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
        "temperature": "Unsupported value: 'temperature' does not support 0.7 with this model.",
        "seed": "seed is not supported",
    }
    with served(chat(refuses=refuses), MODEL) as server:
        result = evaluated(server.url, "--max-tokens", "99", "--temperature", "0.7", "--json")
        assert result.exit_code == 0, result.output
        solving = [body for body in server.bodies("chat/completions") if "What is" in str(body)]
        assert all(body["max_completion_tokens"] == 99 for body in solving)
        assert not any({"max_tokens", "seed", "temperature"} & set(body) for body in solving)
        assert caplog.text.count("does not take temperature=0.7") == 1
        assert "max_tokens" not in caplog.text
        with Store.read(json.loads(result.stdout)["run"]) as store:
            assert {"seed", "temperature"} <= set(store.manifest["backend"]["refused"])
            assert any("temperature=0.7" in note for note in store.manifest["backend"]["notes"])


# -- which model -------------------------------------------------------------------------------------------------


def test_another_model_behind_the_address_is_another_run() -> None:
    with served(chat(), MODEL) as server:
        first = json.loads(evaluated(server.url, "--json").stdout)
        server.models = [{"id": "gpt-y"}]
        second = json.loads(evaluated(server.url, "--json").stdout)
        assert first["run"] != second["run"]
        server.models = list(MODEL)
        assert json.loads(evaluated(server.url, "--json").stdout)["run"] == first["run"]


def test_a_run_that_finds_another_model_stops() -> None:
    with served(chat(), MODEL) as server:
        assert evaluated(server.url, "--run", "a.db", "--limit", "4").exit_code == 0
        with Store.edit("a.db") as store:
            store._db.connection.execute("UPDATE problems SET state = 'open' WHERE id = 'sum-4'")
            store._db.connection.commit()
        server.models = [{"id": "gpt-y"}]
        result = evaluated(server.url, "--run", "a.db", "--limit", "4")
        assert result.exit_code != 0
        said = " ".join(result.output.split())
        assert "served" in said
        assert "gpt-x" in said
        assert "gpt-y" in said


def test_a_finished_run_is_shown_while_its_server_is_away() -> None:
    with served(chat(), MODEL) as server:
        first = json.loads(evaluated(server.url, "--json").stdout)
    assert json.loads(evaluated(server.url, "--json").stdout) == first


def test_several_models_and_none_named_is_refused_with_their_names() -> None:
    with served(chat(), [{"id": "a"}, {"id": "b"}]) as server:
        result = evaluated(server.url)
        assert "serves 2 models" in " ".join(result.output.split())
        assert evaluated(f"{server.url}#b").exit_code == 0
        assert {body["model"] for body in server.bodies("chat/completions")} == {"b"}


def test_headers_go_with_every_request() -> None:
    with served(chat(), MODEL) as server:
        assert evaluated(server.url, "--backend-arg", "header.X-Team=blue").exit_code == 0
        assert {asked.headers.get("x-team") for asked in server.asked} == {"blue"}


def test_a_known_chat_model_without_its_template_is_not_asked_in_bare_text() -> None:
    bare = by_path(completions=Reply(sse(*manners.text_events("7"), manners.usage(1))))
    with served(bare, [{"id": "Qwen3-8B"}]) as server:
        result = evaluated(server.url)
        assert result.exit_code != 0
        assert "tokenizer=FOLDER" in " ".join(result.output.split())
        assert evaluated(server.url, "--backend-arg", "dialect=text").exit_code == 0


def test_a_stream_of_chat_that_breaks_is_begun_again() -> None:
    broken: list[Asked] = []

    def script(asked: Asked) -> Reply:
        if "What is 1" in str(asked.body) and not broken:
            broken.append(asked)
            return Reply(sse(*chat_events("It is", " \\boxed{9", finish=None), done=False), end="reset")
        return chat()(asked)

    with served(by_path(chat_completions=script), MODEL) as server:
        summary = json.loads(evaluated(server.url, "--json").stdout)
        assert summary["accuracy"] == 1.0
        assert summary["tokens"]["discarded"] > 0


def test_a_pool_whose_server_dies_in_the_middle_loses_nothing() -> None:
    """The other server restarts the unfinished work. The one that dies is the first that is asked for a solution: which
    problems belong to which server depends on their ports.
    """
    dying: list[str] = []

    def member(name: str) -> Script:
        def script(asked: Asked) -> Reply:
            if "What is" not in str(asked.body):
                return chat()(asked)
            if not dying:
                dying.append(name)
            if dying[0] != name:
                return chat()(asked)
            return Reply(sse(*chat_events("It is", " \\boxed{9", finish=None), done=False), end="reset")

        return by_path(chat_completions=script)

    with served(member("one"), MODEL) as one, served(member("two"), MODEL) as two:
        summary = json.loads(evaluated(f"{one.url},{two.url}", "--json").stdout)
        assert summary["accuracy"] == 1.0
        assert summary["errors"] == 0
        assert summary["tokens"]["discarded"] > 0


def test_a_server_of_messages_only_is_asked_little_before_the_first_sample() -> None:
    with served(chat(), MODEL) as server:
        assert evaluated(server.url, strategy="single()").exit_code == 0
        before = [asked for asked in server.asked if "What is" not in str(asked.body)]
        assert len(before) <= 3
