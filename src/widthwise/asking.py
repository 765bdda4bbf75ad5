"""How a run's model is asked: what the user says, what the model recommends, and what is in force."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any

from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.brief import Brief
from widthwise.core.chat_options import ChatOptions
from widthwise.core.errors import UsageError
from widthwise.core.prompting.profile import ModelFacts, ModelProfile, facts_of
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.registry import nearest
from widthwise.evals.store.configuration import entry_of
from widthwise.evals.store.recorded_asking import asking_in
from widthwise.models.families import GENERIC_FAMILY
from widthwise.models.profiles import profile_of

_log = logging.getLogger(__name__)

SAMPLING = ("model", "plain")
"""Where sampling settings that the user did not give come from: the model's recommendation, or 1 and no filters."""
SYSTEM = "system"
"""The name under which the system prompt is kept among the template arguments."""
_LIMITS = frozenset({"max_tokens", "stop", "stop_token_ids", "logprobs", "prompt_logprobs"})


@dataclass(frozen=True)
class Asking(Brief):
    """How a model is to be asked, as far as the user says.

    ``given`` are fields of ``SamplingParams``; ``sampling`` says where the others come from (see ``SAMPLING``).
    ``format`` names a profile to use instead of the one that the model's files show. ``template_args`` are arguments of
    its chat template, with the system prompt under ``SYSTEM``; ``prompts`` replace those of the format, by name.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    sampling: str = "model"
    format: str | None = None
    template_args: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLING:
            raise UsageError(f"the sampling is one of {', '.join(SAMPLING)}, not {self.sampling!r}")
        known = SamplingParams().changed(**self.given)
        object.__setattr__(self, "given", {k: getattr(known, k) for k, v in self.given.items() if v is not None})
        for name in ("template_args", "prompts"):
            object.__setattr__(self, name, dict(getattr(self, name)))

    @property
    def configuration(self) -> dict[str, Any]:
        """The part of this that decides a run's results, as the store compares it; defaults are left out."""
        entries = {
            **self.given,
            "sampling": None if self.sampling == SAMPLING[0] else self.sampling,
            "format": self.format,
            "template_args": dict(self.template_args),
            "prompts": dict(self.prompts),
        }
        return {name: value for name, value in entries.items() if value not in (None, {})}

    def settled(self, backend: Backend, recorded: Mapping[str, Any] | None = None) -> SettledAsking:
        """What is in force for this model; ``recorded`` is what was in force when the run began, according to its file.

        Raises ``UsageError`` for a format, a template argument or a prompt that the model does not have.
        """
        facts = facts_of(backend)
        then = (recorded or {}).get("profile")
        profile = profile_of(facts, self.format) if self.format else profile_of(facts, then, trusted=False)
        _check_arguments(self.template_args, facts)
        _check_template(backend, profile)
        arguments = {name: value for name, value in self.template_args.items() if name != SYSTEM}
        replayed = bool(getattr(backend, "recorded", False))
        recommended, source = self._recommended(profile, arguments, recorded, replayed=replayed)
        format = profile.format.changed(self.prompts)
        if SYSTEM in self.template_args:
            format = replace(format, system=str(self.template_args[SYSTEM]))
        if recorded is not None:
            profile = replace(profile, why=str(recorded.get("why") or profile.why))
        return SettledAsking(
            profile=profile,
            format=format,
            params=SamplingParams().changed(**{**recommended, **self.given}),
            sources={**dict.fromkeys(recommended, source), **dict.fromkeys(self.given, "given")},
            chat=ChatOptions(arguments, _date(recorded)),
            replayed=replayed,
            note=_note(backend),
        )

    def _recommended(
        self, profile: ModelProfile, arguments: Mapping[str, Any], recorded: Mapping[str, Any] | None, *, replayed: bool
    ) -> tuple[Mapping[str, float], str]:
        """Settings that the user did not give, and the source of the recommendation."""
        now = profile.recommended(arguments) if self.sampling == "model" and not replayed else {}
        if recorded is None:
            return now, profile.sampling_from
        sources = recorded["sampling_from"]
        then = {name: recorded["sampling"][name] for name, source in sources.items() if source != "given"}
        if then != now:
            _log.warning("the model now recommends %s; this run continues with %s", dict(now), then)
        return then, next((source for source in sources.values() if source != "given"), "")


@dataclass(frozen=True, slots=True)
class SettledAsking(Brief):
    """What is in force: ``sources`` say where each sampling setting that is not a default came from.

    What is ``replayed`` was sampled before, in whatever way: no setting is in force. ``note`` is what a reader of
    results must know of the backend; empty if nothing.
    """

    profile: ModelProfile
    format: PromptFormat
    params: SamplingParams
    sources: Mapping[str, str]
    chat: ChatOptions
    replayed: bool = False
    note: str = ""

    @property
    def record(self) -> dict[str, Any]:
        """What a run file keeps of it; a run that continues takes it from there."""
        today = self.chat.today or date.today()
        settings = {} if self.replayed else {k: v for k, v in asdict(self.params).items() if k not in _LIMITS}
        return {
            "profile": self.profile.name,
            "why": self.profile.why,
            "thinks": self.profile.thinks(self.chat.arguments),
            "sampling": settings,
            "sampling_from": {k: v for k, v in self.sources.items() if k in settings},
            "template_args": dict(self.chat.arguments),
            "system": self.format.system,
            "step_separator": self.format.step_separator,
            "date": today.isoformat(),
            "notes": [*self.profile.notes, *filter(None, [self.note])],
        }


def recorded_asking(
    manifest: Mapping[str, Any], model: str = "", models: Iterable[str] = ("",)
) -> Mapping[str, Any] | None:
    """What was in force when a run began, according to its file; None for a run that begins now.

    Runs from before models had profiles follow no recommendation.
    """
    plain = {"sampling": asdict(SamplingParams()), "sampling_from": {}}
    return asking_in(manifest, entry_of("asking", model, models)) or (plain if "backend" in manifest else None)


def _date(recorded: Mapping[str, Any] | None) -> date:
    """The day on which the run began: templates that print a date print that one."""
    known = (recorded or {}).get("date")
    return date.today() if known is None else date.fromisoformat(str(known))


def _note(backend: Backend) -> str:
    note = getattr(backend, "note", "")
    return note if isinstance(note, str) else ""


def _check_template(backend: Backend, profile: ModelProfile) -> None:
    """Raises ``UsageError`` for a chat model that would be asked without its chat template."""
    if getattr(backend, "untemplated", False) and profile.name != GENERIC_FAMILY.name:
        raise UsageError(
            f"{backend.name} takes text only, but {profile.name} ({profile.why}) needs its chat template, which "
            "was not found: name a folder that holds it (--backend-arg tokenizer=FOLDER), or have the texts sent "
            "without one (--backend-arg dialect=text)"
        )


def _check_arguments(given: Mapping[str, Any], facts: ModelFacts) -> None:
    if facts.template is None:
        return
    for name in given:
        if name != SYSTEM and name not in facts.arguments:
            known = ", ".join(sorted({SYSTEM, *facts.arguments}))
            close = nearest(name, facts.arguments) or ";"
            raise UsageError(f"the model's chat template has no argument {name!r}{close} it has: {known}")
