"""A text-only completions server, run as a process: `python text_server.py [ROOT]` prints its port.

It stands for llama.cpp, Ollama and the like. It draws its words from a list, by the seed and the prompt. It counts
words as tokens, knows no token ids, and refuses prompts of more than CONTEXT words.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Any

from aiohttp import web

CONTEXT = 400
PHRASES = "so then|we|add|3 4|17|42|and = +|*|( )|get the next|step is|answer|\\boxed{7}|, .|half café|東|\n\n"
WORDS = [word for phrase in PHRASES.split("|") for word in phrase.split(" ")]
RUNNING = web.AppKey("running", list)


def word(prompt: str, seed: int, temperature: float, at: int) -> str:
    key = f"{prompt}|{at}" if temperature == 0 else f"{prompt}|{seed}|{at}"
    return " " + random.Random(key).choice(WORDS)


async def models(_: web.Request) -> web.Response:
    root = {"root": sys.argv[1]} if len(sys.argv) > 1 else {}
    return web.json_response({"object": "list", "data": [{"id": "words", "object": "model", **root}]})


async def running(request: web.Request) -> web.Response:
    return web.json_response({"running": len(request.app[RUNNING])})


async def completions(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    refusal = _refusal(body)
    if refusal:
        return web.json_response({"error": {"message": refusal, "type": "invalid_request_error"}}, status=400)
    words = _words(body)
    if not body.get("stream"):
        return web.json_response({"choices": [{"index": 0, "text": "".join(words), "finish_reason": "length"}]})
    request.app[RUNNING].append(body)
    try:
        return await _stream(request, words, "length" if len(words) == body.get("max_tokens") else "stop")
    finally:
        request.app[RUNNING].remove(body)


def _refusal(body: dict[str, Any]) -> str | None:
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        return "prompt must be a text"
    if len(prompt.split()) > CONTEXT:
        return f"This model's maximum context length is {CONTEXT} tokens."
    return None


def _words(body: dict[str, Any]) -> list[str]:
    seed, temperature = body.get("seed") or 0, body.get("temperature", 1.0)
    length = 150 + seed % 50
    limit = min(length, body.get("max_tokens") or length)
    return [word(body["prompt"], seed, temperature, i) for i in range(limit)]


async def _stream(request: web.Request, words: list[str], finish: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for i, text in enumerate(words):
        choice = {"index": 0, "text": text, "finish_reason": finish if i == len(words) - 1 else None}
        await response.write(f"data: {json.dumps({'choices': [choice]})}\r\n\r\n".encode())
        await asyncio.sleep(0.001)
    await response.write(b"data: [DONE]\r\n\r\n")
    return response


async def serve() -> None:
    app = web.Application(client_max_size=2**24)
    app[RUNNING] = []
    app.router.add_get("/v1/models", models)
    app.router.add_get("/running", running)
    app.router.add_post("/v1/completions", completions)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
