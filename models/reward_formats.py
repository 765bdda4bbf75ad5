"""Reward formats: how each family of reward models reads a solution, one entry per family."""

from __future__ import annotations

import re

from widthwise.core.errors import UsageError
from widthwise.core.registry import Entry, entries, find, register, value_of
from widthwise.core.rewards.reward_format import RewardFormat
from widthwise.core.roles import ROLES
from widthwise.models.formats import BOXED

SCORER = register("reward_format")(RewardFormat("scorer", tag="<step>", models=r"(^|[/:])scorer"))
"""The bundled scorer: ``<user>problem<assistant>step<step>step<step>``, `+` against `-` at each ``<step>``."""

MATH_SHEPHERD = register("reward_format")(
    RewardFormat(
        "math-shepherd",
        chat=False,
        opening="<s>{problem}",
        step="\nStep {n}: {step}",
        tag=" ки",
        labels=(" +", " -"),
        models=r"math-?shepherd",
    )
)
"""Math-Shepherd (Wang et al., arXiv 2312.08935): plain text, a tag behind every step, `+` against `-` at the tag."""

RLHFLOW = register("reward_format")(
    RewardFormat("rlhflow", turns=True, opening="{problem} ", models=r"rlhflow.*prm|prm-(deepseek|mistral)-data")
)
"""RLHFlow's PRMs on Llama 3.1: every step is a turn of the user's, `+` against `-` opens the assistant's."""

QWEN_PRM = register("reward_format")(
    RewardFormat("qwen-prm", system=BOXED, tag="<extra_0>", reads="classes", models=r"qwen2\.5-math.*prm")
)
"""Qwen2.5-Math-PRM: a two-class head, read at the ``<extra_0>`` behind every step."""

SKYWORK_PRM = register("reward_format")(
    RewardFormat("skywork-prm", chat=False, opening="{problem}\n", tag="\n", reads="value", models=r"skywork-?o1.*prm")
)
"""Skywork-o1-PRM: a value head, read at the newline behind every step."""

LLAMA_ORM = register("reward_format")(
    RewardFormat(
        "llama-orm", kind="outcome", ending="<|eot_id|>", reads="value", models=r"(reward|rm).*llama|llama.*(reward|rm)"
    )
)
QWEN_ORM = register("reward_format")(
    RewardFormat(
        "qwen-orm", kind="outcome", ending="<|im_end|>\n", reads="value", models=r"(reward|rm).*qwen|qwen.*(reward|rm)"
    )
)
"""Outcome reward models on Llama 3 and Qwen, which read at the end of the closed assistant's turn."""

ORM = register("reward_format")(
    RewardFormat("orm", kind="outcome", reads="value", models=r"reward|(^|[-_/])[or]rm([-_]|$)")
)
"""Any outcome reward model with one output, read at the conversation's last token."""


def reward_format_for(model: str, named: str | None = None) -> RewardFormat:
    """The format called ``named``, or else that of the family which ``model`` (a name or a path) belongs to.

    Raises ``UsageError`` for a name that is none, and for a model of no known family: a wrong layout would give
    scores that mean nothing.
    """
    if named is not None:
        return _checked(find("reward_format", named))
    known = entries(ROLES["reward_format"])
    # Formats that were installed know their models better than ours, which go by common words.
    for entry in sorted(known, key=lambda entry: entry.built_in):
        found = _checked(entry)
        if found.models and re.search(found.models, model, re.IGNORECASE):
            return found
    names = ", ".join(entry.name for entry in known)
    raise UsageError(f"{model} is of no known family of reward models: name its format (format=...), one of {names}")


def _checked(entry: Entry) -> RewardFormat:
    found = value_of(entry)
    if not isinstance(found, RewardFormat):
        raise entry.role.mismatch(entry.source, found)
    return found
