"""The scorer: a strategy's answer, graded as widthwise grades."""

from __future__ import annotations

from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState

from widthwise.core.problem import Problem
from widthwise.evals.store.importer import reference_answer
from widthwise.given_grader import grader_named


@scorer(metrics=[accuracy(), stderr()])
def graded(grader: str = "math") -> Scorer:
    """Whether the answer means the same as one of the targets, or how close it is.

    Args:
        grader: The grader that decides (``widthwise graders``).

    The answer is that of the solver ``widthwise``; after any other solver it is read from the completion.
    """
    judge = grader_named(grader)

    async def score(state: TaskState, target: Target) -> Score:
        report = state.metadata.get("widthwise")
        completion = state.output.completion
        answer = report["answer"] if isinstance(report, dict) else judge.extract(completion)
        if answer is None:
            return Score(value=NOANSWER, explanation=completion)
        problems = [Problem(str(state.sample_id), state.input_text, reference_answer(t)) for t in target]
        grades = [await judge.for_problem(p).correct(p, answer) for p in problems if p.answer is not None]
        return Score(value=_value(max(map(float, grades), default=0.0)), answer=answer, explanation=completion)

    return score


def _value(grade: float) -> str | float:
    return {0.0: INCORRECT, 1.0: CORRECT}.get(grade, grade)
