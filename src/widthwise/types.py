"""The types that public signatures mention, for whoever annotates: each is also importable from ``widthwise``.

They are imported when one is named, because some of their modules need numerical libraries: ``type_names`` lists them.
"""

from __future__ import annotations

from widthwise.aggregators.contest import Contestants
from widthwise.aggregators.escalate import EscalateWhen
from widthwise.aggregators.gen_select import WindowRule
from widthwise.aggregators.mutual_consistency import ConsistencyMode
from widthwise.asking import Asking, SettledAsking
from widthwise.backends.function import FunctionInput
from widthwise.core.answer import TieBreak
from widthwise.core.arrays import DoubleArray, FloatArray, IntArray
from widthwise.core.backend import FinishReason
from widthwise.core.chat_options import ChatOptions
from widthwise.core.conversation import Conversation, Message, Messages
from widthwise.core.model_shape import ModelShape
from widthwise.core.problem import Grade, Partition
from widthwise.core.prompting.grammar import Outline, ThreadGrammar, ThreadLimits, ThreadReturn
from widthwise.core.prompting.profile import ModelProfile
from widthwise.core.prompting.saying import AnswerInThinking, Saying
from widthwise.core.prompting.thinking import Thinking
from widthwise.core.pruner import PrunerOf
from widthwise.core.retry import Retry
from widthwise.core.rewards.reward import RewardKind, StepReduction
from widthwise.core.rewards.reward_format import LaidOutSolution, ScoreForm
from widthwise.core.scores.confidence import ConfidenceBasis
from widthwise.core.session.conditions import Conditions
from widthwise.core.session.ledger import Spending
from widthwise.core.session.limits import Limits
from widthwise.core.session.prices import Price, Prices
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Traces
from widthwise.core.session.setting import Setting
from widthwise.core.session.terms import SessionTerms
from widthwise.core.session.thought_budget import ThoughtBudget
from widthwise.core.session.together import TraceWork
from widthwise.core.session.writer import InsertionFacts, TextPieces
from widthwise.core.strategy.step_tree import NodeState
from widthwise.core.strategy.strategy import SamplerResult
from widthwise.core.strategy.tree import TreeNodeState
from widthwise.core.trace.excerpt import Excerpt
from widthwise.core.trace.trace import Finish, SegmentOrigin, TraceId, TraceNote, TraceWait
from widthwise.evals.allocation.allocations import Allocations
from widthwise.evals.allocation.comparison import Allocation
from widthwise.evals.allocation.rounds import Round
from widthwise.evals.allocation.suite_budget import Grant, SuiteBudget
from widthwise.evals.allocation.switches import Switch
from widthwise.evals.measure.axes import Axis
from widthwise.evals.measure.comparison import Comparison
from widthwise.evals.measure.curves import Curve, CurveLine, CurveMethod
from widthwise.evals.measure.gain import BootstrapMean, GainSplit
from widthwise.evals.measure.intervals import Difference
from widthwise.evals.measure.model_choice import Fitted, MeasuredChoice
from widthwise.evals.measure.pools import AnswerGrouping
from widthwise.evals.measure.sample_pool import SamplePool
from widthwise.evals.measure.standings import Standing
from widthwise.evals.measure.subsets import Estimate
from widthwise.evals.measure.summary import Summary, TokenTotals
from widthwise.evals.measure.sweep import SweepCell, SweepPlan, SweepTask
from widthwise.evals.measure.trials import Reliability
from widthwise.evals.store.copies import Copies
from widthwise.evals.store.outcome import Graded, Leaf, OutcomeState
from widthwise.evaluation import Listener
from widthwise.model import ModelRole
from widthwise.pruning.adaptive_branching import ScoreBelief
from widthwise.pruning.annealing import DiversityMeasure
from widthwise.pruning.resampling import ResamplingScheme, ScoreLink
from widthwise.pruning.stopping_rule import VoteOrder, Votes
from widthwise.samplers.distilling import DistillOperator
from widthwise.settings import AnyModel, Options

__all__ = [
    "Allocation",
    "Allocations",
    "AnswerGrouping",
    "AnswerInThinking",
    "AnyModel",
    "Asking",
    "Axis",
    "BootstrapMean",
    "ChatOptions",
    "Comparison",
    "Conditions",
    "ConfidenceBasis",
    "ConsistencyMode",
    "Contestants",
    "Conversation",
    "Copies",
    "Curve",
    "CurveLine",
    "CurveMethod",
    "Difference",
    "DistillOperator",
    "DiversityMeasure",
    "DoubleArray",
    "EscalateWhen",
    "Estimate",
    "Excerpt",
    "Finish",
    "FinishReason",
    "Fitted",
    "FloatArray",
    "FunctionInput",
    "GainSplit",
    "Grade",
    "Graded",
    "Grant",
    "InsertionFacts",
    "IntArray",
    "LaidOutSolution",
    "Leaf",
    "Limits",
    "Listener",
    "MeasuredChoice",
    "Message",
    "Messages",
    "ModelProfile",
    "ModelRole",
    "ModelShape",
    "NodeState",
    "Options",
    "OutcomeState",
    "Outline",
    "Partition",
    "Price",
    "Prices",
    "PrunerOf",
    "Reliability",
    "ResamplingScheme",
    "Retry",
    "RewardKind",
    "Round",
    "SamplePool",
    "SamplerResult",
    "Saying",
    "Scheduler",
    "ScoreBelief",
    "ScoreForm",
    "ScoreLink",
    "SegmentOrigin",
    "SessionTerms",
    "Setting",
    "SettledAsking",
    "Spending",
    "Standing",
    "StepReduction",
    "SuiteBudget",
    "Summary",
    "SweepCell",
    "SweepPlan",
    "SweepTask",
    "Switch",
    "TextPieces",
    "Thinking",
    "ThoughtBudget",
    "ThreadGrammar",
    "ThreadLimits",
    "ThreadReturn",
    "TieBreak",
    "TokenTotals",
    "TraceId",
    "TraceNote",
    "TraceWait",
    "TraceWork",
    "Traces",
    "TreeNodeState",
    "VoteOrder",
    "Votes",
    "WindowRule",
]
