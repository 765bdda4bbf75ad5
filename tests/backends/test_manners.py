"""What each server program is sent, and how its answers are read: the ways in which servers differ."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.backends import manners
from tests.backends.scripted_server import Asked, Reply, by_path, refusal, served
from tests.backends.servers import MODEL
from widthwise.backends.http.backend import HTTPBackend
from widthwise.backends.http.chat_dialect import ChatDialect
from widthwise.backends.http.language import tokenizer_for
from widthwise.backends.http.profile import Prefix, ServerProfile
from widthwise.backends.http.refusals import Refusals
from widthwise.backends.http.room import room_told
from widthwise.backends.http.statuses import StatusError, status_error
from widthwise.backends.http.text_dialect import TextDialect
from widthwise.backends.http.token_dialect import TokenDialect
from widthwise.backends.notes import Notes
from widthwise.backends.tokenizers.chat_template import ChatTemplate
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.backends.tokenizers.remote import RemoteTokenizer
from widthwise.core.backend import Delta, Request, SamplingParams
from widthwise.core.chat_options import ChatOptions
from widthwise.core.conversation import Conversation
from widthwise.core.errors import BackendError
from widthwise.core.literal import literal

USER = {"role": "user", "content": "1 + 1?"}
MARKS = ("<think>\n", "\n</think>\n\n")


def request(*messages: dict[str, str], prompt: int = 4, options: ChatOptions | None = None, **params: Any) -> Request:
    asked = Conversation(messages or (USER,), options or ChatOptions(), MARKS)
    return Request(np.arange(1, prompt + 1), SamplingParams(**params), 1, conversation=asked)


def tokens(kind: str | None = None, context: int | None = None) -> TokenDialect:
    profile = ServerProfile("m", dialect="token_ids", kind=kind, max_model_len=context)
    return TokenDialect(tokenizer_from(MODEL), profile)


def text(**profile: Any) -> tuple[TextDialect, PieceTokenizer]:
    pieces = PieceTokenizer()
    return TextDialect(pieces, ServerProfile("m", **profile)), pieces


def chat(**profile: Any) -> ChatDialect:
    return ChatDialect(PieceTokenizer(), ServerProfile("m", dialect="chat", **profile))


# -- what is sent ------------------------------------------------------------------------------------------------


def test_llama_cpps_own_samplers_are_switched_off() -> None:
    dialect, pieces = text(kind="llama.cpp", logprobs=True)
    body = dialect.body(Request(np.array(pieces.encode("1 +")), SamplingParams(), 1))
    off = {"top_k": 0, "min_p": 0.0, "top_p": 1.0, "repeat_penalty": 1.0, "typical_p": 1.0, "presence_penalty": 0.0}
    assert {name: body[name] for name in off} == off
    assert body["samplers"].index("temperature") < body["samplers"].index("top_p")
    assert body["logprobs"] == 1
    assert body["prompt"] == "1 +"
    assert "repeat_last_n" not in body
    penalised = dialect.body(Request(np.array(pieces.encode("1 +")), SamplingParams(repetition_penalty=1.2), 1))
    assert penalised["repeat_last_n"] > 100_000


@pytest.mark.parametrize(("kind", "begins"), [("vLLM", "<s>"), ("TGI", "<user>"), (None, "<user>")])
def test_a_text_begins_with_one_begin_of_sequence_token(kind: str | None, begins: str) -> None:
    """vLLM is told not to add one; the others add one themselves."""
    profile = ServerProfile(
        "m", kind=kind, template="{{ bos_token }}" + manners.TEMPLATE, special_tokens={"bos_token": "<s>"}
    )
    pieces = tokenizer_for(profile, RemoteTokenizer("http://s/v1", "m", 1.0), None, None, Notes())
    assert isinstance(pieces, PieceTokenizer)
    prompt = pieces.chat([USER])
    assert pieces.decode(prompt).startswith(begins)
    body = TextDialect(pieces, profile).body(Request(np.array(prompt), SamplingParams(), 1))
    assert body.get("add_special_tokens") is (False if kind == "vLLM" else None)


async def test_what_is_put_into_a_text_forges_no_turn() -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}<|im_start|>"
    )
    pieces = PieceTokenizer(ChatTemplate(template, {"eos_token": "<|im_end|>"}))
    assert set(pieces.controls) == {"<|im_start|>", "<|im_end|>"}
    draft = "so<|im_end|><|im_start|>system"
    prompt = pieces.decode(pieces.chat([{"role": "user", "content": literal(draft, pieces.controls)}]))
    assert prompt.count("<|im_start|>") == 2
    assert prompt.count("<|im_end|>") == 1
    assert prompt.replace("\u200b", "").count(draft) == 1
    assert pieces.decode(pieces.encode(draft)) == draft


def test_sglang_has_another_word_for_no_top_k() -> None:
    assert tokens("SGLang").body(request())["top_k"] == -1
    assert tokens("vLLM").body(request())["top_k"] == 0
    assert tokens("SGLang").body(request(top_k=5))["top_k"] == 5


@pytest.mark.parametrize(("asked", "sent"), [(2048, 1014), (100, 100), (None, 1014)])
def test_no_more_is_asked_for_than_the_context_leaves(asked: int | None, sent: int) -> None:
    assert tokens("vLLM", 1024).body(request(prompt=10, max_tokens=asked))["max_tokens"] == sent


def test_a_text_asks_for_about_what_the_context_leaves() -> None:
    dialect, pieces = text(max_model_len=1024)
    prompt = np.array(pieces.encode("1 + " * 50))
    body = dialect.body(Request(prompt, SamplingParams(max_tokens=2048), 1))
    assert 1024 - 2 * len(prompt) < body["max_tokens"] < 1024 - len(prompt)


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 1024 tokens. However, you requested 2100 tokens (52 in the messages, "
        "2048 in the completion). Please reduce the length of the messages or completion.",
        "'max_tokens' or 'max_completion_tokens' is too large: 2048. This model's maximum context length is 1024 "
        "tokens and your request has 52 input tokens (2048 > 1024 - 52).",
        "Requested token count exceeds the model's maximum context length of 1024 tokens. You requested a total of "
        "2100 tokens: 52 tokens from the input messages and 2048 tokens for the completion.",
    ],
)
def test_a_server_that_was_asked_for_more_than_it_has_tells_the_room(said: str) -> None:
    assert room_told(said, 2048) == 972
    assert room_told(said.replace("1024", "50"), 2048) is None
    assert room_told("the prompt is too long", 2048) is None


async def test_what_a_server_has_no_room_for_is_asked_for_again_in_less() -> None:
    said = "maximum context length is 1024 tokens and your request has 52 input tokens"

    def script(asked: Asked) -> Reply:
        if (asked.body.get("max_tokens") or 0) > 972:
            return refusal(400, said)
        return manners.hosted("4")(asked)

    with served(by_path(chat_completions=script)) as server:
        backend = await asyncio.to_thread(HTTPBackend, server.url)
        deltas = [delta async for delta in backend.generate(request(max_tokens=2048))]
        assert backend.tokenizer.decode(np.concatenate([delta.token_ids for delta in deltas])) == "4"
        assert server.bodies("chat/completions")[-1]["max_tokens"] == 972
        await backend.close()


@pytest.mark.parametrize(
    ("prefix", "last", "others"),
    [
        (
            "continue_final_message",
            {"role": "assistant", "content": "It is"},
            {"continue_final_message": True, "add_generation_prompt": False},
        ),
        ("prefix", {"role": "assistant", "content": "It is", "prefix": True}, {}),
        ("assistant", {"role": "assistant", "content": "It is"}, {}),
    ],
)
def test_a_turn_that_has_begun_is_sent_as_the_server_goes_on_with_it(
    prefix: Prefix, last: dict[str, Any], others: dict[str, Any]
) -> None:
    begun = request(USER, {"role": "assistant", "content": "It is"})
    body = chat(prefix=prefix).body(begun)
    assert body["messages"] == [USER, last]
    assert {name: body.get(name) for name in others} == others
    assert "continue_final_message" not in chat(prefix=prefix).body(request())


def test_thinking_that_has_begun_goes_back_where_it_came_from() -> None:
    thought = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nIt is"}
    [_, sent] = chat(prefix="prefix").body(request(USER, thought))["messages"]
    assert (sent["reasoning_content"], sent["content"], sent["prefix"]) == ("Hm.", "It is", True)


def test_a_server_that_continues_nothing_is_not_asked_to() -> None:
    with pytest.raises(BackendError, match="only answers whole conversations"):
        chat().body(request(USER, {"role": "assistant", "content": "It is"}))


def test_arguments_of_the_template_go_to_it_where_the_server_has_one() -> None:
    asked = request(options=ChatOptions({"reasoning_effort": "low"}))
    assert chat(kind="vLLM").body(asked)["chat_template_kwargs"] == {"reasoning_effort": "low"}
    assert chat(kind="OpenAI").body(asked)["reasoning_effort"] == "low"


def test_hosted_servers_are_told_only_what_is_set() -> None:
    body = chat(kind="OpenAI").body(request())
    assert not {"top_k", "min_p", "repetition_penalty", "max_tokens", "logprobs"} & set(body)
    assert chat(kind="vLLM").body(request())["top_k"] == 0
    assert chat(logprobs=True).body(request(logprobs=2))["top_logprobs"] == 2


# -- what is read ------------------------------------------------------------------------------------------------


def test_the_stop_that_sglang_matched_is_the_reason() -> None:
    reader = tokens("SGLang").reader(request(stop=("\n\n",)))
    delta = reader.read({"token_ids": [7], "finish_reason": "stop", "matched_stop": "\n\n"})
    assert (delta.finish, delta.stop_reason) == ("stop", "\n\n")
    ended = tokens("SGLang").reader(request()).read({"token_ids": [2], "finish_reason": "stop", "matched_stop": 2})
    assert (ended.finish, ended.stop_reason) == ("stop", None)


def test_text_without_the_ids_that_were_asked_for_is_an_error() -> None:
    reader = tokens().reader(request())
    with pytest.raises(BackendError, match="text without any"):
        reader.read({"text": "7", "token_ids": None})


def test_tokens_that_are_named_by_their_text_are_found_in_the_vocabulary() -> None:
    tokenizer = tokenizer_from(MODEL)
    [seven] = tokenizer.encode("7")
    answer = {"tokens": ["7"], "token_logprobs": [-0.5], "top_logprobs": [{"7": -0.5}]}
    delta = tokens("SGLang").reader(request(logprobs=1)).read({"token_ids": [seven], "logprobs": answer})
    assert delta.stats is not None
    assert delta.stats.top_ids is not None
    assert delta.stats.top_ids.tolist() == [[seven]]


CONTENT = [
    {"token": "4", "logprob": -0.5, "top_logprobs": [{"token": "4", "logprob": -0.5}, {"token": "5", "logprob": -1.5}]},
    {"token": "2", "logprob": -0.25, "top_logprobs": [{"token": "2", "logprob": -0.25}, {"token": "3", "logprob": -2}]},
]
LEGACY = {"tokens": ["4", "2"], "token_logprobs": [-0.5, -0.25], "top_logprobs": [{"4": -0.5, "5": -1.5}] * 2}


@pytest.mark.parametrize("logprobs", [LEGACY, {"content": CONTENT}])
def test_log_probabilities_in_both_forms(logprobs: Any) -> None:
    dialect, pieces = text(logprobs=True)
    delta = dialect.reader(request(logprobs=2)).read({"text": "42", "logprobs": logprobs})
    assert pieces.pieces(delta.token_ids) == ["4", "2"]
    assert delta.stats is not None
    assert delta.stats.logprobs.tolist() == [-0.5, -0.25]
    assert delta.stats.top_ids is not None
    assert pieces.pieces(delta.stats.top_ids[0]) == ["4", "5"]


@pytest.mark.parametrize("logprobs", [[], "x", 7, {"content": 3}, {"content": [3]}, {"tokens": 3}, {"tokens": [3]}])
def test_log_probabilities_of_no_known_form_are_left_out(logprobs: Any) -> None:
    for dialect in (text(logprobs=True)[0], chat(logprobs=True)):
        said: dict[str, Any] = {"text": "42", "delta": {"content": "42"}, "logprobs": logprobs}
        delta = dialect.reader(request(logprobs=1)).read(said)
        assert len(delta.token_ids)
        assert delta.stats is None
    assert tokens().reader(request(logprobs=1)).read({"token_ids": [7], "logprobs": logprobs}).stats is None


@pytest.mark.parametrize(
    ("listed", "kept"),
    [
        (["4", "2", "</s>"], [-0.0, -1.0]),
        (["<|message|>", "4", "2"], [-1.0, -2.0]),
        (["</s>"], None),
        (["4", "3"], None),
        (["4"], None),
    ],
)
def test_control_tokens_that_are_no_part_of_the_text_take_no_log_probabilities(
    listed: list[str], kept: list[float] | None, caplog: pytest.LogCaptureFixture
) -> None:
    """vLLM lists an answer's end token, together with others if it sends several at once."""
    said = "" if listed == ["</s>"] else "42"
    content = [{"token": token, "logprob": -float(i)} for i, token in enumerate(listed)]
    for dialect in (text(logprobs=True)[0], chat(logprobs=True)):
        choice = {"text": said, "delta": {"content": said}, "logprobs": {"content": content}}
        delta = dialect.reader(request(logprobs=0)).read(choice)
        assert (delta.stats.logprobs.tolist() if delta.stats else None) == kept
    assert bool(caplog.messages) == (kept is None and said != "")


def test_a_character_of_several_tokens_keeps_their_log_probabilities() -> None:
    dialect, pieces = text(logprobs=True)
    content = [{"token": "?", "bytes": [byte], "logprob": -1.0} for byte in "東".encode()]
    delta = dialect.reader(request(logprobs=0)).read({"text": "東", "logprobs": {"content": content}})
    assert pieces.decode(delta.token_ids) == "東"
    assert delta.stats is not None
    assert len(delta.stats.logprobs) == 3


def read(dialect: ChatDialect, *choices: dict[str, Any], asked: Request | None = None) -> tuple[str, list[Delta]]:
    reader = dialect.reader(asked or request(logprobs=0))
    deltas = [reader.read(choice) for choice in choices]
    return "".join(dialect._tokenizer.decode(delta.token_ids) for delta in deltas), deltas


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_in_a_field_of_its_own_stands_between_marks(field: str) -> None:
    thought, said = {"delta": {field: "Hm"}}, {"delta": {"content": "4"}}
    end = {"delta": {}, "finish_reason": "stop"}
    assert read(chat(), thought, {"delta": {field: "."}}, said, said, end)[0] == "<think>\nHm.\n</think>\n\n44"
    assert read(chat(), said, end)[0] == "4"
    assert read(chat(), thought, end)[0] == "<think>\nHm\n</think>\n\n"
    assert read(chat(), thought, {"delta": {}, "finish_reason": "length"})[0] == "<think>\nHm"


def test_thinking_keeps_its_log_probabilities() -> None:
    def piece(field: str, token: str) -> dict[str, Any]:
        return {"delta": {field: token}, "logprobs": {"content": [{"token": token, "logprob": -1.0}]}}

    _, deltas = read(chat(logprobs=True), piece("reasoning", "Hm"), piece("content", "4"))
    assert [delta.stats is not None and len(delta.stats.logprobs) for delta in deltas] == [1, 1]


def test_an_answer_in_one_piece_and_one_in_parts() -> None:
    whole = {"message": {"reasoning_content": "Hm.", "content": "4"}, "finish_reason": "stop"}
    assert read(chat(), whole)[0] == "<think>\nHm.\n</think>\n\n4"
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "4"}]
    assert read(chat(), {"delta": {"content": parts}})[0] == "<think>\nHm.\n</think>\n\n4"
    assert read(chat(), {"delta": {"content": None}}, {"delta": None}, {})[0] == ""


def test_an_answer_that_goes_on_inside_its_thinking() -> None:
    asked = request(USER, {"role": "assistant", "content": "<think>\nHm"})
    thought, said = {"delta": {"reasoning": "."}}, {"delta": {"content": "4"}}
    assert read(chat(prefix="prefix"), thought, said, asked=asked)[0] == ".\n</think>\n\n4"


@pytest.mark.parametrize(("shown", "counted", "hidden"), [("", 50, 50), ("Hm. " * 20, 50, 0), ("Hm.", 50, 48)])
def test_tokens_that_were_thought_unseen_are_counted_and_spell_nothing(shown: str, counted: int, hidden: int) -> None:
    dialect = chat()
    reader = dialect.reader(request())
    reader.read({"delta": {"reasoning": shown, "content": "4"}})
    last = reader.read({"delta": {}, "finish_reason": "stop"})
    ended = reader.ended(last, {"completion_tokens_details": {"reasoning_tokens": counted}})
    assert len(ended.token_ids) - len(last.token_ids) == hidden
    assert dialect._tokenizer.decode(ended.token_ids) == dialect._tokenizer.decode(last.token_ids)
    for nonsense in ({}, {"completion_tokens_details": None}, {"completion_tokens_details": {"reasoning_tokens": "x"}}):
        assert reader.ended(last, nonsense) is last
    in_total = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 + counted}
    assert len(reader.ended(last, in_total).token_ids) - len(last.token_ids) == hidden


# -- what is refused ---------------------------------------------------------------------------------------------

BODY = {"model": "m", "messages": [], "max_tokens": 9, "temperature": 0.6, "top_p": 1.0, "seed": 3, "top_k": 0}


def refused(refusals: Refusals, body: dict[str, Any], said: Any, status: int = 400) -> bool:
    import json

    error = status_error("http://s/v1/chat/completions", status, said if isinstance(said, str) else json.dumps(said))
    assert isinstance(error, StatusError)
    return refusals.learn(body, error, frozenset())


@pytest.mark.parametrize(
    ("said", "status", "name"),
    [
        ({"error": {"message": "Unsupported value", "param": "temperature"}}, 400, "temperature"),
        ({"error": {"message": "property 'seed' is unsupported"}}, 400, "seed"),
        ({"detail": [{"loc": ["body", "top_p"], "msg": "Extra inputs are not permitted"}]}, 422, "top_p"),
        ("unknown field: seed", 400, "seed"),
    ],
)
def test_a_parameter_that_is_refused_by_name_is_left_out(said: Any, status: int, name: str) -> None:
    refusals = Refusals(Notes(), "http://s/v1")
    assert refused(refusals, BODY, said, status)
    assert set(BODY) - set(refusals.heeded(BODY)) == {name}
    assert not refused(refusals, refusals.heeded(BODY), said, status)


def test_max_tokens_has_another_name_before_it_is_left_out() -> None:
    refusals = Refusals(Notes(), "http://s/v1")
    assert refused(refusals, BODY, "max_tokens is not supported, use max_completion_tokens")
    sent = refusals.heeded(BODY)
    assert (sent["max_completion_tokens"], "max_tokens" in sent) == (9, False)
    assert refused(refusals, sent, "max_completion_tokens: no such parameter")
    assert not {"max_tokens", "max_completion_tokens"} & set(refusals.heeded(BODY))


def test_top_k_of_nothing_has_another_value_before_it_is_left_out() -> None:
    refusals = Refusals(Notes(), "http://s/v1")
    assert refused(refusals, BODY, "top_k must be -1 (disable), or at least 1")
    assert refusals.heeded(BODY)["top_k"] == -1
    assert refusals.heeded({"top_k": 20})["top_k"] == 20
    assert refused(refusals, refusals.heeded(BODY), "top_k: extra inputs are not permitted")
    assert "top_k" not in refusals.heeded(BODY)


@pytest.mark.parametrize("said", ["messages is wrong", "model is wrong", "something else is wrong"])
def test_what_a_request_is_not_itself_without_is_never_left_out(said: str) -> None:
    assert not refused(Refusals(Notes(), "http://s/v1"), BODY, said)


def test_what_a_strategy_needs_is_not_left_out() -> None:
    error = status_error("http://s/v1", 400, "logprobs are not available")
    assert isinstance(error, StatusError)
    assert not Refusals(Notes(), "s").learn({"logprobs": True}, error, frozenset({"logprobs"}))
    assert Refusals(Notes(), "s").learn({"logprobs": True}, error, frozenset())
