"""The embedded engine on each architecture that it runs: the numbers of transformers, and always the same bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.families.checkpoints import Checkpoints
from widthwise.backends.embedded.backend import EmbeddedBackend
from widthwise.core.backend import Delta, Request, SamplingParams

ARCHITECTURES = {"llama3": "Llama", "mistral": "Mistral", "qwen2.5-math": "Qwen2", "qwen3": "Qwen3"}
PROMPT = "Natalia sold clips to 48 of her friends in April, and then half as many in May. " * 16
QUESTIONS = [f"What is {n} * {n + 7}? " * (1 + n % 5) for n in range(9)]

pytestmark = [pytest.mark.slow, pytest.mark.vllm]  # transformers, which vLLM installs, makes the random weights
every_architecture = pytest.mark.parametrize("name", sorted(ARCHITECTURES))


def asked(backend: EmbeddedBackend, text: str, **params: Any) -> Request:
    ids = backend.tokenizer.chat([{"role": "user", "content": text}])
    settings = SamplingParams(**{"max_tokens": 24, "temperature": 0.8, "top_p": 0.95, "logprobs": 2, **params})
    return Request(np.array(ids), settings, seed=len(text))


async def drawn(backend: EmbeddedBackend, request: Request) -> list[Delta]:
    return [delta async for delta in backend.generate(request)]


def signature(deltas: list[Delta]) -> list[Any]:
    stats = [d.stats for d in deltas if d.stats is not None]
    tops = [s.top_logprobs.tobytes() for s in stats if s.top_logprobs is not None]
    return [[d.token_ids.tolist() for d in deltas], [s.logprobs.tobytes() for s in stats], tops, deltas[-1].finish]


@every_architecture
async def test_log_probabilities_are_those_of_transformers(checkpoints: Checkpoints, name: str) -> None:
    folder = checkpoints(name, weights=True)
    backend = EmbeddedBackend(folder)
    request = asked(backend, PROMPT, max_tokens=8, prompt_logprobs=5, temperature=0.0)
    deltas = await drawn(backend, request)
    stats = deltas[0].prompt_stats
    assert stats is not None
    assert stats.top_logprobs is not None
    sampled = np.concatenate([d.token_ids for d in deltas])
    theirs = reference_logprobs(folder, [*request.prompt.tolist(), *sampled.tolist()])
    n = len(request.prompt)
    assert n > 256
    own = theirs[np.arange(n - 1), request.prompt[1:]]
    np.testing.assert_allclose(stats.logprobs, own, atol=1e-3)
    np.testing.assert_allclose(stats.top_logprobs, -np.sort(-theirs[: n - 1])[:, :5], atol=1e-3)
    assert sampled.tolist() == theirs[n - 1 : -1].argmax(-1).tolist()
    assert theirs.max(-1).std() > 0.1  # if the model preferred no tokens, the figures above would mean nothing


def reference_logprobs(folder: Path, ids: list[int]) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed; vLLM brings it")
    torch = pytest.importorskip("torch")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    return torch.log_softmax(logits, -1).numpy()


@every_architecture
def test_bytes_do_not_depend_on_company(checkpoints: Checkpoints, name: str) -> None:
    folder = checkpoints(name, weights=True)
    alone = EmbeddedBackend(folder, max_num_seqs=1)
    one_by_one = [signature(asyncio.run(drawn(alone, asked(alone, question)))) for question in QUESTIONS]
    backend = EmbeddedBackend(folder, max_num_seqs=5)

    async def together() -> list[list[Delta]]:
        return list(await asyncio.gather(*(drawn(backend, asked(backend, question)) for question in QUESTIONS)))

    for _ in range(2):  # first cold, then from the cache
        assert [signature(deltas) for deltas in asyncio.run(together())] == one_by_one


@every_architecture
async def test_stops_and_texts(checkpoints: Checkpoints, name: str) -> None:
    backend = EmbeddedBackend(checkpoints(name, weights=True))
    free = await drawn(backend, asked(backend, "Hi", max_tokens=40, temperature=1.5))
    text = backend.tokenizer.decode(np.concatenate([d.token_ids for d in free]))
    stop = next(character for character in text[5:] if character.isascii() and character.isalpha())
    ended = await drawn(backend, asked(backend, "Hi", max_tokens=40, temperature=1.5, stop=(stop,)))
    said = backend.tokenizer.decode(np.concatenate([d.token_ids for d in ended]))
    assert ended[-1].stop_reason == stop
    assert stop in said
    assert text.startswith(said)
    spelled = backend.tokenizer.bytes_of
    ids = backend.tokenizer.encode(PROMPT)
    assert b"".join(spelled[i] for i in ids).decode() == PROMPT
