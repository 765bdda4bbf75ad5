"""The types that public signatures mention, for whoever annotates: each is also importable from ``widthwise``.

They are imported when one is named, because some of their modules need numerical libraries.
"""

from __future__ import annotations

from widthwise.asking import Asked, Asking
from widthwise.core.chat_options import ChatOptions
from widthwise.core.conversation import Conversation
from widthwise.core.model_shape import ModelShape
from widthwise.core.problem import Partition
from widthwise.core.prompting.grammar import Outline, Returned, ThreadGrammar, ThreadLimits
from widthwise.core.prompting.profile import ModelProfile
from widthwise.core.prompting.saying import Saying
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.pruner import PrunerOf
from widthwise.core.rewards.reward_format import Laid
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.ledger import Spending
from widthwise.core.session.limits import Limits
from widthwise.core.session.prices import Price
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.setting import Setting
from widthwise.core.session.terms import Terms
from widthwise.core.session.thought_budget import ThoughtBudget
from widthwise.core.strategy.tree import Content
from widthwise.core.trace.excerpt import Excerpt
from widthwise.core.trace.trace import Note, Wait
from widthwise.evals.allocation.rounds import Round
from widthwise.evals.allocation.suite_budget import Grant, SuiteBudget
from widthwise.evals.measure.comparison import Comparison
from widthwise.evals.measure.curves import Curve, Line, Method
from widthwise.evals.measure.gain import Share, Split
from widthwise.evals.measure.intervals import Difference
from widthwise.evals.measure.model_choice import Fitted, Measured
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.measure.standings import Standing
from widthwise.evals.measure.subsets import Estimate
from widthwise.evals.measure.summary import Summary, Tokens
from widthwise.evals.measure.sweep import Cell, Plan, Task
from widthwise.evals.measure.trials import Reliability
from widthwise.evals.store.copies import Copies
from widthwise.evals.store.outcome import Leaf
from widthwise.evaluation import Listener
from widthwise.pruning.stopping_rule import Votes
from widthwise.settings import Options

__all__ = [
    "Asked",
    "Asking",
    "Cell",
    "ChatOptions",
    "Comparison",
    "Conditions",
    "Content",
    "Conversation",
    "Copies",
    "Curve",
    "Difference",
    "Estimate",
    "Excerpt",
    "Fitted",
    "Grant",
    "Laid",
    "Leaf",
    "Limits",
    "Line",
    "Listener",
    "Measured",
    "Method",
    "ModelProfile",
    "ModelShape",
    "Note",
    "Options",
    "Outline",
    "Partition",
    "Plan",
    "Price",
    "PrunerOf",
    "Reliability",
    "Returned",
    "Round",
    "SamplePool",
    "Saying",
    "Scheduler",
    "Setting",
    "Share",
    "Spending",
    "Split",
    "Standing",
    "SuiteBudget",
    "Summary",
    "Task",
    "Terms",
    "Thinking",
    "ThoughtBudget",
    "ThreadGrammar",
    "ThreadLimits",
    "Tokens",
    "Votes",
    "Wait",
]
