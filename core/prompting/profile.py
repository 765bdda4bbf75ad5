"""Everything a model family needs, in one value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from widthwise.core.brief import Brief
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.thinking import Thinking

if TYPE_CHECKING:
    from widthwise.core.backend import Backend


_PREFIX = re.compile(r"^(embedded|vllm|https?|replay):")


@dataclass(frozen=True, slots=True)
class ModelFacts(Brief):
    """What a model says of itself, as far as its files are available.

    ``name`` is its folder, hub id or the name a server gives it; only the last component matters. ``config`` and
    ``generation`` are its ``config.json`` and ``generation_config.json``, ``template`` the text of its chat template;
    empty or None if unknown. ``arguments`` are the names of the template's arguments. ``apart``: its server delivers
    thinking separately from the answer, if the model thinks. ``thinking`` is how a recording says its thinking is
    marked.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    template: str | None = None
    arguments: frozenset[str] = frozenset()
    apart: bool = False
    thinking: Thinking | None = None

    @property
    def last_name(self) -> str:
        """The last component of the name."""
        plain = _PREFIX.sub("", self.name).replace("\\", "/").rstrip("/")
        return plain.rpartition("/")[2].rpartition("#")[2]


def facts_of(backend: Backend) -> ModelFacts:
    """What is known of the model served by ``backend``: its ``facts`` if it has them, else its name."""
    facts = getattr(backend, "facts", None)
    return facts if isinstance(facts, ModelFacts) else ModelFacts(backend.name)


@dataclass(frozen=True, slots=True)
class ModelProfile(Brief):
    """What a run knows of its model's family, and ``why`` the model is taken to belong to it.

    ``sampling`` holds the recommended fields of ``SamplingParams``, ``quiet_sampling`` those without thinking if they
    differ; ``sampling_from`` names the source of the recommendation. ``thinking`` is None for a family that does not
    separate thinking from its answer. ``notes`` are warnings for users of such a model.
    """

    name: str
    format: PromptFormat
    thinking: Thinking | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    quiet_sampling: Mapping[str, float] = field(default_factory=dict)
    sampling_from: str = ""
    notes: tuple[str, ...] = ()
    why: str = ""

    def thinks(self, template_args: Mapping[str, Any]) -> bool:
        """Whether a model thinks before it answers when its chat template gets these arguments."""
        return self.thinking is not None and not self.thinking.is_off(template_args)

    def recommended(self, template_args: Mapping[str, Any]) -> Mapping[str, float]:
        """The recommended sampling for a model whose chat template gets these arguments."""
        quiet = self.thinking is not None and not self.thinks(template_args)
        return self.quiet_sampling if quiet and self.quiet_sampling else self.sampling
