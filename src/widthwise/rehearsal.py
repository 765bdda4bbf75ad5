"""Rehearsing a strategy with a stand-in for the model: what would be sent, before anything is sampled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from widthwise.core.backend import Backend, Capabilities, Delta, Request, Tokenizer, TokenStats, Usage
from widthwise.core.problem import Problem
from widthwise.core.prompting.grammar import ThreadGrammar
from widthwise.core.prompting.profile import ModelFacts, ModelProfile, facts_of
from widthwise.core.rewards.reward import Solution, StepScores
from widthwise.core.trace.stopping import StopMatcher
from widthwise.engines import Engines
from widthwise.model import Model
from widthwise.models.profiles import profile_of
from widthwise.models.reward_formats import reward_format_for
from widthwise.opening import kind_of, open_backend
from widthwise.settings import RunSettings

_ANSWERS = 3
"""How many different answers there are, for parts that only ask if answers differ."""


class StandIn:
    """Has the tokenizer of a model, and replies that are obviously not real.

    Each reply thinks, if the model does, lists two lines and states one of a few answers; where a thread may be
    spawned, it spawns two. A continuation of an earlier reply only states the answer.
    """

    capabilities = Capabilities(deterministic=True, max_logprobs=1 << 20)

    def __init__(self, tokenizer: Tokenizer, facts: ModelFacts, profile: ModelProfile) -> None:
        self.name = facts.name
        self.facts = facts
        self.tokenizer = tokenizer
        self.max_model_len: int | None = None
        self._thinking = profile.thinking
        self._grammars = tuple(profile.format.grammars.values())
        self._prompts: list[list[int]] = []

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        prompt = request.prompt.tolist()
        goes_on = any(len(known) < len(prompt) and prompt[: len(known)] == known for known in self._prompts)
        self._prompts.append(prompt)
        ids = [*self.tokenizer.encode(self._reply(request, goes_on)), *sorted(self.tokenizer.eos_ids)[:1]]
        stop = StopMatcher(self.tokenizer, request.params).feed(ids)
        keep = min(len(ids) if stop is None else stop.keep, request.params.max_tokens or len(ids))
        ended = stop is not None and keep == stop.keep
        yield Delta(
            np.array(ids[:keep], np.int64),
            stats=_certain(ids[:keep], request.params.logprobs),
            finish="stop" if ended else "length",
            stop_reason=stop.reason if stop is not None and ended else None,
            usage=Usage(0, len(prompt)),
        )

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "a stand-in"}

    async def close(self) -> None: ...

    def _reply(self, request: Request, goes_on: bool) -> str:
        answer = f"The final answer is \\boxed{{{1 + request.index % _ANSWERS}}}."
        if goes_on:
            return answer
        number = request.index + 1
        lines = f"1. (line 1 of reply {number})\n2. (line 2 of reply {number})\n\n"
        spawning = [grammar for grammar in self._grammars if grammar.spawn in request.params.stop]
        return self._thought(request, number) + (_block(spawning[0]) if spawning else "") + lines + answer

    def _thought(self, request: Request, number: int) -> str:
        if self._thinking is None:
            return ""
        prompt, closed = self.tokenizer.decode(request.prompt), tuple(c.rstrip() for c in self._thinking.closing)
        if prompt.rstrip().endswith(closed):
            return ""
        opening = "" if self._thinking.begun(prompt) else self._thinking.marks[0][0]
        return f"{opening}(what reply {number} thinks){self._thinking.close}"


def _block(grammar: ThreadGrammar) -> str:
    outlines = "".join(f"<Outline>{n}: (task of thread {n})</Outline>\n" for n in (1, 2))
    return f"{grammar.opening}\n{outlines if grammar.outline else ''}{grammar.spawn}"


def _certain(ids: Sequence[int], k: int | None) -> TokenStats | None:
    """Statistics of certain tokens, whose ``k`` most likely ones are all the token itself."""
    if k is None:
        return None
    zeros = np.zeros(len(ids), np.float32)
    if not k:
        return TokenStats(zeros)
    return TokenStats(zeros, np.tile(np.array(ids, np.int64)[:, None], k), np.zeros((len(ids), k), np.float32))


class StandInScores:
    """Replaces a reward and an embedding model: even chances, and texts that have nothing in common."""

    kind = "process"

    def __init__(self, name: str) -> None:
        self.name = name

    async def score(self, problem: Problem, solutions: Sequence[Solution]) -> list[StepScores]:
        return [StepScores((0.5,) * len(solution.steps)) for solution in solutions]

    async def embed(self, texts: Sequence[str]) -> tuple[Any, int]:
        return np.eye(len(texts), dtype=np.float32), 0


async def stand_ins(settings: RunSettings) -> Engines:
    """Engines that cost nothing, with the model's own tokenizer: from its files if there are any, else from the server.

    A recording replays itself, because it samples nothing. Raises as ``open_backend`` does.
    """
    found = {name: await _stand_in(settings, name) for name in settings.models}
    owned = tuple(engine for _, each in found.values() for engine in each)
    scores = StandInScores(str(settings.reward_model)) if settings.reward_model is not None else None
    embedder = StandInScores(str(settings.embedding_model))
    return Engines({name: backend for name, (backend, _) in found.items()}, scores, embedder, owned)  # type: ignore[arg-type]


async def _stand_in(settings: RunSettings, name: str) -> tuple[Backend, tuple[Any, ...]]:
    given, args = settings.models[name], settings.args_of(name)
    format = settings.asking_of(name).format
    model = given.name if isinstance(given, Model) else given
    if isinstance(model, str):
        kind, address = kind_of(model)
        tokenizer = await asyncio.to_thread(kind.tokenizer, address)
        if tokenizer is not None:
            return _of(tokenizer, await kind.facts(address, args), format), ()
        opened = await (given.opened() if isinstance(given, Model) else open_backend(model, args))
    else:
        opened = model
    owned = (opened,) if isinstance(given, str) else ()
    if getattr(opened, "recorded", False):
        return opened, owned
    return _of(opened.tokenizer, facts_of(opened), format), owned


def _of(tokenizer: Tokenizer, facts: ModelFacts, format: str | None) -> StandIn:
    return StandIn(tokenizer, facts, profile_of(facts, format))


async def shown_to_reward_model(settings: RunSettings, problem: Problem) -> tuple[str, str] | None:
    """The name of the reward model's layout, and the text in which it would see a solution of two steps.

    None without a reward model, and if its layout or tokenizer is unknown before it is opened.
    """
    if not isinstance(settings.reward_model, str):
        return None
    kind, address = kind_of(settings.reward_model)
    tokenizer = await asyncio.to_thread(kind.tokenizer, address)
    if tokenizer is None:
        return None
    given = {name: value for name, value in settings.reward_args.items() if name != "format"}
    facts = await kind.facts(address, given)
    layout = reward_format_for(facts, settings.reward_args.get("format"))
    if layout.reads == "expectation":
        layout = replace(layout, thinking=profile_of(facts).thinking)
    laid = layout.laid_out(tokenizer, problem, ("(step 1)", "(step 2)"))
    return layout.name, tokenizer.decode(laid.ids)
