"""The replay backend: recorded generations, served token by token as if they were sampled now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from widthwise.backends.tokenizers.pieces import PieceTokenizer, pieces_of
from widthwise.backends.tokenizers.replayed import PROMPT_END, ReplayTokenizer
from widthwise.core.arrays import IntArray
from widthwise.core.backend import (
    Backend,
    Capabilities,
    Delta,
    FinishReason,
    Request,
    Tokenizer,
    TokenStats,
    Usage,
)
from widthwise.core.brief import Brief, counted
from widthwise.core.errors import BackendError
from widthwise.core.prompting.profile import ModelFacts, facts_of
from widthwise.core.prompting.saying import BEGUN, END_UNKNOWN
from widthwise.core.prompting.thinking import USUAL
from widthwise.core.session.conditions import RecordedFacts
from widthwise.core.trace.recording import Recording, Sample
from widthwise.core.trace.stopping import StopMatcher
from widthwise.core.trace.token_ends import token_ends

_log = logging.getLogger(__name__)

_LABELS = frozenset({"correct", "published_correct", "answer"})
"""What a recording knows from the reference answer: strategies must not see it."""

_KEPT = 256
"""For how many problems samples are held as tokens at a time."""


class ReplayBackend(Brief):
    """Serves ``recordings`` (by problem id) on demand, so that limits, aborts and pruning act on them.

    A request gets the sample with its ``index`` among those recorded for its ``problem``; after a prefix, among those
    that begin with the prefix. A request for more samples than were recorded, for an unknown problem, or after inserted
    text that no sample holds raises ``BackendError``. Prompts are recognised by the mark that ``tokenizer.chat`` puts
    at their end. Of several prompts about one problem (a strategy may ask a model to refine its drafts) the shortest is
    the problem's own, and only that one was recorded. A prompt without the mark counts as a new one unless it begins
    with one seen before.

    Tokens are the recorded ones if the recording says where they end; else those of ``tokenizer``; else the pieces of
    ``PieceTokenizer``, an approximation that is the same for every strategy. Log-probabilities are served if they were
    recorded with the tokens. ``Delta.metadata`` holds everything else that the recording says of a sample, except
    labels made with the reference answer. ``on_close`` releases what ``recordings`` holds.

    ``model`` is asked for whatever was not recorded: the recording answers the problem's own prompt from its beginning,
    and the model answers all other prompts (of judges, of refinements) and everything after inserted text. Tokens are
    those of its tokenizer. ``facts`` are those of the model that was recorded. ``dependent`` says why the samples are
    not independent; empty if they are. The run says and records it.
    """

    max_model_len: int | None = None

    def __init__(
        self,
        recordings: Mapping[str, Recording],
        *,
        name: str = "replay",
        tokenizer: Tokenizer | None = None,
        model: Backend | None = None,
        facts: ModelFacts | None = None,
        dependent: str = "",
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        tokenizer = tokenizer if model is None else model.tokenizer
        self.name = name if model is None else f"{name} with {model.name}"
        self.capabilities = Capabilities(
            token_ids=tokenizer is not None,
            deterministic=model is None or model.capabilities.deterministic,
            max_logprobs=20 if model is None else min(20, model.capabilities.max_logprobs),
        )
        self.facts = facts_of(model) if model is not None else facts or ModelFacts(name)
        self.recorded = model is None
        self.dependent = dependent
        self._model = model
        self._cutter = ReplayTokenizer(tokenizer or PieceTokenizer())
        self.tokenizer: Tokenizer = self._cutter
        self._recordings = recordings
        self._on_close = on_close
        self._exact = tokenizer is not None
        self._reels = lru_cache(_KEPT)(self._load)
        self._own_prompts: dict[str, str] = {}
        self._plain_prompts: dict[str, list[IntArray]] = {}

    async def generate(self, request: Request) -> AsyncIterator[Delta]:
        """Stream the rest of the recorded sample that ``request`` asks for."""
        if self._model is not None and not self._was_recorded(request):
            asked = replace(request, prompt=request.prompt[request.prompt != PROMPT_END])
            async with aclosing(self._model.generate(asked)) as deltas:  # type: ignore[type-var]
                async for delta in deltas:
                    yield delta
            return
        if request.params.prompt_logprobs is not None:
            raise BackendError("a replay has no log-probabilities of prompts")
        reel, begin = self._find(request)
        end, finish, reason = self._end(reel, begin, request)
        first = request.index == 0 and begin == 0
        usage = Usage(0 if first else len(request.prompt), len(request.prompt) if first else 0)
        for at in range(begin, max(end, begin + 1), request.chunk):
            part = slice(at, min(at + request.chunk, end))
            over = part.stop == end
            await asyncio.sleep(0)
            yield Delta(
                reel.ids[part],
                stats=_cut(reel.stats, part, request.params.logprobs),
                finish=finish if over else None,
                stop_reason=reason if over else None,
                usage=usage if at == begin else None,
                metadata=reel.metadata if over else reel.begun if at == begin else {},
            )

    @property
    def note(self) -> str:
        """What a reader of results must know; empty if nothing."""
        return f"the replayed traces are not independent samples: {self.dependent}" if self.dependent else ""

    @property
    def problem_ids(self) -> Iterable[str]:
        """The problems that were recorded."""
        return self._recordings

    def longest(self, request: Request) -> int | None:
        """The length of the problem's longest sample: its token limit when it was recorded."""
        if request.problem not in self._recordings or (self._model is not None and not self._was_recorded(request)):
            return None
        return max((len(reel.ids) for reel in self._reels(request.problem)), default=None)

    def recorded_facts(self, problem: str) -> RecordedFacts:
        """What the samples of one problem were recorded with."""
        recording = self._recording(problem)
        samples = recording.samples
        numbers = {k for s in samples for k, v in s.metadata.items() if _is_number(v) and k not in _LABELS}
        logprobs = [-1 if s.stats is None else _width(s.stats) for s in samples]
        most = max(logprobs, default=-1)
        return RecordedFacts(frozenset(numbers), None if most < 0 else most, recording.prompt)

    def describe(self) -> Mapping[str, Any]:
        return {
            "backend": "replay",
            "model": self.name,
            **({} if self._model is None else {"not recorded": dict(self._model.describe())}),
            **({"dependent": self.dependent} if self.dependent else {}),
            "tokens": "of the recording where it has them, else "
            + ("of the given tokenizer" if self._exact else "pieces of text, an approximation"),
        }

    async def close(self) -> None:
        self._reels.cache_clear()
        self._on_close()
        if self._model is not None:
            await self._model.close()

    def _was_recorded(self, request: Request) -> bool:
        """Whether the request is for the problem's own prompt, from its beginning or within a recorded trace."""
        marks = np.flatnonzero(request.prompt == PROMPT_END)
        begins = len(marks) > 0 and int(marks[0]) == len(request.prompt) - 1
        if not len(marks) or not (begins or request.continues is not None):
            return False
        own = self._is_own_prompt(request.problem, self.tokenizer.decode(request.prompt[: marks[0]]))
        return own and (begins or request.continues in self._holding(request))

    def _find(self, request: Request) -> tuple[_Reel, int]:
        """The requested sample, and how many of its tokens the prompt already holds."""
        problem, held = request.problem, self._holding(request)
        if request.continues in held:
            return held[request.continues]
        matches = list(held.values())
        if request.index < len(matches):
            return matches[request.index]
        if not matches:
            raise BackendError(f"no recorded sample of problem {problem} continues this text: a replay cannot "
                               "answer inserted text")  # fmt: skip
        begun, known = len(self._behind_prompt(request)), counted(len(matches), "recorded sample")
        which = " that continue this text" if begun else ""
        way_out = "a strategy that goes on with a text in several ways needs a model" if begun else "lower n"
        asked = f"sample {request.index + 1} was requested"
        raise BackendError(f"problem {problem} has {known}{which}, but {asked}: {way_out}")

    def _holding(self, request: Request) -> dict[int, tuple[_Reel, int]]:
        """The samples, by number, that contain what follows the prompt in the request, and how far that reaches."""
        prefix = self._behind_prompt(request)
        positions = [(reel, reel.position(prefix, self.tokenizer)) for reel in self._reels(request.problem)]
        return {number: (reel, at) for number, (reel, at) in enumerate(positions) if at is not None}

    def _behind_prompt(self, request: Request) -> IntArray:
        """The tokens of the request after the problem's own prompt."""
        marks = np.flatnonzero(request.prompt == PROMPT_END)
        if not len(marks):
            return self._behind_plain_prompt(request)
        prompt, prefix = request.prompt[: marks[0]], request.prompt[marks[0] + 1 :]
        asked = self.tokenizer.decode(prompt)
        if not self._is_own_prompt(request.problem, asked):
            raise BackendError(
                f"a replay answers problem {request.problem} itself, not other prompts about it: this strategy "
                "needs a model"
            )
        return prefix

    def _is_own_prompt(self, problem: str, asked: str) -> bool:
        if problem not in self._own_prompts:
            self._own_prompts[problem] = self._own_prompt(problem, asked)
        return self._own_prompts[problem] == asked

    def _own_prompt(self, problem: str, asked: str) -> str:
        text = self._recording(problem).problem.text
        about = [said for said in self._cutter.conversations if text in said]
        return min(about, key=len, default=asked)

    def _behind_plain_prompt(self, request: Request) -> IntArray:
        seen = self._plain_prompts.setdefault(request.problem, [])
        for known in seen:
            if np.array_equal(request.prompt[: len(known)], known):
                return request.prompt[len(known) :]
        seen.append(request.prompt)
        return request.prompt[:0]

    def _end(self, reel: _Reel, begin: int, request: Request) -> tuple[int, FinishReason, str | int | None]:
        """Where the stream ends (a position in the sample), and why."""
        limit = request.params.max_tokens
        end = len(reel.ids) if limit is None else min(begin + limit, len(reel.ids))
        stop = StopMatcher(self.tokenizer, request.params).feed(reel.ids[begin:end].tolist())
        if stop is not None:
            return begin + stop.keep, "stop", stop.reason
        return end, reel.finish if end == len(reel.ids) else "length", None

    def _recording(self, problem: str) -> Recording:
        recording = self._recordings.get(problem)
        if recording is None:
            raise BackendError(f"{self.name} has no problem {problem!r}: evaluate the problems that it was recorded on")
        return recording

    def _load(self, problem: str) -> list[_Reel]:
        samples = self._recording(problem).samples
        # In an export of a run, samples of prompts other than the problem's own have a different root.
        own = [s for s in samples if s.trace is None or s.trace.startswith("0.")]
        whole = [sample for sample in own if sample.finish != "error"]
        if len(whole) < len(samples):
            _log.info("problem %s: %d of %d recorded samples can be replayed", problem, len(whole), len(samples))
        return [self._reel(sample) for sample in whole]

    def _reel(self, sample: Sample) -> _Reel:
        inner = self._cutter.inner
        stats, ends = sample.stats, sample.token_ends
        if ends is not None and isinstance(inner, PieceTokenizer):
            ids = inner.intern(pieces_of(sample.text, ends))
        elif ends is not None and sample.token_ids is not None and inner.decode(sample.token_ids) == sample.text:
            ids = sample.token_ids.tolist()
        else:
            if stats is not None:
                _log.warning("a sample is cut into different tokens than recorded: its log-probabilities are left out")
            ids, stats, ends = inner.encode(sample.text), None, None
        finish: FinishReason = "stop" if sample.finish in (None, "stop") else "length"
        metadata = {k: v for k, v in sample.metadata.items() if k not in _LABELS}
        if sample.finish is None and USUAL.thought(sample.text):
            metadata[END_UNKNOWN] = True
        return _Reel(sample.text, np.array(ids, np.int64), ends, stats, finish, metadata)


@dataclass(frozen=True, slots=True, eq=False)
class _Reel:
    """A recorded sample as tokens; ``ends`` (of the tokens in the text) and ``stats`` if they were recorded."""

    text: str
    ids: IntArray
    ends: IntArray | None
    stats: TokenStats | None
    finish: FinishReason
    metadata: Mapping[str, Any]

    @property
    def begun(self) -> Mapping[str, Any]:
        """What must be known of the sample before its end: that it begins inside its thinking."""
        return {BEGUN: True} if self.metadata.get(BEGUN) is True else {}

    def position(self, prefix: IntArray, tokenizer: Tokenizer) -> int | None:
        """How many of the sample's tokens ``prefix`` stands for; None if the sample does not begin with it."""
        if np.array_equal(self.ids[: len(prefix)], prefix):
            return len(prefix)
        # The same text tokenized differently: text that a strategy inserted, now and when this was recorded.
        text = tokenizer.decode(prefix)
        if not text or not self.text.startswith(text):
            return None
        ends = token_ends(tokenizer, self.ids, self.text) if self.ends is None else self.ends
        if ends is None:
            return None
        last = int(np.searchsorted(ends, len(text)))
        return last + 1 if ends[last] == len(text) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _width(stats: TokenStats) -> int:
    """How many of the most likely tokens were recorded."""
    return 0 if stats.top_logprobs is None else stats.top_logprobs.shape[1]


def _cut(stats: TokenStats | None, part: slice, k: int | None) -> TokenStats | None:
    """The part's statistics, with as many of the most likely tokens as were requested and recorded."""
    if stats is None or k is None:
        return None
    if not k or stats.top_ids is None or stats.top_logprobs is None:
        return TokenStats(stats.logprobs[part])
    return TokenStats(stats.logprobs[part], stats.top_ids[part, :k], stats.top_logprobs[part, :k])
