"""How a family of reward models reads a problem and its solution, and where its scores are found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from widthwise.core.arrays import DoubleArray, FloatArray, IntArray
from widthwise.core.backend import Tokenizer
from widthwise.core.brief import Brief
from widthwise.core.conversation import Conversation
from widthwise.core.errors import UsageError
from widthwise.core.literal import literal
from widthwise.core.problem import Problem
from widthwise.core.prompting.template import filled
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.rewards.reward import RewardKind

ScoreForm = Literal["labels", "classes", "value", "expectation", "stated"]
BY_TOKENS: tuple[ScoreForm, ...] = ("labels", "expectation")
"""Scores that are read from a language model's next token."""
WITHOUT_HEAD: tuple[ScoreForm, ...] = (*BY_TOKENS, "stated")
"""Scores that any language model can give; the others need a head of their own."""

_NUMBERED = re.compile(r"^step \d+[:.]\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LaidOutSolution:
    """A solution as token ids ``int64 [length]``, and the position of each step's score in it.

    ``conversation`` is the question that the ids spell, if a reply is wanted.
    """

    ids: IntArray
    positions: tuple[int, ...]
    conversation: Conversation | None = None


@dataclass(frozen=True, slots=True)
class RewardFormat(Brief):
    """All model-specific text of a family of reward models.

    ``opening`` comes before the first step: with ``chat``, it is the user's turn of a conversation (after ``system``);
    without, plain text. Every step follows in the form ``step`` (places ``{n}``, ``{step}``; a line break at its
    beginning becomes a space before the first), then the token ``tag``, where its score is read. With ``turns``, each
    step is a user's turn instead, and the score is read where the assistant's turn begins. An outcome format has its
    one score at the end, after ``ending``. If ``opening`` has the place ``{solution}``, it is a question about the
    whole solution, and the score is what the model would reply. With ``lines``, every line is a step, including blank
    ones, and stays as it is. ``bos``: plain text begins with the begin-of-sequence token.

    ``reads`` says what a score is: "labels", the probability of the first of the two tokens ``labels`` against the
    second; "classes", the softmax probability of the class ``good_class``; "value", the sigmoid of the only output;
    "expectation", the mean of the numbers spelled by the ``labels``, weighted by their probabilities, relative to the
    smallest and largest of them; "stated", the number that the model writes after reasoning, relative to the first and
    the last of the ``labels``.

    Which models a format is for: ``architectures`` are those of their ``config.json``; ``models`` is a regular
    expression to find in the last component of their names, ignoring case; ``template`` occurs in their chat template,
    if one is known. ``thinking`` is how the model thinks; a judge that does not write is kept from thinking.
    """

    name: str
    kind: RewardKind = "process"
    chat: bool = True
    system: str | None = None
    opening: str = "{problem}"
    step: str = "{step}"
    tag: str = ""
    turns: bool = False
    ending: str = ""
    reads: ScoreForm = "labels"
    labels: tuple[str, ...] = ("+", "-")
    good_class: int = 1
    lines: bool = False
    bos: bool = False
    architectures: tuple[str, ...] = ()
    models: str = ""
    template: str = ""
    thinking: Thinking | None = None

    def laid_out(self, tokenizer: Tokenizer, problem: Problem, steps: Sequence[str]) -> LaidOutSolution:
        """The solution in the layout that the model expects.

        The tokens of a solution's first steps do not depend on later steps, so prefixes are shared.
        """
        # What a model wrote, and a problem from a file, is data: it must not forge a control token.
        asked = replace(problem, text=literal(problem.told, tokenizer.controls))
        clean = [literal(self._clean(step), tokenizer.controls) for step in steps]
        if self.kind == "outcome":
            clean = ["\n\n".join(clean)]
        ids, positions = self._layout(tokenizer, asked, clean)
        question = Conversation(tuple(self._question(asked, clean[0]))) if self._asks else None
        return LaidOutSolution(np.array(ids, np.int64), tuple(positions), question)

    def label_ids(self, tokenizer: Tokenizer) -> tuple[int, ...]:
        """The ids of the two labels, empty for a family without. Raises ``UsageError`` if the vocabulary lacks them."""
        if self.reads not in BY_TOKENS:
            return ()
        return tuple(self._single(tokenizer, label) for label in self.labels)

    def check(self, tokenizer: Tokenizer) -> None:
        """Raise ``UsageError`` if the vocabulary lacks the family's tag or labels."""
        self.label_ids(tokenizer)
        for text in filter(None, (self.tag, self.ending.strip())):
            self._single(tokenizer, text)

    @property
    def scale(self) -> tuple[float, float]:
        """The smallest and the largest number that a judge may answer with."""
        return float(self.labels[0]), float(self.labels[-1])

    def scores(self, values: FloatArray) -> list[float]:
        """The scores from the values read at each position, ``[positions, labels or classes]``."""
        rows = values.astype(np.float64)
        if self.reads == "labels":
            return [float(p) for p in _sigmoid(rows[:, 0] - rows[:, 1])]
        if self.reads == "value":
            return [float(p) for p in _sigmoid(rows[:, 0])]
        if self.reads == "expectation":
            return self._expected(rows)
        if self.reads == "stated":
            least, most = self.scale
            return [float(p) for p in (rows[:, 0] - least) / (most - least)]
        if rows.shape[1] <= self.good_class:
            raise UsageError(f"the reward model has {rows.shape[1]} classes, but {self.name} reads a class beyond them")
        weights = np.exp(rows - rows.max(axis=1, keepdims=True))
        return [float(p) for p in weights[:, self.good_class] / weights.sum(axis=1)]

    def _expected(self, logprobs: DoubleArray) -> list[float]:
        numbers = np.array([float(label) for label in self.labels])
        weights = np.exp(logprobs - logprobs.max(axis=1, keepdims=True))
        mean = weights @ numbers / weights.sum(axis=1)
        return [float(p) for p in (mean - numbers.min()) / (numbers.max() - numbers.min())]

    def _layout(self, tokenizer: Tokenizer, problem: Problem, steps: Sequence[str]) -> tuple[list[int], list[int]]:
        if self._asks:
            return self._asked_about(tokenizer, problem, steps[0])
        return self._as_turns(tokenizer, problem, steps) if self.turns else self._in_line(tokenizer, problem, steps)

    def _asked_about(self, tokenizer: Tokenizer, problem: Problem, solution: str) -> tuple[list[int], list[int]]:
        """A question about the solution, up to where the reply begins; without a written reply there is no thinking."""
        ids = tokenizer.chat(self._question(problem, solution))
        if self.thinking is not None and self.reads in BY_TOKENS:
            thinks_already = self.thinking.begun(tokenizer.decode(ids))
            ids += tokenizer.encode(self.thinking.close if thinks_already else self.thinking.empty)
        return ids, [len(ids) - 1]

    @property
    def _asks(self) -> bool:
        """Whether the layout is a question about the whole solution."""
        return "{solution}" in self.opening

    def _question(self, problem: Problem, solution: str) -> list[dict[str, str]]:
        asked = filled(self.opening, problem=problem.text, solution=solution)
        return [*self._system(), {"role": "user", "content": asked}]

    def _clean(self, step: str) -> str:
        """A step without text that has a meaning to the family: its tag, and a number that would then occur twice."""
        plain = step.replace(self.tag, " ").strip() if self.tag and not self.lines else step
        return _NUMBERED.sub("", plain) if "{n}" in self.step else plain

    def _in_line(self, tokenizer: Tokenizer, problem: Problem, steps: Sequence[str]) -> tuple[list[int], list[int]]:
        ids = self._begin(tokenizer, problem)
        positions = []
        for n, step in enumerate(steps, 1):
            text = filled(self.step, n=str(n), step=step)
            if n == 1 and text.startswith("\n"):
                text = " " + text[1:]
            # Line by line, because a tag is a token of its own: a line break would merge with the full stop before it.
            for line in text.split(self.tag) if self.lines else [text]:
                ids += [*tokenizer.encode(line), *tokenizer.encode(self.tag or self.ending)]
            positions.append(len(ids) - 1)
        return ids, positions

    def _begin(self, tokenizer: Tokenizer, problem: Problem) -> list[int]:
        asked = filled(self.opening, problem=problem.text)
        if not self.chat:
            bos = [tokenizer.bos_id] if self.bos and tokenizer.bos_id is not None else []
            return bos + tokenizer.encode(asked)
        return tokenizer.chat([*self._system(), {"role": "user", "content": asked}])

    def _as_turns(self, tokenizer: Tokenizer, problem: Problem, steps: Sequence[str]) -> tuple[list[int], list[int]]:
        """A conversation in which every step so far was judged good."""
        asked = filled(self.opening, problem=problem.text)
        messages, ids, positions = self._system(), [], []
        for n, step in enumerate(steps):
            messages.append({"role": "user", "content": asked + step if n == 0 else step})
            ids = tokenizer.chat(messages)
            positions.append(len(ids) - 1)
            messages.append({"role": "assistant", "content": self.labels[0]})
        return ids, positions

    def _system(self) -> list[dict[str, str]]:
        return [{"role": "system", "content": self.system}] if self.system else []

    def _single(self, tokenizer: Tokenizer, text: str) -> int:
        ids = tokenizer.encode(text)
        if len(ids) != 1:
            raise UsageError(
                f"the reward format {self.name!r} needs the token {text!r}, which this model's vocabulary does not "
                "have; name another format, or use the model that this format belongs to"
            )
        return ids[0]


def _sigmoid(x: DoubleArray) -> DoubleArray:
    out: DoubleArray = np.exp(-np.logaddexp(0.0, -x))
    return out
