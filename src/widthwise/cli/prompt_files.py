"""The prompts that a strategy sends: shown, and replaced by a user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise.core.errors import UsageError
from widthwise.core.file_bytes import file_bytes
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.prompting.template import places
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.core.strategy.checking import inside
from widthwise.core.trace.trace import Trace
from widthwise.rehearsal import shown_to_reward_model, stand_ins

if TYPE_CHECKING:
    from widthwise.evaluation import Evaluation

PROBLEMS = 4
"""How many problems to go through to see what a strategy asks."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One kind of text that is sent: its ``name``, its ``template`` as written, and an ``example``.

    The example is exact, with control tokens spelled out. For a prompt it is everything before the reply; for an
    insertion into a trace, only the insertion. A prompt that belongs to a strategy, not to the format, has neither name
    nor template. ``forms`` are the forms of items that the template lists, by name. In questions that the strategy did
    not reach, places are still unfilled (``{draft}``).
    """

    name: str | None
    template: str | None
    example: str
    forms: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, trace: Trace, format: PromptFormat) -> Sent:
        """What preceded something that was sampled after ``trace``."""
        if trace.tokens:
            return cls(_inserted(trace), None, trace.segment.text)
        name = trace.beginning.segment.metadata.get("question")
        example = trace.beginning.segment.text + trace.completion
        return cls(None, None, example) if name is None else cls.asking(name, example, format)

    @classmethod
    def asking(cls, name: str, example: str, format: PromptFormat) -> Sent:
        """A question of the format."""
        template = format.prompt(name)
        forms = [(each, text) for each, text in format.prompts.items() if _lists(template, each)]
        return cls(name, template, example, tuple(forms))


async def sent(evaluation: Evaluation) -> list[Sent]:
    """Every kind of text that the strategy would send on the suite's first problems, in order of first use.

    A stand-in for the model answers, so nothing is sampled and only the model's tokenizer is needed.
    """
    engines = await stand_ins(evaluation.settings)
    try:
        setting = evaluation.setting(engines)
        found: dict[str, Sent] = {}
        for problem in evaluation.suite.problems[:PROBLEMS]:
            session = evaluation.strategy.open(problem, setting)
            await evaluation.strategy.run(session)
            for trace in used(session):
                one = Sent.of(trace, setting.format)
                found.setdefault(one.name or one.example, one)
        for one in _open(evaluation, setting):
            found.setdefault(str(one.name), one)
        return [*found.values(), *await _scored(evaluation)]
    finally:
        await engines.close()


async def _scored(evaluation: Evaluation) -> list[Sent]:
    """What the reward model would see of a solution."""
    shown = await shown_to_reward_model(evaluation.settings, evaluation.suite.problems[0])
    return [] if shown is None else [Sent(f"reward model ({shown[0]})", None, shown[1])]


def used(session: Session) -> list[Trace]:
    """Prompts with what was appended to them, and other insertions, after which something was sampled; in order."""
    parents = {t.parent for t in session.traces.values() if t.segment.origin == "sampled" and t.parent is not None}
    written = [t for t in parents if t.segment.origin != "sampled"]
    return sorted(written, key=lambda trace: (trace.tokens > 0, trace.id))


def _open(evaluation: Evaluation, setting: Setting) -> list[Sent]:
    """The questions that the strategy's parts declare, with their places unfilled."""
    asked = dict.fromkeys(name for part in inside(evaluation.strategy) for name in getattr(part, "questions", ()))
    problem, found = evaluation.suite.problems[0], []
    for name in asked:
        fields = {place: f"{{{place}}}" for place in places(setting.format.prompt(name))}
        known = {"problem": problem.text, "task": problem.text, "instruction": setting.instruction}
        messages = setting.format.question(name, problem, setting.instruction, {**fields, **known})
        example = setting.tokenizer.decode(setting.tokenizer.chat(messages, setting.chat))
        found.append(Sent.asking(name, example, setting.format))
    return found


def _inserted(trace: Trace) -> str:
    """A name for what was put into a trace that had already sampled."""
    return "inserted for a thread" if "thread" in trace.segment.metadata else "inserted"


def own_prompts(options: Sequence[str]) -> dict[str, str]:
    """Prompts by name from ``NAME=FILE``; raises ``UsageError`` for anything else and for a missing file."""
    prompts = {}
    for option in options:
        name, equals, file = option.partition("=")
        if not (name and equals and file):
            raise UsageError(f"--prompt {option!r} is not NAME=FILE; --show-prompts shows the names")
        try:
            prompts[name] = file_bytes(Path(file)).decode().removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the prompt {name!r} cannot be read from {file}: {error}") from None
    return prompts


def _lists(template: str, form: str) -> bool:
    """Whether a place of ``template`` takes a list of items in ``form``: ``{drafts}`` those of ``each_draft``."""
    return form.startswith("each_") and f"{{{form.removeprefix('each_')}s}}" in template
