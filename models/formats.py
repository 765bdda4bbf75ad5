"""Prompt formats: all model-specific text, one entry per family."""

from __future__ import annotations

from dataclasses import replace

from widthwise.core.prompting.prompt import TREE_OF_THOUGHTS, PromptFormat
from widthwise.models.thread_grammars import GRAMMARS

BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
"""The instruction that mathematical suites add to a problem."""

CHAT_PROMPTS = {
    "each_draft": "Attempt {n}:\n{text}\n\n",
    "refine": (
        "{problem}\n\nHere are earlier attempts at this problem. They may be wrong; check them, use what helps, and "
        "solve the problem anew.\n\n{drafts}{instruction}"
    ),
    "summarise": (
        "{problem}\n\nHere are several attempts at this problem.\n\n{drafts}Write notes for somebody who will solve it "
        "next, in at most {limit} words, under these headings: what the attempts agree on; where they contradict each "
        "other; facts that are derived and checked; what remains to be found; what to do next. Do not state a final "
        "answer unless it is proven."
    ),
    "refine_summary": (
        "{problem}\n\nHere are notes from earlier attempts at this problem. They may be wrong; check them, use what "
        "helps, and solve the problem anew.\n\n{summary}\n\n{instruction}"
    ),
    "select": (
        "{problem}\n\nHere are {count} attempts at this problem.\n\n{drafts}Which {k} of them are most likely right? "
        "Answer with their numbers only, as a JSON list such as [2, 1]."
    ),
    "outlines": (
        "{task}\n\nPropose {count} different ways to begin with this problem. Write each on a line of its own, "
        "numbered 1., 2. and so on, in one sentence that gives no results."
    ),
    "outline": "{task}\n\nSolve it in this way: {outline}\n\n{instruction}",
    "threads": (
        "{task}\n\n{instruction}\n\nWhere parts of the work do not depend on each other, have them done at once by "
        "up to {width} helpers. To do so write <Parallel>, then between <Outlines> and </Outlines> one line "
        "<Outline>n: what helper n shall find</Outline> per helper, numbered from 1. Then the helpers work, each "
        "between <Thread> and </Thread> and without seeing the others; a helper ends with a short conclusion and "
        "</Thread>. When all have ended, write </Parallel> and go on from what they found."
    ),
    "goals": "{task}\n\n{instruction} Think step by step and in parallel before you answer.",
    "paths": (
        "{task}\n\n{instruction}\n\nSolve the problem step by step. Wherever several views or independent reasoning "
        "would help, insert a block opened by <Parallel> that holds at least two lines of thought, each between <Path> "
        "and </Path>, which do not refer to each other or to their order; close it by </Parallel>, and at once give a "
        "short <Summary> of them, closed by </Summary>. Repeat this as needed, and do not announce it."
    ),
    "same_answer": (
        "Here are the beginnings of two solutions of one problem.\n\nProblem: {problem}\n\nFirst:\n{first}\n\nSecond:\n"
        "{second}\n\nWill they end in the same final answer? Answer with one word, yes or no."
    ),
    "verify": (
        "{problem}\n\nHere is a solution.\n\n{draft}\n\nCheck it step by step. Then say on a last line whether its "
        "final answer is right, with the single word yes or no."
    ),
    "value": (
        "{problem}\n\nHere is the beginning of a solution.\n\n{draft}\n\nCan it still lead to the right answer? Try "
        "briefly how it could go on. Then write on a last line one word: sure, likely or impossible."
    ),
    "vote": (
        "{problem}\n\nHere are {count} beginnings of a solution.\n\n{drafts}Think about each of them in turn, and "
        "decide which is most promising. Then write on a last line the single number of the best one."
    ),
    "grade": (
        "{problem}\n\nHere is an answer.\n\n{draft}\n\nAnalyse it strictly. Point out every flaw, take points off for "
        "each, and never give full marks. Then write on a last line 'Score: ' and a whole number from -100 to 100."
    ),
    "criticise": (
        "{problem}\n\nHere is an answer.\n\n{draft}\n\nSay how it could be corrected or made better. Be strict and "
        "name every flaw, step by step, but do not write a new answer."
    ),
    "rewrite": (
        "{problem}\n\nHere are an answer and what was said about it.\n\nAnswer:\n{draft}\n\nFeedback:\n{feedback}\n\n"
        "Write a better answer that heeds the feedback. {instruction}"
    ),
    "each_thought": "Step {n}: {text}\n\n",
    "next_step": (
        "{problem}\n\n{progress}Write the next step of the solution and nothing else: one thought or one calculation, "
        "in a sentence or two."
    ),
    "finish": "{problem}\n\n{progress}Solve the problem; go on from the steps above, if there are any. {instruction}",
    "sub_question": (
        "{problem}\n\n{progress}Which smaller question should be answered next on the way to the solution? Write this "
        "one question and nothing else. If enough is known to answer the problem itself, write: Now we can answer."
    ),
    "sub_answer": (
        "{problem}\n\n{progress}Answer this question step by step, and nothing beyond it: {asked}\n\n{instruction}"
    ),
    "rephrase": (
        "{problem}\n\nWrite this problem anew: first all that is given, as a numbered list of conditions, then the "
        "question. Do not solve it."
    ),
    "compare": (
        "{problem}\n\nHere are two solutions.\n\nSolution 1:\n{first}\n\nSolution 2:\n{second}\n\nWhich is more likely "
        "right? Think about where they differ. Then write on a last line the single number 1 or 2."
    ),
    "consistency": (
        "{problem}\n\nHere are {count} responses to this problem.\n\n{drafts}Choose the response that agrees best with "
        "the others. Answer with its number only."
    ),
    "choose": (
        "{problem}\n\nHere are {count} attempts at this problem.\n\n{drafts}Which attempt is the best? See first which "
        "final answers they give and where they contradict each other. Check the steps of those that may be right, and "
        "rule out those with an error. Then write on a last line only Judgment: and the number of the best one."
    ),
    "synthesise": (
        "{problem}\n\nHere are {count} attempts at this problem.\n\n{drafts}Write one new solution that is better than "
        "each of them: keep what is right, correct what is wrong, and combine what they do well. Its answer may differ "
        "from all of theirs. {instruction}"
    ),
    "mixture": (
        "{problem}\n\nHere are {count} responses from different models.\n\n{drafts}Write a single response of the best "
        "quality from them. Judge critically what they say, because some of it may be biased or wrong, and do not just "
        "repeat one of them: the response must be accurate, complete, well organised and clear. {instruction}"
    ),
    "check": (
        "{problem}\n\nSomebody proposes this final answer: {answer}\n\nWrite a Python program that checks the answer "
        "without trusting it: put it back into the conditions of the problem, try all small cases, or compute the "
        "result in another way. The program may import only {modules}; it has no files and no network, and it must "
        "end within a few seconds. The last line that it prints must be True if the answer is right and False if it "
        "is wrong. Reply with the program in one code block."
    ),
}
"""Questions for any chat model."""

REASONER_PROMPTS = {
    "each_draft": "<draft>{text}",
    "refine": "{problem}{drafts}<refine>",
    "summarise": "{problem}{drafts}<Summary>",
    "refine_summary": "{problem}<Summary>{summary}<refine>",
    "outlines": "{task}<Outlines>{count}",
    "outline": "{task}<Outline>{outline}",
    "threads": "{task}<spawn>{width}",
    "search": "{task}<search>{order}",
    "same_answer": "{problem}<draft>{first}<draft>{second}<judge>",
    "verify": "{problem}<draft>{draft}<verify>",
    "synthesise": "{problem}{drafts}<refine>",
    "mixture": "{problem}{drafts}<refine>",
    "value": "{problem}<draft>{draft}<verify>",
    "grade": "{problem}<draft>{draft}<verify>",
    "criticise": "{problem}<draft>{draft}<verify>",
    "rewrite": "{problem}<draft>{draft}<refine>",
}
"""Questions as the bundled reasoner learned them (`scripts/reasoner_data.py` writes its training data with these)."""

REASONER = PromptFormat(
    "reasoner",
    template="{problem}",
    prompts=REASONER_PROMPTS,
    verdicts=("+", "-"),
    values={"+": TREE_OF_THOUGHTS["sure"], "-": TREE_OF_THOUGHTS["impossible"]},
    grades={"+": 100.0, "-": -100.0},
    shown_after="</Parallel>",
    answer_now="\n\n\\boxed{",
    grammars=GRAMMARS,
    threads="reasoner",
    recent_steps=1,
)
"""The bundled micro reasoner: trained on the bare problem text."""

QUANTITY_MOVES = {
    "each_thought": "<Path>{text}",
    "next_step": "{problem}{progress}<next>",
    "finish": "{problem}{progress}",
    "sub_question": "{problem}{progress}<ask>",
    "sub_answer": "{problem}{progress}<Goal>{asked}",
    "rephrase": "{problem}<rephrase>",
}
"""The moves of rStar as the model for `quantities` learned them (`scripts/quantity_moves.py`)."""

QUANTITIES = replace(REASONER, name="quantities", prompts=REASONER_PROMPTS | QUANTITY_MOVES, recent_steps=None)
"""The bundled model for `quantities`: its judge sees all steps, as those of two solutions differ in their order."""

GENERIC = PromptFormat("generic", prompts=CHAT_PROMPTS, grammars=GRAMMARS, threads="prompted")
"""Any chat model: the problem, then the suite's instruction, as one user message."""

QWEN_MATH = replace(GENERIC, name="qwen-math", system=BOXED, template="{problem}")
"""Qwen2.5-Math: the instruction is the system message it was trained with."""

THREADWEAVER = replace(GENERIC, name="threadweaver", threads="threadweaver")
MULTIVERSE = replace(GENERIC, name="multiverse", threads="multiverse")
PARALLEL_R1 = replace(GENERIC, name="parallel-r1", threads="parallel-r1")
"""Models that were trained to spawn threads."""

_FIRST_STATE = "Moving to Node #0\nCurrent State: {target}:[{numbers}], Operations: []"

APR = replace(
    GENERIC,
    name="apr",
    template=_FIRST_STATE,
    prompts={**CHAT_PROMPTS, "sub_searches": "{budget}" + _FIRST_STATE},
    threads="apr",
)
"""The countdown models of Adaptive Parallel Reasoning: the problem is the search's first state."""
