"""What all views of a session share."""

from __future__ import annotations

import logging
from typing import Unpack

from widthwise.core.problem import Problem
from widthwise.core.session.accounts import Accounts
from widthwise.core.session.answers import Answers
from widthwise.core.session.clock import Clock
from widthwise.core.session.drawer import Drawer
from widthwise.core.session.limits import Limits
from widthwise.core.session.questions import SOLVE
from widthwise.core.session.scorer import Scorer
from widthwise.core.session.setting import Setting
from widthwise.core.session.terms import SessionTerms
from widthwise.core.session.trace_tree import TraceTree
from widthwise.core.session.voices import Voices
from widthwise.core.session.votes import Votes
from widthwise.core.trace.trace import Trace, TraceNote, name

_log = logging.getLogger(__name__)


class Shared:
    """One problem's trace tree and accounts, and the objects that work on them."""

    def __init__(self, problem: Problem, setting: Setting, limits: Limits, **terms: Unpack[SessionTerms]) -> None:
        journal, priority = terms.get("journal"), terms.get("priority", 0)
        self.problem = problem
        self.setting = setting
        self.notes: list[TraceNote] = []
        self.accounts = Accounts(limits, setting.shapes)
        self.clock = Clock()
        self.tree = TraceTree(self.accounts)
        self.votes = Votes()
        self.voices = Voices(problem, setting, self.tree, self.accounts)
        self.answers = Answers(problem, setting.grader.for_problem(problem), setting.saying, self.tree, self.votes)
        self.scorer = Scorer(problem, setting, self.accounts, self.voices, journal=journal, note=self.note)
        state = (self.accounts, self.tree, self.votes, self.clock, self.voices)
        self.drawer = Drawer(problem, setting, *state, journal=journal, priority=priority)

    @property
    def begun(self) -> Trace:
        """The problem's prompt for the run's first model, written anew."""
        first = self.voices.first
        return first.writer.prompt((), first.questions.solve(), facts={"question": SOLVE})

    def note(self, trace: Trace, text: str) -> None:
        """Log ``text`` about ``trace``, and keep it for the problem's result."""
        _log.info("problem %s, trace %s: %s", self.problem.id, name(trace.id), text)
        self.notes.append(TraceNote(trace.id, text))
