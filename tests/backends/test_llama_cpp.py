"""llama.cpp's own server, with the bundled reasoner as a GGUF file."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.backends.conformance import Subject

TEXTS = [
    "<user>Compute (17 + 5) * 3 - 48.<assistant>17 + 5 = 22, left 22 * 3 - 48\n\n22",
    "<user>Use the numbers 12, 7, 3, 20 to reach 35.<assistant>12 - 7 = 5, left 5 3 20\n\n\\boxed{20}",
    "half café 東 \t<Parallel>\n<Outlines>\n<Outline>1: 3 - 2</Outline>",
]


def asked(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@pytest.mark.parametrize("text", TEXTS)
def test_the_file_cuts_texts_as_the_model_does(text: str, llama_url: str, embedded_subject: Subject) -> None:
    cut = asked(f"{llama_url}/tokenize", {"content": text, "parse_special": True})["tokens"]
    assert cut == embedded_subject.backend.tokenizer.encode(text)


def test_the_file_writes_what_the_model_writes(llama_url: str, embedded_subject: Subject) -> None:
    body = {"prompt": TEXTS[0], "temperature": 0, "max_tokens": 60}
    said = asked(f"{llama_url}/v1/completions", body)["choices"][0]["text"]
    assert said == " * 3 = 66, left 66 - 48\n\n66 - 48 = 18\n\n\\boxed{18}"
