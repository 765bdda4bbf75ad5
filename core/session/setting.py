"""What all sessions of a run share."""

from __future__ import annotations

from dataclasses import dataclass, field

from widthwise.core.backend import Backend, SamplingParams, Tokenizer
from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.problem import Grader
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.rewards.reading import Embedder
from widthwise.core.rewards.reward import RewardModel
from widthwise.core.session.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Setting:
    """What all sessions of a run share.

    ``params`` are the defaults of every draw, ``width`` is the largest number of branches of one draw in flight.
    ``patience`` is how many seconds the reward model may take for one call. ``chat`` is what the model's chat template
    is given besides the conversation, ``thinking`` how the model marks its thinking; None for one that does not think.
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

    @property
    def backend(self) -> Backend:
        return self.scheduler.backend

    @property
    def tokenizer(self) -> Tokenizer:
        return self.backend.tokenizer

    @property
    def lockstep(self) -> bool:
        """Whether what a strategy sees must not depend on timing, because the backend is deterministic."""
        return self.backend.capabilities.deterministic
