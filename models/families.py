"""Model families: how each is recognised, how it is asked, and the sampling it recommends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.registry import Entry, entries, find, register, value_of
from widthwise.core.roles import ROLES
from widthwise.models.formats import (
    APR,
    GENERIC,
    MULTIVERSE,
    PARALLEL_R1,
    QUANTITIES,
    QWEN_MATH,
    REASONER,
    THREADWEAVER,
)
from widthwise.models.thinking_marks import HARMONY, THINK, tagged

OWN_PROFILE = "widthwise_profile"
"""A checkpoint's ``config.json`` may name its profile under this key, as the bundled models' do."""


@dataclass(frozen=True, slots=True)
class Family:
    """A family and how it is recognised.

    ``template``: texts that all occur in the chat template; ``types``: values of ``model_type`` in ``config.json``;
    ``named``: a pattern in the last component of the name. ``thinking`` applies if no template is known; otherwise the
    template decides. ``sampling`` is what the family's model card recommends; ``quiet_sampling`` is for models without
    thinking, if it differs.
    """

    name: str
    format: PromptFormat = GENERIC
    template: tuple[str, ...] = ()
    types: frozenset[str] = frozenset()
    named: str | None = None
    thinking: Thinking | None = None
    sampling: Mapping[str, float] = field(default_factory=dict)
    quiet_sampling: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def seen_in_template(self, facts: ModelFacts) -> str | None:
        """What in the chat template shows this family; None for nothing."""
        if not self.template or not all(text in (facts.template or "") for text in self.template):
            return None
        return f"its chat template writes {' and '.join(map(repr, self.template))}"

    def seen_in_config(self, facts: ModelFacts) -> str | None:
        """What in ``config.json`` shows this family."""
        kind = facts.config.get("model_type")
        return f"its config.json has model_type {kind!r}" if kind in self.types else None

    def seen_in_name(self, facts: ModelFacts) -> str | None:
        """What in the name shows this family."""
        if self.named is None or re.search(self.named, facts.last_name, re.IGNORECASE) is None:
            return None
        return f"its name is {facts.last_name!r}"


_NOT_GREEDY = "its model card warns against greedy decoding"

FAMILIES = (
    Family("reasoner", REASONER, named=r"^reasoner(\.gguf)?$"),
    Family("quantities", QUANTITIES, named=r"^quantities(\.gguf)?$"),
    Family(
        "gpt-oss",
        template=("<|channel|>",),
        types=frozenset({"gpt_oss"}),
        named=r"gpt-?oss",
        thinking=HARMONY,
        sampling={"temperature": 1.0, "top_p": 1.0},
    ),
    Family(
        "deepseek-r1",
        template=("<\uff5cAssistant\uff5c>", "think>"),
        named=r"(^|[-_])r1([-_]|$)",
        thinking=THINK,
        sampling={"temperature": 0.6, "top_p": 0.95},
        notes=("its model card advises against a system prompt",),
    ),
    Family("deepseek", template=("<\uff5cAssistant\uff5c>",), types=frozenset({"deepseek_v3", "deepseek_v2"})),
    Family(
        "qwen2.5-math",
        QWEN_MATH,
        template=("final answer within \\\\boxed",),
        named=r"qwen-?2(\.5)?-math",
        sampling={"temperature": 0.7, "top_p": 0.8},
    ),
    Family(
        "qwq",
        named=r"^qwq",
        thinking=THINK,
        sampling={"temperature": 0.6, "top_p": 0.95, "top_k": 20},
        notes=(_NOT_GREEDY,),
    ),
    Family(
        "phi-4-reasoning",
        template=("You are Phi", "<think>"),
        named=r"phi-?4.*reasoning",
        thinking=THINK,
        sampling={"temperature": 0.8, "top_p": 0.95, "top_k": 50},
    ),
    Family(
        "qwen3",
        types=frozenset({"qwen3", "qwen3_moe", "qwen3_next"}),
        named=r"qwen-?3",
        thinking=tagged(switch="enable_thinking"),
        sampling={"temperature": 0.6, "top_p": 0.95, "top_k": 20},
        quiet_sampling={"temperature": 0.7, "top_p": 0.8, "top_k": 20},
        notes=(_NOT_GREEDY,),
    ),
    Family(
        "smollm3",
        types=frozenset({"smollm3"}),
        named=r"smollm-?3",
        thinking=tagged(switch="enable_thinking"),
        sampling={"temperature": 0.6, "top_p": 0.95},
    ),
    Family("smollm2", template=("named SmolLM",), named=r"smollm-?2", sampling={"temperature": 0.2, "top_p": 0.9}),
    Family(
        "magistral",
        template=("[THINK]",),
        named=r"magistral",
        thinking=tagged("THINK", "[]"),
        sampling={"temperature": 0.7, "top_p": 0.95},
    ),
    Family("mistral", template=("[INST]",), types=frozenset({"mistral", "mixtral", "mistral3"}), named=r"mi[sx]tral"),
    Family("glm", template=("[gMASK]",), types=frozenset({"glm4", "glm4_moe"}), named=r"glm-?4", thinking=THINK),
    Family(
        "gemma3",
        template=("<start_of_turn>", "<start_of_image>"),
        types=frozenset({"gemma3", "gemma3_text"}),
        named=r"gemma-?3",
        sampling={"temperature": 1.0, "top_p": 0.95, "top_k": 64},
    ),
    Family("gemma", template=("<start_of_turn>",), named=r"gemma"),
    Family(
        "nemotron",
        named=r"nemotron",
        thinking=THINK,
        sampling={"temperature": 0.6, "top_p": 0.95},
    ),
    Family(
        "llama3",
        template=("<|start_header_id|>",),
        named=r"llama-?3",
        sampling={"temperature": 0.6, "top_p": 0.9},
    ),
    Family(
        "qwen2.5",
        template=("You are Qwen, created by Alibaba Cloud",),
        types=frozenset({"qwen2", "qwen2_moe"}),
        named=r"qwen-?2\.5",
        sampling={"temperature": 0.7, "top_p": 0.8, "top_k": 20, "repetition_penalty": 1.05},
    ),
)
"""In the order of recognition: a template or a name that matches two families belongs to the first."""

GENERIC_FAMILY = Family("generic")
"""Any chat model: only its template is known."""

TRAINED = (
    Family("threadweaver", THREADWEAVER, named=r"thread-?weaver"),
    Family("multiverse", MULTIVERSE, named=r"multiverse"),
    Family("parallel-r1", PARALLEL_R1, named=r"parallel-?r1"),
    Family("apr", APR, named=r"^apr([-_]|$)"),
)
"""What models of any family were additionally trained for; only their name tells."""

for _family in (*FAMILIES, *TRAINED, GENERIC_FAMILY):
    register("prompt_format")(_family)


def installed_families() -> tuple[Family, ...]:
    """The families of the user and of installed packages: they go before ours, which rely on common signs."""
    return tuple(as_family(entry) for entry in entries(ROLES["prompt_format"]) if not entry.built_in)


def family_named(name: str, *, trusted: bool) -> Family:
    """The family for a name or an import path; ``UsageError`` if there is none, and for a path in untrusted text."""
    return as_family(find("prompt_format", name, trusted=trusted))


def as_family(entry: Entry) -> Family:
    """A registered family; a bare prompt format becomes one that is recognised only by its name."""
    found = value_of(entry)
    if isinstance(found, PromptFormat):
        return Family(entry.name, found)
    if not isinstance(found, Family):
        raise entry.role.mismatch(entry.source, found)
    return found
