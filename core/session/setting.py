"""What all sessions of a run share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from shlex import quote

from widthwise.core.backend import Backend, SamplingParams, Tokenizer
from widthwise.core.brief import Brief
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.errors import UsageError
from widthwise.core.model_shape import ModelShape
from widthwise.core.problem import Grader
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.saying import Saying
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.registry import nearest
from widthwise.core.rewards.reading import Embedder
from widthwise.core.rewards.reward import RewardModel
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.trace.trace import Trace

JUDGE_TOKENS = 4096
"""The minimum reply length for a judge that thinks, unless configured otherwise."""


@dataclass(frozen=True, slots=True)
class Setting(Brief):
    """What all sessions of a run share.

    ``params`` are the defaults of every draw, ``width`` is the largest number of branches of one draw in flight.
    ``patience`` is how many seconds the reward model may take for one call. ``chat`` is what the model's chat template
    receives besides the conversation, ``thinking`` how the model marks its thinking; None for a model that does not
    think. ``judge_tokens`` is how long a judge's reply may get, including its thinking; None: as long as a sample, but
    at least ``JUDGE_TOKENS`` if the model thinks. ``shape`` is the model's, from which FLOPs are counted; None if it is
    not known. ``model`` is the model's name if the run has several, and ``others`` are the settings of the others.
    """

    scheduler: Scheduler
    grader: Grader
    format: PromptFormat
    params: SamplingParams = field(default_factory=SamplingParams)
    instruction: str = ""
    seed: int = 0
    width: int = 256
    reward_model: RewardModel | None = None
    embedder: Embedder | None = None
    patience: float = 600.0
    chat: ChatOptions = NO_OPTIONS
    thinking: Thinking | None = None
    judge_tokens: int | None = None
    shape: ModelShape | None = None
    model: str = ""
    others: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def models(self) -> dict[str, Setting]:
        """The settings of all models of the run by name, that of the first one first."""
        return {self.model: self, **self.others}

    def of(self, trace: Trace) -> Setting:
        """The setting of the model that ``trace`` belongs to."""
        return self.others.get(trace.model, self) if self.others else self

    def named(self, model: str) -> Setting:
        """The setting of the model with this name; raises ``UsageError`` for a model that the run does not have."""
        if model not in self.models or not model:
            raise unknown_model(model, [name for name in self.models if name])
        return self.models[model]

    def each(self, change: Callable[[Setting], Setting]) -> Setting:
        """This setting with every model's changed."""
        return replace(change(self), others={name: change(other) for name, other in self.others.items()})

    @property
    def shapes(self) -> dict[str, ModelShape]:
        """The shapes of all models by name; empty if they are not all known."""
        found = {name: each.shape for name, each in self.models.items() if each.shape is not None}
        return found if len(found) == len(self.models) else {}

    @property
    def backend(self) -> Backend:
        return self.scheduler.backend

    @property
    def tokenizer(self) -> Tokenizer:
        return self.backend.tokenizer

    @property
    def thinks(self) -> bool:
        """Whether the model, as it is asked in this run, thinks before it answers."""
        return self.thinking is not None and not self.thinking.is_off(self.chat.arguments)

    def reply_tokens(self, prompt: int) -> int | None:
        """How long a judge's reply after a prompt of so many tokens may get; None: to the context's end."""
        most = self.judge_tokens or self.params.max_tokens
        if most is None or self.judge_tokens is not None or not self.thinks:
            return most
        context = self.backend.max_model_len
        room = JUDGE_TOKENS if context is None else min(JUDGE_TOKENS, context - prompt)
        return max(most, room)

    @property
    def saying(self) -> Saying:
        """How to tell what a trace says from what it thinks, whichever of the run's models it belongs to."""
        own = Saying.of(self.thinking, self.tokenizer)
        return own.beside({name: other.saying for name, other in self.others.items()}) if self.others else own

    @property
    def lockstep(self) -> bool:
        """Whether what a strategy sees must not depend on timing, because every backend is deterministic."""
        return all(each.backend.capabilities.deterministic for each in self.models.values())


def unknown_model(model: str, known: Sequence[str]) -> UsageError:
    """The error for a part that names a model which the run does not have."""
    if not known:
        return UsageError(
            f"a part names the model {model!r}, but the run's only model has no name: --model {quote(model)}=..."
        )
    return UsageError(f"the run has no model {model!r}{nearest(model, known) or ';'} it has: {', '.join(known)}")
