"""Log-probabilities of chosen tokens from a completions server that only gives those of what it samples."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from widthwise.backends.http.json_client import JSONClient
from widthwise.core.backend import Usage
from widthwise.core.errors import BackendError
from widthwise.core.rewards.reading import Read, Reading


async def read_labels(client: JSONClient, model: str, reading: Reading) -> Read:
    """Each label at each position, with one request that may sample nothing else (``allowed_token_ids``).

    The log-probability that vLLM reports is the raw one, before that restriction; the server's prefix cache serves
    every request but the first. Raises BackendError for a server that does otherwise.
    """
    asked = [(end + 1, label) for end in reading.positions for label in reading.labels]
    answers = await asyncio.gather(*(_logprob(client, model, reading, end, label) for end, label in asked))
    values = np.array([p for p, _ in answers], np.float32).reshape(-1, len(reading.labels))
    if not values.any():
        raise BackendError(
            "the server reports log-probabilities after it restricts the tokens, which say nothing about the "
            "labels; start it with --logprobs-mode raw_logprobs"
        )
    cached, total = sum(c for _, c in answers), sum(end for end, _ in asked)
    return Read(values, Usage(cached, total - cached))


async def _logprob(client: JSONClient, model: str, reading: Reading, end: int, label: int) -> tuple[float, int]:
    body = {
        "model": model,
        "prompt": reading.ids[:end].tolist(),
        "add_special_tokens": False,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 0,
        "allowed_token_ids": [label],
        "return_tokens_as_token_ids": True,
    }
    answer = await client.post("/completions", body, reading.problem)
    try:
        logprobs = answer["choices"][0]["logprobs"]
        token, logprob = str(logprobs["tokens"][0]), float(logprobs["token_logprobs"][0])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BackendError("the server's completion has no log-probabilities: it cannot score steps") from error
    if token != f"token_id:{label}":
        raise BackendError("the server samples tokens other than the allowed ones (allowed_token_ids): it cannot score")
    return logprob, _cached(answer)


def _cached(answer: dict[str, Any]) -> int:
    details = (answer.get("usage") or {}).get("prompt_tokens_details") or {}
    return int(details.get("cached_tokens") or 0)
