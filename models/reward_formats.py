"""Reward formats: how each family of reward models reads a solution, one entry per family."""

from __future__ import annotations

import re

from widthwise.core.errors import UsageError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.registry import Entry, entries, find, register, value_of
from widthwise.core.rewards.reward_format import BY_TOKENS, WITHOUT_HEAD, RewardFormat
from widthwise.core.roles import ROLES
from widthwise.models.formats import BOXED

OWN_FORMAT = "widthwise_reward_format"
"""A checkpoint's ``config.json`` may name its reward format under this key, as the bundled scorer's does."""
_ORM = r"reward|(?<![a-z])[or]?rm(?![a-z])"  # not the "rm" in "prm"


def _registered(reward_format: RewardFormat) -> RewardFormat:
    return register("reward_format")(reward_format)


SCORER = _registered(RewardFormat("scorer", tag="<step>", models=r"^scorer$"))
"""The bundled scorer: ``<user>problem<assistant>step<step>step<step>``, `+` against `-` at each ``<step>``."""

QUANTITIES = _registered(RewardFormat("quantities", opening="{problem}<step>", tag="<step>", models=r"^quantities$"))
"""The bundled model for `quantities`, which also writes: a tag after the problem asks it to score."""

MATH_SHEPHERD = _registered(
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
"""Math-Shepherd (Wang et al., arXiv 2312.08935): plain text, a tag after every step, `+` against `-` at the tag."""

RLHFLOW = _registered(
    RewardFormat("rlhflow", turns=True, opening="{problem} ", models=r"prm-(deepseek|mistral)-data|rlhflow.*prm")
)
"""RLHFlow's PRMs on Llama 3.1: every step is a user's turn, `+` against `-` opens the assistant's."""

RLHFLOW_ORM = _registered(
    RewardFormat(
        "rlhflow-orm",
        kind="outcome",
        turns=True,
        opening="{problem} ",
        models=r"orm-(deepseek|mistral)-data|rlhflow.*orm",
    )
)
"""RLHFlow's outcome models are generative too: the whole solution is the user's turn, `+` or `-` the reply."""

QWEN_PRM = _registered(
    RewardFormat(
        "qwen-prm",
        system=BOXED,
        tag="<extra_0>",
        reads="classes",
        architectures=("Qwen2ForProcessRewardModel",),
        models=r"qwen2\.5-math.*prm",
    )
)
"""Qwen2.5-Math-PRM: a two-class head, read at the ``<extra_0>`` after every step."""

QWEN_MATH_RM = _registered(
    RewardFormat(
        "qwen-math-rm",
        kind="outcome",
        system=BOXED,
        ending="<|im_end|>\n",
        reads="value",
        architectures=("Qwen2ForRewardModel",),
        models=r"qwen2\.5-math-rm",
    )
)
"""Qwen2.5-Math-RM: a value head, read at the end of the conversation that its family was trained with."""

SKYWORK_PRM = _registered(
    RewardFormat(
        "skywork-prm",
        chat=False,
        bos=True,
        opening="{problem}\n",
        tag="\n",
        lines=True,
        reads="value",
        architectures=("Qwen2ForPrmModel",),
        models=r"skywork-?o1.*prm",
    )
)
"""Skywork-o1-PRM: a value head, read at the newline after every line, including blank ones."""

LLAMA_ORM = _registered(
    RewardFormat(
        "llama-orm",
        kind="outcome",
        ending="<|eot_id|>",
        reads="value",
        architectures=("LlamaForSequenceClassification",),
        models=rf"({_ORM}).*llama|llama.*({_ORM})",
        template="<|eot_id|>",
    )
)
QWEN_ORM = _registered(
    RewardFormat(
        "qwen-orm",
        kind="outcome",
        ending="<|im_end|>\n",
        reads="value",
        architectures=("Qwen2ForSequenceClassification", "Qwen3ForSequenceClassification"),
        models=rf"({_ORM}).*qwen|qwen.*({_ORM})",
        template="<|im_end|>",
    )
)
"""Outcome reward models on Llama 3 and Qwen, read at the end of the closed assistant's turn."""

ORM = _registered(
    RewardFormat(
        "orm",
        kind="outcome",
        reads="value",
        architectures=(
            "LlamaForSequenceClassification",
            "MistralForSequenceClassification",
            "GemmaForSequenceClassification",
            "Gemma2ForSequenceClassification",
        ),
        models=_ORM,
    )
)
"""Any outcome reward model with one output, read at the conversation's last token."""

JUDGE = _registered(
    RewardFormat(
        "judge",
        kind="outcome",
        opening=(
            "{problem}\n\nHere is a solution.\n\n{solution}\n\nHow likely is it that the final answer of this solution "
            "is right? Answer with a single digit from 0 (certainly wrong) to 9 (certainly right), and nothing else."
        ),
        reads="expectation",
        labels=tuple("0123456789"),
    )
)
"""Any chat model as a judge: the mean of the digits that it would answer with, weighted by their probabilities."""

STATED = _registered(
    RewardFormat(
        "stated",
        kind="outcome",
        opening=(
            "{problem}\n\nHere is a solution.\n\n{solution}\n\nCheck it step by step. Then say how likely it is that "
            'its final answer is right: end with a line "Score: N", where N is a number from 0 (certainly wrong) to '
            "10 (certainly right)."
        ),
        reads="stated",
        labels=("0", "10"),
    )
)
"""Any chat model as a judge that thinks and reasons: the number at the end of its reply."""

_NEEDS = {**dict.fromkeys(BY_TOKENS, "the scores of its next token"), "stated": "a text that the model writes"}
"""What formats read that do not read a head."""


def reward_format_for(facts: ModelFacts, named: str | None = None) -> RewardFormat:
    """The format called ``named``, or that of the family shown by the model's files or its name.

    Raises ``UsageError`` for an unknown name, for a model of no known family (a wrong layout would give meaningless
    scores), and for a model without the head that the format reads.
    """
    own = facts.config.get(OWN_FORMAT)
    if named is not None:
        found = _checked(find("reward_format", named))
    elif isinstance(own, str):
        found = _checked(find("reward_format", own, trusted=False))
    else:
        found = _recognised(facts)
    _check_head(found, facts)
    return found


def _recognised(facts: ModelFacts) -> RewardFormat:
    # Installed formats know their models better than ours, which rely on common words.
    known = sorted(entries(ROLES["reward_format"]), key=lambda entry: entry.built_in)
    formats = [f for f in map(_checked, known) if f.template in (facts.template or f.template)]
    for found in formats:
        if set(found.architectures) & set(_architectures(facts)):
            return found
    for found in formats:
        if found.models and re.search(found.models, facts.last_name, re.IGNORECASE):
            return found
    names = ", ".join(entry.name for entry in known)
    raise UsageError(
        f"{facts.name} belongs to no known family of reward models: name its format (format=...), one of {names}"
    )


def _check_head(found: RewardFormat, facts: ModelFacts) -> None:
    """A format's head either exists or not, which can be checked before anything is sampled."""
    for architecture in _architectures(facts)[:1]:
        if (found.reads in WITHOUT_HEAD) != architecture.endswith("ForCausalLM"):
            needs = _NEEDS.get(found.reads, "a head that gives values")
            raise UsageError(
                f"the reward format {found.name!r} reads {needs}, but {facts.name} is a {architecture}, which has "
                "none: name another format (format=...), or the model that the format belongs to"
            )


def _architectures(facts: ModelFacts) -> list[str]:
    named = facts.config.get("architectures")
    return [str(name) for name in named] if isinstance(named, list) else []


def _checked(entry: Entry) -> RewardFormat:
    found = value_of(entry)
    if not isinstance(found, RewardFormat):
        raise entry.role.mismatch(entry.source, found)
    return found
