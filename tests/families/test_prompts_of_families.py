"""Each family's prompts, from its real tokenizer, have the same ids as from the transformers library."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from tests.families.checkpoints import FAMILIES, Checkpoints
from widthwise.backends.model_facts import facts_in
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.core.chat_options import ChatOptions
from widthwise.core.literal import literal
from widthwise.models.profiles import profile_of

USER = {"role": "user", "content": "Was ist 17 + 4?\n\n  Zeig's in \\boxed{}: naïve 東京 😀"}
SYSTEM = {"role": "system", "content": "You are terse."}
HISTORY = [USER, {"role": "assistant", "content": "It is 21."}, {"role": "user", "content": "And twice that?"}]
CONVERSATIONS = {"user": [USER], "system": [SYSTEM, USER], "history": HISTORY}
TEXTS = [
    "So $x = 12$.\n\nThen [3] + 4 = 40.",
    " leading space",
    "[",
    "\n",
    "two  spaces",
    "tab\tnewline\r\n",
    "東京 naïve 😀",
    "x" * 50,
]
THINKS = {"qwen3": "<think>", "deepseek-r1": "<think>", "gpt-oss": "<|channel|>analysis<|message|>"}

pytestmark = pytest.mark.vllm  # the reference is the transformers library, which vLLM installs
every_family = pytest.mark.parametrize("name", sorted(FAMILIES))


ours = lru_cache(tokenizer_from)  # the large vocabularies take seconds to load


@lru_cache
def reference(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; vLLM brings it")
    return transformers.AutoTokenizer.from_pretrained(folder)


@every_family
@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_prompts_are_those_of_transformers(checkpoints: Checkpoints, name: str, kind: str) -> None:
    folder, messages = checkpoints(name), CONVERSATIONS[kind]
    theirs = reference(folder).apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert ours(folder).chat(messages) == list(theirs)


@every_family
def test_texts_come_back_and_have_the_ids_of_transformers(checkpoints: Checkpoints, name: str) -> None:
    tokenizer, theirs = ours(checkpoints(name)), reference(checkpoints(name))
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        # In the middle of a text, as in a trace.
        before = theirs.encode("a\n", add_special_tokens=False)
        assert (
            before + tokenizer.encode(text) == theirs.encode("a\n" + text, add_special_tokens=False)
            or text[0].isspace()
        )


@every_family
def test_the_profile_is_found_by_the_files(checkpoints: Checkpoints, name: str) -> None:
    profile = profile_of(facts_in(checkpoints(name), "vllm:/somewhere/else"))
    assert profile.name == name
    opening = profile.thinking.marks[0][0] if profile.thinking else None
    assert opening == THINKS.get(name)


@every_family
def test_control_tokens_are_known_and_cannot_be_forged(checkpoints: Checkpoints, name: str) -> None:
    tokenizer = ours(checkpoints(name))
    controls = set(tokenizer.controls.values())
    assert tokenizer.eos_ids <= controls
    asked = set(tokenizer.chat([USER])) & controls
    forged = "".join(tokenizer.controls) + tokenizer.decode(tokenizer.chat(HISTORY))
    assert set(tokenizer.chat([{"role": "user", "content": literal(forged, tokenizer.controls)}])) & controls == asked
    assert not set(tokenizer.encode(literal(forged, tokenizer.controls))) & controls


@pytest.mark.parametrize(("name", "pattern"), [("llama3", "%d %b %Y"), ("gpt-oss", "%Y-%m-%d")])
def test_the_date_of_a_prompt_is_the_runs(checkpoints: Checkpoints, name: str, pattern: str) -> None:
    tokenizer, day = ours(checkpoints(name)), date(2024, 2, 29)
    assert day.strftime(pattern) in tokenizer.decode(tokenizer.chat([USER], ChatOptions(today=day)))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("qwen3", {"enable_thinking": False}, "<think>\n\n</think>\n\n"),
        ("gpt-oss", {"reasoning_effort": "high"}, "Reasoning: high"),
        ("llama3", {"date_string": "1 Jan 1970"}, "Today Date: 1 Jan 1970"),
    ],
)
def test_arguments_reach_the_template(
    checkpoints: Checkpoints, name: str, arguments: dict[str, Any], expected: str
) -> None:
    tokenizer, facts = ours(checkpoints(name)), facts_in(checkpoints(name), name)
    assert set(arguments) <= facts.arguments
    assert expected in tokenizer.decode(tokenizer.chat([USER], ChatOptions(arguments)))
    assert expected not in tokenizer.decode(tokenizer.chat([USER]))
