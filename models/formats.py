"""Prompt formats: all model-specific text, one entry per family."""

from __future__ import annotations

import re

from widthwise.core.prompt import PromptFormat

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
"""The instruction that mathematical suites add to a problem."""

REASONER = PromptFormat("reasoner", template="{problem}")
"""The bundled micro reasoners: trained on the bare problem text."""

QWEN_MATH = PromptFormat("qwen-math", system=BOXED, template="{problem}")
"""Qwen2.5-Math: the instruction is the system message it was trained with."""

GENERIC = PromptFormat("generic")
"""Any chat model: the problem, then the suite's instruction, as one user message."""

_FAMILIES = ((r"(^|[/:])reasoner", REASONER), (r"qwen2(\.5)?-math", QWEN_MATH))


def format_for(model: str) -> PromptFormat:
    """The prompt format of the family that ``model`` (a name or a path) belongs to."""
    for pattern, prompt_format in _FAMILIES:
        if re.search(pattern, model, re.IGNORECASE):
            return prompt_format
    return GENERIC
