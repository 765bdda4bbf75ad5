"""How model families write threads."""

from __future__ import annotations

import re

from widthwise.core.prompting.grammar import Outline, ThreadGrammar, ThreadLimits, ThreadReturn

# Model output is hostile: every repetition in a pattern is bounded.
_NUMBERED = r"<Outline>\s{0,8}(?P<number>\d{1,4}(?:\.\d{1,4}){0,8})\s{0,8}:(?P<text>.{0,2000}?)</Outline>"


def _conclusion(text: str) -> ThreadReturn | None:
    """What a thread returns: its text from the last conclusion on, if that is complete; "none" is no finding."""
    start = text.rfind("<Conclusion>")
    said, closed, _ = text[start + len("<Conclusion>") :].partition("</Conclusion>")
    return ThreadReturn(start, found=said.strip() != "none") if start >= 0 and closed else None


REASONER = ThreadGrammar(
    "reasoner",
    opening="<Outlines>",
    spawn="</Outlines>",
    outline=_NUMBERED,
    before="\n",
    header="<Thread>\n{number}:",
    close="</Thread>",
    forced="\n</Thread>",
    failed="<Thread>\n{number}:<Conclusion>none</Conclusion>\n</Thread>",
    after="\n",
    returned=_conclusion,
    question="threads",
    proposal="<Parallel>\n<Outlines>\n",
)
"""The bundled reasoner: ThreadWeaver's tags, but only the conclusion of a thread returns."""

THREADWEAVER = ThreadGrammar(
    "threadweaver",
    opening="<Outlines>",
    spawn="</Outlines>",
    outline=_NUMBERED,
    before="\n",
    header="<Thread>\n{number}:",
    close="</Thread>",
    forced="\n</Thread>",
    after="\n",
    proposal="<Parallel>\n<Outlines>\n",
    limits=ThreadLimits(width=50, rounds=16),
)
"""ThreadWeaver (Lian et al., arXiv 2512.07843), as its released runtime writes it, in the mode without conclusions.

At most 50 outlines per block; its runtime changes state 32 times, which is 16 blocks. It ends a response in which a
thread ran to its limit; here that thread is closed and the trace goes on.
"""

MULTIVERSE = ThreadGrammar(
    "multiverse",
    opening="<Goal>",
    spawn="</Goal>",
    outline=_NUMBERED,
    header="\n<Path>\n{number}:",
    close="</Path>",
    forced="\n</Path>",
    after="<Conclusion>\n",
    question="goals",
    proposal="<Parallel>\n<Goal>\n",
    limits=ThreadLimits(width=20, rounds=16, depth=5),
)
"""Multiverse (Yang et al., arXiv 2506.09991) on an ordinary engine: the joined paths are read as plain text, at the
positions they have there, whereas its own engine splices their caches. Its engine warns of more than 20 paths and nests
five deep; it does not say how many blocks there may be.
"""

PARALLEL_R1 = ThreadGrammar(
    "parallel-r1",
    opening="<Parallel>",
    spawn="<Parallel>",
    header="<Path>",
    close="</Path>",
    forced="</Path>",
    after="</Parallel>\n<Summary>",
    question="paths",
    proposal="<Parallel>",
    limits=ThreadLimits(width=2, rounds=4, tokens=4096, temperature=1.0),
)
"""Parallel-R1 (Zheng et al., arXiv 2509.07980): paths that receive no text and differ by their seeds.

Two paths of at most 4,096 tokens, four blocks, as in the release, which samples the paths at temperature 1 whatever the
trace's temperature.
"""

PROMPTED = ThreadGrammar(
    "prompted",
    opening="<Outlines>",
    spawn="</Outlines>",
    outline=_NUMBERED,
    before="\n",
    header="<Thread>\n{number}: {text}\n",
    close="</Thread>",
    forced="\n</Thread>",
    after="\n",
    question="threads",
    proposal="<Parallel>\n<Outlines>\n",
)
"""Map, Process and Reduce for models that were not trained to spawn: a prompt explains the tags, and each thread's
task is repeated where it begins."""


_GOAL = "Goal Reached"
_STATE = re.compile(
    r"Moving to Node #(?P<id>[\d,]{1,200})\nCurrent State: (?P<target>\d{1,9}):\[(?P<numbers>[^\]\n]{0,200})\], "
    r"Operations: \[(?P<operations>[^\]\n]{0,500})\]"
)
_GENERATED = re.compile(
    r"Generated Node #(?P<id>[\d,]{1,200}): (?P<target>\d{1,9}):\[(?P<numbers>[^\]\n]{0,200})\] "
    r"Operation: (?P<operation>\S{1,100})"
)


def _path_to_goal(text: str) -> ThreadReturn | None:
    """A search that succeeded repeats its clean path after the first goal; that path returns."""
    last = text.rfind(_GOAL)
    start = text.rfind(_GOAL, 0, last) if last >= 0 else -1
    if start < 0:
        return None
    start += len(_GOAL)
    return ThreadReturn(start + (text[start : start + 1] == "\n"))


def _sub_search(text: str, outline: Outline) -> str | None:
    """The state of the node at which a sub-search begins, rebuilt from the calling trace."""
    states = {m["id"]: (m["target"], m["numbers"], m["operations"]) for m in _STATE.finditer(text)}
    for m in _GENERATED.finditer(text):
        before = states.get(m["id"].rpartition(",")[0], ("", "", ""))[2]
        done = ", ".join(filter(None, [before, f"'{m['operation']}'"]))
        states.setdefault(m["id"], (m["target"], m["numbers"], done))
    if outline.text not in states:
        return None
    target, numbers, operations = states[outline.text]
    return f"Moving to Node #{outline.text}\nCurrent State: {target}:[{numbers}], Operations: [{operations}]"


APR = ThreadGrammar(
    "apr",
    opening="<Calling Sub Searches>",
    spawn="<End Calling Sub Searches>",
    outline=r"<Start Sub Search (?P<number>\d{1,4}) at level \d{1,4}> Moving to Node #(?P<text>[\d,]{1,200})",
    before="<Sub Searches>\n",
    header="<Goal Reached in Sub Search {number} at level 1 at Node #{text}>\n",
    forced="\n",
    failed="<No Solution in Sub Search {number} at level 1 at Node #{text}>\n",
    after="<End Sub Searches>\n",
    returned=_path_to_goal,
    message=_sub_search,
    replaces=True,
    never="<Sub Searches>",
    question="sub_searches",
    budget="Sub Call Budget: {calls} ",
    limits=ThreadLimits(width=16, rounds=32),
)
"""Adaptive Parallel Reasoning (Pan et al., arXiv 2504.15466): spawn and join as calls; children see only their own
state, and the joined block replaces the call.

A budget of calls (0 to 10) is given only to the first prompt, as in the release. The release runs all children that are
called (a search keeps 15 at most) and resumes for ever; here it stops after 32 rounds. A child of a node that was never
generated is noted and left out; the release gives up the problem.
"""

GRAMMARS = {g.name: g for g in (REASONER, THREADWEAVER, MULTIVERSE, PARALLEL_R1, PROMPTED, APR)}
