"""Scripts for ``scripted_server``: how common server programs answer, as far as a profile can distinguish them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.backends.scripted_server import (
    Asked,
    Reply,
    Script,
    by_path,
    chat_events,
    id_events,
    refusal,
    sse,
    text_events,
)

TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"


def usage(prompt: int, sampled: int = 1, **rest: Any) -> dict[str, Any]:
    """The last event of a stream: its usage."""
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": sampled, **rest}}


def vllm(*ids: Sequence[int]) -> Script:
    """Takes and gives token ids; answers a text prompt with text."""

    def completions(asked: Asked) -> Reply:
        prompt = asked.body["prompt"]
        if isinstance(prompt, str):
            return Reply(sse(*text_events("7"), usage(1)))
        if "priority" in asked.body:
            return refusal(400, "Got priority 1 but Priority scheduling is not enabled.")
        events = id_events(*(ids or [[7]]))
        events[0]["choices"][0]["prompt_token_ids"] = prompt
        return Reply(sse(*events, usage(len(prompt), prompt_tokens_details={"cached_tokens": 1})))

    return by_path(completions=completions, version=Reply({"version": "0.32.0"}))


def litellm(answer: str = "7") -> Script:
    """Gives token ids in an unstreamed answer, but not in a stream."""

    def completions(asked: Asked) -> Reply:
        if asked.body.get("stream"):
            return Reply(sse(*text_events(answer), usage(12)))
        choice = {"text": answer, "token_ids": [7], "prompt_token_ids": asked.body["prompt"], "finish_reason": "length"}
        return Reply({"choices": [choice]})

    return by_path(completions=completions, chat_completions=Reply(sse(*chat_events(answer), usage(12))))


def llama_cpp(*words: str, n_ctx: int = 4096, adds_bos: bool = False) -> Script:
    """Text, with the template at ``/props``. It refuses lists of token ids; log-probabilities have the form of chat."""
    props = {
        "chat_template": TEMPLATE,
        "bos_token": "<s>",
        "default_generation_settings": {"n_ctx": n_ctx},
        "model_path": "/models/Qwen3-8B-Q4_K_M.gguf",
        "build_info": "b1",
    }

    def completions(asked: Asked) -> Reply:
        if not isinstance(asked.body.get("prompt"), str):
            return refusal(400, "prompt must be a string")
        events = text_events(*(words or ("7",)))
        if asked.body.get("logprobs"):
            for event in events:
                [choice] = event["choices"]
                choice["logprobs"] = {"content": [{"token": choice["text"], "logprob": -0.5, "top_logprobs": []}]}
        return Reply(sse(*events, usage(30)))

    def tokenize(asked: Asked) -> Reply:
        return Reply({"tokens": [1, 2] if asked.body["add_special"] and adds_bos else [2]})

    return by_path(completions=completions, props=Reply(props), tokenize=tokenize)


def ollama(*words: str, version: bool = True) -> Script:
    """It wraps a text in a conversation, so its answer does not continue the text."""

    def completions(asked: Asked) -> Reply:
        if not isinstance(asked.body.get("prompt"), str):
            return refusal(400, "json: cannot unmarshal array into Go struct field of type string")
        return Reply(sse(*text_events("You", " wrote"), usage(21 + len(asked.body["prompt"]))))

    return by_path(
        completions=completions,
        chat_completions=Reply(sse(*chat_events(*(words or ("7",))), usage(21))),
        **({"api_version": Reply({"version": "0.15"})} if version else {}),
    )


def hosted(*words: str, refuses: Mapping[str, str] | None = None, reasoning: int = 0, **fields: str) -> Script:
    """Messages only. ``refuses`` maps parameters to the words of refusal; ``fields`` are sent before the words."""

    def chat_completions(asked: Asked) -> Reply:
        for name, said in (refuses or {}).items():
            if name in asked.body:
                return refusal(400, said, param=name, code="unsupported_parameter")
        events = chat_events(*(words or ("7",)))
        thoughts = [{"choices": [{"index": 0, "delta": {name: text}}]} for name, text in fields.items()]
        details = {"completion_tokens_details": {"reasoning_tokens": reasoning}} if reasoning else {}
        return Reply(sse(events[0], *thoughts, *events[1:], usage(9, reasoning + 1, **details)))

    return by_path(chat_completions=chat_completions)
