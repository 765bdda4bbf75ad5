"""Layers of proposers from several models, and an aggregator that writes the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from widthwise.core.registry import register
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.session import Session
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.trace.trace import Trace
from widthwise.samplers.workspace import readable


@register("sampler")
@dataclass(frozen=True)
class MixtureOfAgents(SamplerPart):
    """Each layer's models answer with all answers of the layer before in view (MoA: Wang et al., arXiv 2406.04692).

    ``models`` propose in each layer but the last, in which ``aggregator`` (None: the first of them) alone writes the
    answer; a model that is named twice proposes twice. ``layers`` 3 and ``temperature`` 0.7 are the paper's; two layers
    are its MoA-Lite. The question ("mixture") asks, as the paper's does, for one better response from a critical look
    at all of them, in the words of each model's prompt format. A proposer that thinks is shown by what follows its
    thinking. If the last trace states no answer, the last proposals are returned, too.
    """

    models: tuple[str, ...] = ()
    _: KW_ONLY
    layers: int = 3
    aggregator: str | None = None
    temperature: float | None = 0.7
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.models:
            raise ValueError("it needs the names of the models that propose: models=('NAME', ...)")
        if self.model is not None:
            raise ValueError(f"its models are named by models=(...), not by model={self.model!r}")
        if self.layers < 1:
            raise ValueError(f"layers must be at least 1, not {self.layers}")

    def check(self, conditions: Conditions) -> None:
        """Raises ``UsageError`` for a model that the run does not have, or that cannot be asked to combine answers."""
        last = self.aggregator or self.models[0]
        combining = {last, *self.models} if self.layers > 2 else {last} if self.layers == 2 else set()
        for model in dict.fromkeys((*self.models, last)):
            format = conditions.run.named(model).format
            if model in combining:
                format.prompt("mixture")

    async def __call__(self, session: Session) -> list[Trace]:
        drafts: list[Trace] = []
        for _ in range(self.layers - 1):
            drafts = readable(session, await self._layer(session, self.models, drafts)) or drafts
        last = await self._layer(session, [self.aggregator or self.models[0]], drafts)
        return last if any(session.answer(trace) is not None for trace in last) else [*drafts, *last]

    async def _layer(self, session: Session, models: Sequence[str], drafts: Sequence[Trace]) -> list[Trace]:
        """One trace of each of ``models``, with ``drafts`` in view."""
        asked = {model: _asked(session.by(model), drafts) for model in dict.fromkeys(models)}
        roots = [asked[model] for model in models]
        return await session.sample(roots, temperature=self.temperature, max_tokens=self.max_tokens)


def _asked(session: Session, drafts: Sequence[Trace]) -> Trace:
    """The question to the model that works in ``session``; the bare problem without drafts."""
    if not drafts:
        return session.root
    listed = session.listed("draft", [session.solution(draft) for draft in drafts])
    return session.ask("mixture", drafts=listed, count=str(len(drafts)), after=drafts)
