"""How a problem is put to a model family."""

from __future__ import annotations

from dataclasses import dataclass

from widthwise.core.problem import Problem


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """All model-specific text of a family in one place.

    ``template`` wraps the problem's text (``{problem}``) and the suite's instruction (``{instruction}``).
    ``step_separator`` ends a step.
    """

    name: str
    system: str | None = None
    template: str = "{problem}\n\n{instruction}"
    step_separator: str = "\n\n"

    def messages(self, problem: Problem, instruction: str = "") -> list[dict[str, str]]:
        """The conversation that asks for a solution of ``problem``."""
        # Not str.format: a problem's own braces must stay as they are.
        text = self.template.replace("{instruction}", instruction).replace("{problem}", problem.text).strip()
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": text}]
