"""Which family a model belongs to, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from widthwise.core.backend import SamplingParams
from widthwise.core.prompting.profile import ModelFacts, ModelProfile
from widthwise.core.prompting.thinking import Thinking
from widthwise.models.families import (
    FAMILIES,
    GENERIC_FAMILY,
    OWN_PROFILE,
    TRAINED,
    Family,
    family_named,
    installed_families,
)
from widthwise.models.thinking_marks import THINK, thinking_in

_NOT_RECOMMENDED = {"max_tokens", "stop", "stop_token_ids", "logprobs", "prompt_logprobs"}
_SAMPLING = {f.name for f in fields(SamplingParams)} - _NOT_RECOMMENDED

Seen = Callable[[Family, ModelFacts], str | None]


def profile_of(facts: ModelFacts, named: str | None = None, *, trusted: bool = True) -> ModelProfile:
    """The profile called ``named``, or that of the family shown by the model's facts or its name.

    A model of a known family whose name shows additional training is asked in the way of that training. Raises
    ``UsageError`` for an unknown name. ``trusted`` names may be import paths; names in a checkpoint's files never may.
    """
    chosen = None if named is None else family_named(named, trusted=trusted)
    stated = _stated(facts) if chosen is None or chosen in TRAINED else None
    family, why = _base(facts, chosen, stated)
    trained, because = _trained(facts, chosen, stated)
    sampling, source = _sampling(family, facts)
    return ModelProfile(
        name=(trained or family).name,
        format=(trained or family).format,
        thinking=_thinking(family, facts),
        sampling=sampling,
        quiet_sampling=family.quiet_sampling,
        sampling_from=source,
        notes=family.notes,
        why="; ".join(filter(None, (why, because))),
    )


def _thinking(family: Family, facts: ModelFacts) -> Thinking | None:
    """As the template shows it, else as the family does; separately delivered thinking gets the usual marks.

    A recording that states other marks overrides these.
    """
    shown = family.thinking if facts.template is None else thinking_in(facts.template, facts.arguments)
    found = shown or (THINK if facts.apart else None)
    recorded = facts.thinking
    return found if recorded is None or (found and found.marks == recorded.marks) else recorded


def _stated(facts: ModelFacts) -> Family | None:
    """The family that the checkpoint's own ``config.json`` names."""
    own = facts.config.get(OWN_PROFILE)
    return family_named(own, trusted=False) if isinstance(own, str) else None


def _base(facts: ModelFacts, named: Family | None, stated: Family | None) -> tuple[Family, str]:
    """The family whose template, thinking and sampling the model has, and why."""
    if named is not None and named not in TRAINED:
        return named, "its format was named"
    if stated is not None and stated not in TRAINED:
        return stated, "its config.json names its profile"
    return _recognised(facts)


def _trained(facts: ModelFacts, named: Family | None, stated: Family | None) -> tuple[Family | None, str | None]:
    """What the model was additionally trained for, and why."""
    for family, why in ((named, "its format was named"), (stated, "its config.json names it")):
        if family is not None:
            return (family, why) if family in TRAINED else (None, None)
    return _first(TRAINED, Family.seen_in_name, facts)


def _recognised(facts: ModelFacts) -> tuple[Family, str]:
    """By the chat template first, then by the configuration; by the name if neither says anything."""
    families = (*installed_families(), *FAMILIES)
    for seen in (Family.seen_in_template, Family.seen_in_config, Family.seen_in_name):
        family, why = _first(families, seen, facts)
        if family is not None and why is not None:
            return family, why
    return GENERIC_FAMILY, "nothing about it is known"


def _first(families: tuple[Family, ...], seen: Seen, facts: ModelFacts) -> tuple[Family | None, str | None]:
    for family in families:
        if (why := seen(family, facts)) is not None:
            return family, why
    return None, None


def _sampling(family: Family, facts: ModelFacts) -> tuple[Mapping[str, float], str]:
    """What ``generation_config.json`` says of sampling, if anything, else what the family's model card recommends."""
    stated = {name: value for name, value in facts.generation.items() if name in _SAMPLING and _is_number(value)}
    if stated:
        return stated, "the model's generation_config.json"
    return family.sampling, f"the recommendation for {family.name}" if family.sampling else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
