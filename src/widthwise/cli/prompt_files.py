"""The prompts that a strategy sends: shown, and replaced by a user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.errors import UsageError
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.session import Session
from widthwise.core.trace.trace import Trace
from widthwise.engines import open_engines

if TYPE_CHECKING:
    from widthwise.evaluation import Evaluation

PROBLEMS = 4
"""Problems that are worked on to see what a strategy asks."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One kind of prompt: its ``name``, its ``template`` as it is written, and the first one sent.

    A prompt that is a strategy's own, and not of the format, has neither name nor template. ``forms`` are the forms of
    items that the template lists, by name.
    """

    name: str | None
    template: str | None
    example: str
    forms: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, trace: Trace, format: PromptFormat) -> Sent:
        name = trace.segment.metadata.get("question")
        if name is None:
            return cls(None, None, trace.segment.text)
        template = format.prompt(name)
        forms = [(each, text) for each, text in format.prompts.items() if _lists(template, each)]
        return cls(name, template, trace.segment.text, tuple(forms))


async def sent(evaluation: Evaluation) -> list[Sent]:
    """Every kind of prompt that the strategy sends on the suite's first problems, in order of its first use.

    Works on them with the model, for what a strategy asks may depend on what it is told; nothing is stored.
    """
    engines = await open_engines(evaluation.settings)
    try:
        setting = evaluation.setting(engines)
        found: dict[str, Sent] = {}
        for problem in evaluation.suite.problems[:PROBLEMS]:
            session = evaluation.strategy.open(problem, setting)
            await evaluation.strategy.run(session)
            for prompt in used(session):
                one = Sent.of(prompt, setting.format)
                found.setdefault(one.name or one.example, one)
        return list(found.values())
    finally:
        await engines.close()


def used(session: Session) -> list[Trace]:
    """The prompts of a session from which something was sampled, in order."""
    asked = {t.beginning for t in session.traces.values() if t.segment.origin == "sampled"}
    return sorted(asked, key=lambda prompt: prompt.id)


def own_prompts(options: Sequence[str]) -> dict[str, str]:
    """Prompts by name from ``NAME=FILE``; raises ``UsageError`` for anything else and for a file that is not there."""
    prompts = {}
    for option in options:
        name, equals, file = option.partition("=")
        if not (name and equals and file):
            raise UsageError(f"--prompt {option!r} is not NAME=FILE; --show-prompts shows the names")
        try:
            prompts[name] = Path(file).read_text(encoding="utf-8").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the prompt {name!r} cannot be read from {file}: {error}") from None
    return prompts


def _lists(template: str, form: str) -> bool:
    """Whether a place of ``template`` takes a list of items in ``form``: ``{drafts}`` those of ``each_draft``."""
    return form.startswith("each_") and f"{{{form.removeprefix('each_')}s}}" in template
