"""Reward formats: how each family of reward models reads a solution, one entry per family."""

from __future__ import annotations

import re

from widthwise.core.errors import UsageError
from widthwise.core.rewards.reward_format import RewardFormat
from widthwise.models.formats import BOXED

SCORER = RewardFormat("scorer", tag="<step>")
"""The bundled scorer: ``<user>problem<assistant>step<step>step<step>``, `+` against `-` at each ``<step>``."""

MATH_SHEPHERD = RewardFormat(
    "math-shepherd",
    chat=False,
    opening="<s>{problem}",
    step="\nStep {n}: {step}",
    tag=" ки",
    labels=(" +", " -"),
)
"""Math-Shepherd (Wang et al., arXiv 2312.08935): plain text, a tag behind every step, `+` against `-` at the tag."""

RLHFLOW = RewardFormat("rlhflow", turns=True, opening="{problem} ")
"""RLHFlow's PRMs on Llama 3.1: every step is a turn of the user's, `+` against `-` opens the assistant's."""

QWEN_PRM = RewardFormat("qwen-prm", system=BOXED, tag="<extra_0>", reads="classes")
"""Qwen2.5-Math-PRM: a two-class head, read at the ``<extra_0>`` behind every step."""

SKYWORK_PRM = RewardFormat("skywork-prm", chat=False, opening="{problem}\n", tag="\n", reads="value")
"""Skywork-o1-PRM: a value head, read at the newline behind every step."""

ORM = RewardFormat("orm", kind="outcome", reads="value")
"""Any outcome reward model with one output, read at the conversation's last token."""

LLAMA_ORM = RewardFormat("llama-orm", kind="outcome", ending="<|eot_id|>", reads="value")
QWEN_ORM = RewardFormat("qwen-orm", kind="outcome", ending="<|im_end|>\n", reads="value")
"""Outcome reward models on Llama 3 and Qwen, which read at the end of the closed assistant's turn."""

REWARD_FORMATS = {f.name: f for f in (SCORER, MATH_SHEPHERD, RLHFLOW, QWEN_PRM, SKYWORK_PRM, ORM, LLAMA_ORM, QWEN_ORM)}

_FAMILIES = (
    (r"(^|[/:])scorer", SCORER),
    (r"math-?shepherd", MATH_SHEPHERD),
    (r"rlhflow.*prm|prm-(deepseek|mistral)-data", RLHFLOW),
    (r"qwen2\.5-math.*prm", QWEN_PRM),
    (r"skywork-?o1.*prm", SKYWORK_PRM),
    (r"(reward|rm).*llama|llama.*(reward|rm)", LLAMA_ORM),
    (r"(reward|rm).*qwen|qwen.*(reward|rm)", QWEN_ORM),
    (r"reward|(^|[-_/])[or]rm([-_]|$)", ORM),
)


def reward_format_for(model: str, named: str | None = None) -> RewardFormat:
    """The format called ``named``, or else that of the family which ``model`` (a name or a path) belongs to.

    Raises ``UsageError`` for a name that is none, and for a model of no known family: a wrong layout would give
    scores that mean nothing.
    """
    known = ", ".join(REWARD_FORMATS)
    if named is not None:
        if named not in REWARD_FORMATS:
            raise UsageError(f"there is no reward format {named!r}; there are {known}")
        return REWARD_FORMATS[named]
    for pattern, reward_format in _FAMILIES:
        if re.search(pattern, model, re.IGNORECASE):
            return reward_format
    raise UsageError(f"{model} is of no known family of reward models: name its format (format=...), one of {known}")
