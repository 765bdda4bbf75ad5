"""The model: a strategy that generates texts."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lm_eval._cli.utils import key_val_to_dict
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from tqdm import tqdm

from widthwise.core.conversation import Message
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import parse
from widthwise.core.run_sync import run_sync
from widthwise.core.session.ledger import Ledger
from widthwise.evals.store.segment_rows import to_json
from widthwise.integrations.answering import Answered, Answering

_log = logging.getLogger(__name__)

_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
_NO_TEXT = (
    "a strategy generates texts, and has no likelihood of given ones: this task scores choices or texts by their "
    "likelihood; take a task whose output_type is generate_until (many have a variant, such as mmlu_generative)"
)


class WidthwiseLM(LM):
    """A strategy over one of widthwise's models, for tasks whose ``output_type`` is ``generate_until``.

    ``strategy`` and ``model`` are as on widthwise's command line. ``grader`` reads answers and says which are the same,
    ``instruction`` is added to each question, ``traces`` names a file for all traces, in the form that ``widthwise
    import`` reads. ``concurrency`` documents are worked on at once. ``options`` are those of ``ww.solve``
    (``temperature``, ``seed``, ``reward_model`` ...).

    A task's stop sequences and its token limit apply to each trace, and so do its sampling settings if it samples; if
    it asks for greedy decoding, the strategy uses its usual sampling.
    """

    def __init__(
        self,
        strategy: str = "best_of_n(n=16) | majority_vote()",
        model: str | None = None,
        grader: str | None = None,
        instruction: str | None = None,
        traces: str | None = None,
        concurrency: int = 32,
        batch_size: Any = None,
        max_batch_size: Any = None,
        device: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._answering = Answering(strategy, model=model, grader=grader, instruction=instruction, **options)
        self._concurrency = int(concurrency)
        self._traces = None if traces is None else _new(Path(traces))
        self._ledger = Ledger()
        self._greedy_told = False

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: Mapping[str, Any] | None = None) -> Self:
        """From ``strategy=...,model=...``; commas within brackets belong to a strategy."""
        more = {name: value for name, value in (additional_config or {}).items() if value is not None}
        return cls(**key_val_to_dict(arg_string), **more)

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        raise UsageError(_NO_TEXT)

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        raise UsageError(_NO_TEXT)

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        with tqdm(total=len(requests), disable=disable_tqdm, desc=str(self._answering.settings.strategy)) as bar:
            return run_sync(self._all(requests, bar))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The messages as JSON: the model's own template is applied later."""
        return json.dumps(chat_history, ensure_ascii=False)

    @property
    def tokenizer_name(self) -> str:
        """What the harness's cache of requests is named by: a template is applied later, so all models share it."""
        return "widthwise"

    def get_model_info(self) -> dict[str, Any]:
        """What the harness's results say about the model: the strategy, and what it spent."""
        settings = self._answering.settings
        return {
            "strategy": str(settings.strategy),
            "model_name": str(settings.configuration["model"]),
            "seed": settings.seed,
            "ledger": self._ledger.record,
        }

    async def _all(self, requests: Sequence[Instance], bar: Any) -> list[str]:
        slots = asyncio.Semaphore(self._concurrency)

        async def one(request: Instance, name: str, repeat: int) -> str:
            async with slots:
                answered = await self._answer(request, name, repeat)
            self._keep(answered, request)
            self.cache_hook.add_partial("generate_until", request.args, answered.text)
            bar.update(1)
            return answered.text

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(*each)) for each in _named(requests)]
        return [task.result() for task in tasks]

    async def _answer(self, request: Instance, name: str, repeat: int) -> Answered:
        arguments: tuple[Any, ...] = request.args
        sampling = self._sampling(arguments[1] or {})
        return await self._answering.answer(_messages(arguments[0]), name, seed=repeat, sampling=sampling)

    def _sampling(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """A task's ``generation_kwargs`` as sampling parameters."""
        until = settings.get("until") or []
        stops = tuple(stop for stop in ([until] if isinstance(until, str) else until) if stop)
        length = next((settings[name] for name in _LENGTHS if settings.get(name) is not None), None)
        said = {name: settings[name] for name in _SAMPLING if settings.get(name) is not None}
        if not settings.get("do_sample", said.get("temperature", 0) > 0) or said.get("temperature") == 0:
            self._tell_of_greedy()
            said = {}
        return {**said, **({"stop": stops} if stops else {}), **({"max_tokens": length} if length else {})}

    def _tell_of_greedy(self) -> None:
        if not self._greedy_told:
            self._greedy_told = True
            _log.warning(
                "the task asks for greedy decoding, which makes all traces the same: the strategy uses its usual "
                "sampling; set temperature=0 in --model_args to force it"
            )

    def _keep(self, answered: Answered, request: Instance) -> None:
        self._ledger.add(answered.result.ledger)
        if self._traces is None:
            return
        problem = {"problem_id": answered.problem.id, "problem": answered.problem.text}
        about = {"model": answered.setting.backend.name, "strategy": answered.strategy, "source": "lm-eval"}
        samples = [{name: value for name, value in row.items() if name != "id"} for row in answered.traces]
        with self._traces.open("a", encoding="utf-8") as file:
            file.write(to_json({**problem, **about, "answer": None, "samples": samples}) + "\n")


def _new(path: Path) -> Path:
    if path.exists():
        raise UsageError(f"{path} already exists: name a new file for the traces")
    return path


def _named(requests: Iterable[Instance]) -> Iterable[tuple[Instance, str, int]]:
    """The requests with their documents' ids, and how often each was asked before."""
    seen: Counter[str] = Counter()
    for request in requests:
        name = f"{request.task_name}-{request.doc_id}" + (f"-{request.idx}" if request.idx else "")
        yield request, name, seen[name]
        seen[name] += 1


def _messages(context: str) -> list[Message]:
    """The conversation that a document asks: the messages of ``apply_chat_template``, or a text as the user's."""
    if context.startswith('[{"role"'):
        try:
            return [{"role": str(turn["role"]), "content": str(turn["content"])} for turn in parse(context)]
        except (ValueError, KeyError, TypeError):
            _log.debug("a context that begins like messages is not a list of messages")
    return [{"role": "user", "content": context}]
