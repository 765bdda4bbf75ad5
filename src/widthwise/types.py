"""The types that public signatures mention, for whoever annotates: each is also importable from ``widthwise``.

They are imported when one is named, because some of their modules need numerical libraries: ``type_names`` lists them.
"""

from __future__ import annotations

from widthwise.aggregators.contest import Entry
from widthwise.aggregators.escalate import When
from widthwise.aggregators.gen_select import Decide
from widthwise.aggregators.mutual_consistency import Mode
from widthwise.asking import Asked, Asking
from widthwise.backends.function import Takes
from widthwise.core.answer import Tie
from widthwise.core.backend import FinishReason, FloatArray, IntArray
from widthwise.core.chat_options import ChatOptions
from widthwise.core.conversation import Conversation, Message, Messages
from widthwise.core.model_shape import ModelShape
from widthwise.core.problem import Grade, Partition
from widthwise.core.prompting.grammar import Outline, Returned, ThreadGrammar, ThreadLimits
from widthwise.core.prompting.profile import ModelProfile
from widthwise.core.prompting.saying import Counted, Saying
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.pruner import PrunerOf
from widthwise.core.retry import Retry
from widthwise.core.rewards.reward import Kind, Reduction
from widthwise.core.rewards.reward_format import Laid, Reads
from widthwise.core.scores.confidence import Surety
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.ledger import Spending
from widthwise.core.session.limits import Limits
from widthwise.core.session.prices import Price, Prices
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Traces
from widthwise.core.session.setting import Setting
from widthwise.core.session.terms import Terms
from widthwise.core.session.thought_budget import ThoughtBudget
from widthwise.core.session.together import Work
from widthwise.core.session.writer import Facts, Pieces
from widthwise.core.strategy.step_tree import NodeState
from widthwise.core.strategy.strategy import Sampled
from widthwise.core.strategy.tree import TreeNodeState
from widthwise.core.trace.excerpt import Excerpt
from widthwise.core.trace.trace import Finish, Note, Origin, TraceId, Wait
from widthwise.evals.allocation.rounds import Round
from widthwise.evals.allocation.suite_budget import Grant, SuiteBudget
from widthwise.evals.allocation.switches import Switch
from widthwise.evals.measure.axes import Axis
from widthwise.evals.measure.comparison import Comparison
from widthwise.evals.measure.curves import Curve, Line, Method
from widthwise.evals.measure.gain import Share, Split
from widthwise.evals.measure.intervals import Difference
from widthwise.evals.measure.model_choice import Fitted, Measured
from widthwise.evals.measure.pools import Grouping
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.measure.standings import Standing
from widthwise.evals.measure.subsets import Estimate, Floats, Ints
from widthwise.evals.measure.summary import Summary, Tokens
from widthwise.evals.measure.sweep import Cell, Plan, Task
from widthwise.evals.measure.trials import Reliability
from widthwise.evals.store.copies import Copies
from widthwise.evals.store.outcome import Graded, Leaf, OutcomeState
from widthwise.evaluation import Listener
from widthwise.model import ModelRole
from widthwise.pruning.adaptive_branching import Belief
from widthwise.pruning.annealing import Diversity
from widthwise.pruning.resampling import Doubles, Link, Scheme
from widthwise.pruning.stopping_rule import Order, Votes
from widthwise.samplers.distilling import Operator
from widthwise.settings import AnyModel, Options

__all__ = [
    "AnyModel",
    "Asked",
    "Asking",
    "Axis",
    "Belief",
    "Cell",
    "ChatOptions",
    "Comparison",
    "Conditions",
    "Conversation",
    "Copies",
    "Counted",
    "Curve",
    "Decide",
    "Difference",
    "Diversity",
    "Doubles",
    "Entry",
    "Estimate",
    "Excerpt",
    "Facts",
    "Finish",
    "FinishReason",
    "Fitted",
    "FloatArray",
    "Floats",
    "Grade",
    "Graded",
    "Grant",
    "Grouping",
    "IntArray",
    "Ints",
    "Kind",
    "Laid",
    "Leaf",
    "Limits",
    "Line",
    "Link",
    "Listener",
    "Measured",
    "Message",
    "Messages",
    "Method",
    "Mode",
    "ModelProfile",
    "ModelRole",
    "ModelShape",
    "NodeState",
    "Note",
    "Operator",
    "Options",
    "Order",
    "Origin",
    "OutcomeState",
    "Outline",
    "Partition",
    "Pieces",
    "Plan",
    "Price",
    "Prices",
    "PrunerOf",
    "Reads",
    "Reduction",
    "Reliability",
    "Retry",
    "Returned",
    "Round",
    "SamplePool",
    "Sampled",
    "Saying",
    "Scheduler",
    "Scheme",
    "Setting",
    "Share",
    "Spending",
    "Split",
    "Standing",
    "SuiteBudget",
    "Summary",
    "Surety",
    "Switch",
    "Takes",
    "Task",
    "Terms",
    "Thinking",
    "ThoughtBudget",
    "ThreadGrammar",
    "ThreadLimits",
    "Tie",
    "Tokens",
    "TraceId",
    "Traces",
    "TreeNodeState",
    "Votes",
    "Wait",
    "When",
    "Work",
]
