"""Parallel test-time reasoning: spend an inference budget in width and measure what it buys.

>>> import widthwise as ww
>>> result = ww.solve("Compute (17 + 5) * 3 - 48.", ww.BestOfN(16) | ww.MajorityVote())
>>> result.answer, result.ledger.sampled  # doctest: +SKIP
"""

from __future__ import annotations

from widthwise.aggregators.best_by import BestBy
from widthwise.aggregators.first_valid import FirstValid
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.core.answer import Answer, AnswerClass, elect
from widthwise.core.backend import Backend, SamplingParams
from widthwise.core.budget import Budget, Ledger
from widthwise.core.errors import BackendError, BudgetReached, PromptTooLong, UsageError, WidthwiseError
from widthwise.core.frontier import Frontier, Selection, Selector
from widthwise.core.part import Part
from widthwise.core.problem import Grader, Problem
from widthwise.core.pruner import Verdict
from widthwise.core.session import Session
from widthwise.core.strategy import Result, Strategy
from widthwise.core.trace import Segment, Trace
from widthwise.core.tree import Node, Tree
from widthwise.measuring import curve
from widthwise.pruning.distinct_steps import DistinctSteps
from widthwise.pruning.kv_cost import KvCost
from widthwise.pruning.per_subtree import PerSubtree
from widthwise.pruning.softmax_balanced import SoftmaxBalanced
from widthwise.pruning.stop_when_decided import StopWhenDecided
from widthwise.pruning.top_k import TopK
from widthwise.samplers.beam_search import BeamSearch
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.dvts import DVTS
from widthwise.samplers.ets import ETS
from widthwise.samplers.rebase import REBASE
from widthwise.samplers.single import Single
from widthwise.samplers.tree_search import TreeSearch
from widthwise.solving import solve, solve_async
from widthwise.sweeping import Sweep, sweep

__version__ = "0.1.0"

__all__ = [
    "DVTS",
    "ETS",
    "REBASE",
    "Answer",
    "AnswerClass",
    "Backend",
    "BackendError",
    "BeamSearch",
    "BestBy",
    "BestOfN",
    "Budget",
    "BudgetReached",
    "DistinctSteps",
    "FirstValid",
    "Frontier",
    "Grader",
    "KvCost",
    "Ledger",
    "MajorityVote",
    "Node",
    "Part",
    "PerSubtree",
    "Problem",
    "PromptTooLong",
    "Result",
    "SamplingParams",
    "Segment",
    "Selection",
    "Selector",
    "Session",
    "Single",
    "SoftmaxBalanced",
    "StopWhenDecided",
    "Strategy",
    "Sweep",
    "TopK",
    "Trace",
    "Tree",
    "TreeSearch",
    "UsageError",
    "Verdict",
    "WeightedVote",
    "WidthwiseError",
    "curve",
    "elect",
    "solve",
    "solve_async",
    "sweep",
]
