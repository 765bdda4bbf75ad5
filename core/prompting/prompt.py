"""How a model family is asked: for a solution, and for everything else that strategies need from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from widthwise.core.brief import Brief
from widthwise.core.conversation import Messages
from widthwise.core.errors import UsageError
from widthwise.core.problem import Problem
from widthwise.core.prompting.grammar import ThreadGrammar
from widthwise.core.prompting.template import filled, places
from widthwise.core.registry import entries, nearest
from widthwise.core.roles import ROLES

TREE_OF_THOUGHTS: Mapping[str, float] = MappingProxyType({"sure": 20.0, "likely": 1.0, "impossible": 0.001})
"""What a beginning is worth about which a model says one of these words (Yao et al., arXiv 2305.10601)."""


@dataclass(frozen=True, slots=True)
class PromptFormat(Brief):
    """All model-specific text of a family in one place.

    ``template`` wraps the problem's text (``{problem}``) and the suite's instruction (``{instruction}``), or values
    from the problem's metadata, such as the ``{numbers}`` and the ``{target}`` of countdown. ``step_separator`` ends a
    step. ``prompts`` are the other questions that strategies ask (judging, refining, outlining ...), by name. Each is
    the user's turn, with places such as ``{problem}`` and ``{draft}``; ``{task}`` is the problem, or the question about
    it that a strategy's worker was given (see ``Session.at``). Names that begin with "each_" are not questions but the
    form of one item in a list (see ``listed``). ``verdicts`` are the words for right and wrong that the family uses in
    replies to such questions; ``values`` are the words with which it says whether the beginning of a solution can still
    lead to the right answer, and what each is worth; ``grades`` are those with which it grades a whole answer, if it
    does not state a number. A reader sees a solution from the last ``shown_after`` on, or all
    of it if nothing follows. ``answer_now`` is appended to an unfinished solution to have the model state its final
    answer at once. ``threads`` names the grammar, one of ``grammars``, in which it spawns threads. A judge of partial
    solutions sees the last ``recent_steps`` whole steps of each and what follows them; None: all of it.
    """

    name: str
    system: str | None = None
    template: str = "{problem}\n\n{instruction}"
    step_separator: str = "\n\n"
    prompts: Mapping[str, str] = field(default_factory=dict)
    verdicts: tuple[str, str] = ("yes", "no")
    values: Mapping[str, float] = field(default_factory=lambda: dict(TREE_OF_THOUGHTS))
    grades: Mapping[str, float] = field(default_factory=dict)
    shown_after: str = ""
    answer_now: str = "\n\nThe final answer is \\boxed{"
    grammars: Mapping[str, ThreadGrammar] = field(default_factory=dict)
    threads: str = ""
    recent_steps: int | None = None

    def messages(self, problem: Problem, instruction: str = "") -> Messages:
        """The conversation that asks for a solution of ``problem``."""
        return self._conversation(problem, filled(self.template, **_known(problem, instruction)))

    def question(self, name: str, problem: Problem, instruction: str, fields: Mapping[str, str]) -> Messages:
        """The conversation that asks the question ``name``.

        Raises ``UsageError`` if the family has no such question, or if nothing fills one of its places.
        """
        known = {**_known(problem, instruction), **fields}
        return self._conversation(problem, filled(self._prompt(name), **known))

    def listed(self, name: str, texts: Sequence[str]) -> str:
        """Several texts for one place of a question, each in the form ``each_<name>`` (``{n}`` counts from 1)."""
        form = self._prompt(f"each_{name}")
        return "".join(filled(form, n=str(n), text=text.strip()) for n, text in enumerate(texts, 1))

    def recent(self, text: str) -> str:
        """The part of a partial solution that a judge sees."""
        if self.recent_steps is None:
            return text
        return self.step_separator.join(text.split(self.step_separator)[-self.recent_steps - 1 :])

    def grammar(self, name: str | None = None) -> ThreadGrammar:
        """How the family writes threads, or how the family ``name`` does; ``UsageError`` if no grammar is known."""
        chosen = name or self.threads
        if chosen not in self.grammars:
            known = ", ".join(sorted(self.grammars)) or "none"
            said = f"no grammar {chosen!r}" if chosen else "no grammar of its own; name one"
            raise UsageError(f"the prompt format {self.name!r} has {said} for threads; it has: {known}")
        return self.grammars[chosen]

    def prompt(self, name: str) -> str:
        """The prompt ``name`` as written, with its places unfilled; "solve" is the template."""
        return self.template if name == "solve" else self._prompt(name)

    def changed(self, prompts: Mapping[str, str]) -> PromptFormat:
        """This format with some prompts of the user's own; the name "solve" stands for ``template``.

        They replace the family's, or add questions that built-in formats have and this one lacks. Raises ``UsageError``
        for an unknown name, and for a place that the prompt, of the family or built in, does not have: nothing would
        fill it.
        """
        for name, text in prompts.items():
            known = {"problem", "instruction", *places(self._usual(name))}
            if unknown := [place for place in places(text) if place not in known]:
                raise UsageError(
                    f"the prompt {name!r} has the place {{{unknown[0]}}}, which nothing fills; it may have: "
                    + ", ".join(f"{{{place}}}" for place in sorted(known))
                )
        template = prompts.get("solve", self.template)
        others = {name: text for name, text in prompts.items() if name != "solve"}
        return replace(self, template=template, prompts={**self.prompts, **others})

    def _conversation(self, problem: Problem, text: str) -> Messages:
        earlier = [*map(dict, problem.earlier)]
        own = any(turn["role"] == "system" for turn in problem.earlier)  # it goes before the run's
        system = [{"role": "system", "content": self.system}] if self.system and not own else []
        return [*system, *earlier, {"role": "user", "content": text.strip()}]

    def _usual(self, name: str) -> str:
        """The prompt that one of the user's own stands for: this format's, or else that of a built-in format."""
        if name == "solve" or name in self.prompts:
            return self.prompt(name)
        built_in = _built_in()
        if (having := _having(name, built_in)) is None:
            raise self._unknown(name, {each for format in built_in.values() for each in format.prompts})
        return built_in[having].prompts[name]

    def _unknown(self, name: str, known: Set[str]) -> UsageError:
        own = {"solve", *self.prompts}
        more = f"; it can be given: {', '.join(sorted(known - own))}" if known - own else ""
        meant = nearest(name, sorted(own | known)) or ";"
        has = ", ".join(sorted(own))
        return UsageError(f"the prompt format {self.name!r} has no prompt {name!r}{meant} it has: {has}{more}")

    def _prompt(self, name: str) -> str:
        if name not in self.prompts:
            known = ", ".join(sorted(self.prompts)) or "none"
            raise UsageError(f"the prompt format {self.name!r} has no prompt {name!r}; it has: {known}{_way_out(name)}")
        return self.prompts[name]


def _built_in() -> dict[str, PromptFormat]:
    """The built-in formats by name."""
    parts = {each.name: each.load() for each in entries(ROLES["prompt_format"]) if each.built_in}
    return {name: getattr(part, "format", part) for name, part in parts.items()}


def _having(name: str, formats: Mapping[str, PromptFormat]) -> str | None:
    """Which of the formats is taken for a prompt that several may have; None if no one has it."""
    having = [each for each, format in formats.items() if name in format.prompts]
    return "generic" if "generic" in having else next(iter(having), None)


def _way_out(name: str) -> str:
    """How the model can be asked all the same: in a built-in format that has the prompt, or in the user's words."""
    chosen = _having(name, _built_in())
    return f". The format {chosen!r} has it: --format {chosen}; or write it: --prompt {name}=FILE" if chosen else ""


def _known(problem: Problem, instruction: str) -> dict[str, str]:
    """The values that every prompt may use: the problem, the instruction, numbers and words of the metadata."""
    said = {name: _spelled(value) for name, value in problem.metadata.items()}
    facts = {name: text for name, text in said.items() if text is not None}
    return {**facts, "problem": problem.text, "task": problem.text, "instruction": instruction}


def _spelled(value: object) -> str | None:
    if isinstance(value, int | float | str):
        return str(value)
    if isinstance(value, Sequence) and all(isinstance(item, int | float) for item in value):
        return ", ".join(map(str, value))
    return None
