"""Parallel test-time reasoning: spend an inference budget in width and measure what it buys.

>>> import widthwise as ww
>>> result = ww.solve("Compute (17 + 5) * 3 - 48.", ww.BestOfN(16) | ww.MajorityVote())
>>> result.answer, result.ledger.sampled  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.aggregators.best_by import BestBy
from widthwise.aggregators.borda_vote import BordaVote
from widthwise.aggregators.confidence_gate import ConfidenceGate
from widthwise.aggregators.escalate import Escalate
from widthwise.aggregators.first_valid import FirstValid
from widthwise.aggregators.gen_select import GenSelect
from widthwise.aggregators.gen_synthesis import GenSynthesis
from widthwise.aggregators.generative_verification import GenerativeVerification
from widthwise.aggregators.hierarchical_vote import HierarchicalVote
from widthwise.aggregators.knockout import Knockout
from widthwise.aggregators.league import League
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.mutual_consistency import MutualConsistency
from widthwise.aggregators.pivot_tournament import PivotTournament
from widthwise.aggregators.program_check import ProgramCheck
from widthwise.aggregators.self_verification import SelfVerification
from widthwise.aggregators.universal_self_consistency import UniversalSelfConsistency
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.allocating import allocate, allocate_async
from widthwise.backends.function import FunctionBackend, Reply
from widthwise.backends.function_reward import FunctionRewardModel
from widthwise.backends.openai_client import OpenAIBackend
from widthwise.core.answer import Answer, AnswerClass, elect
from widthwise.core.backend import (
    Backend,
    Capabilities,
    Delta,
    Request,
    SamplingParams,
    Tokenizer,
    TokenStats,
    Usage,
)
from widthwise.core.errors import BackendError, BudgetReached, PromptTooLong, UsageError, WidthwiseError
from widthwise.core.problem import Grader, Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.pruner import Decision
from widthwise.core.registry import register
from widthwise.core.rewards.reading import Embedder
from widthwise.core.rewards.reward import RewardModel, Solution, StepScores
from widthwise.core.rewards.reward_format import RewardFormat
from widthwise.core.session.ledger import Ledger
from widthwise.core.session.session import Session
from widthwise.core.strategy.budget import Budget
from widthwise.core.strategy.frontier import Frontier, Selection, Selector
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.result import Result
from widthwise.core.strategy.sampler_part import SamplerPart
from widthwise.core.strategy.step_tree import Node, StepTree
from widthwise.core.strategy.strategy import Aggregator, Pruner, Sampler, Strategy
from widthwise.core.strategy.tree import Tree, TreeNode
from widthwise.core.strategy.tree_policy import TreePolicy
from widthwise.core.trace.trace import Segment, Trace
from widthwise.engines import open as open  # not in __all__: a star import keeps Python's own
from widthwise.evals.allocation.allocator import Allocator
from widthwise.evals.allocation.expected_gain import ExpectedGain
from widthwise.evals.allocation.prospect import Prospect
from widthwise.evals.allocation.uniform import Uniform
from widthwise.evals.grading.function_grader import FunctionGrader
from widthwise.evals.store.outcome import Outcome
from widthwise.evals.suites.given import suite_of
from widthwise.evals.suites.suite import Suite
from widthwise.evaluating import evaluate, evaluate_async
from widthwise.measuring import compare, compare_async, curve, curve_async, fit_models
from widthwise.model import Model
from widthwise.pruning.adaptive_branching import AdaptiveBranching
from widthwise.pruning.adaptive_consistency import AdaptiveConsistency
from widthwise.pruning.answer_probe import AnswerProbe
from widthwise.pruning.anytime import Anytime
from widthwise.pruning.best_first import BestFirst
from widthwise.pruning.certaindex import Certaindex
from widthwise.pruning.deepconf import DeepConf
from widthwise.pruning.deepprune import DeepPrune
from widthwise.pruning.distinct_steps import DistinctSteps
from widthwise.pruning.early_exit import EarlyExit
from widthwise.pruning.esc import ESC
from widthwise.pruning.judge import Judge
from widthwise.pruning.kv_cost import KvCost
from widthwise.pruning.mixed_branching import MixedBranching
from widthwise.pruning.per_subtree import PerSubtree
from widthwise.pruning.repetition import Repetition
from widthwise.pruning.same_answer import SameAnswer
from widthwise.pruning.short import Short
from widthwise.pruning.softmax_balanced import SoftmaxBalanced
from widthwise.pruning.stop_when_decided import StopWhenDecided
from widthwise.pruning.too_long import TooLong
from widthwise.pruning.top_k import TopK
from widthwise.pruning.uct import PUCT, UCT
from widthwise.run import Run
from widthwise.samplers.ab_mcts import ABMCTS
from widthwise.samplers.beam_search import BeamSearch
from widthwise.samplers.best_first_search import BestFirstSearch
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.cascade import Cascade
from widthwise.samplers.dvts import DVTS
from widthwise.samplers.entropic_particle_filter import EntropicParticleFilter
from widthwise.samplers.entropy_gated_branching import EntropyGatedBranching
from widthwise.samplers.ets import ETS
from widthwise.samplers.mcts import MCTS
from widthwise.samplers.mctsr import MCTSr
from widthwise.samplers.mixture_of_agents import MixtureOfAgents
from widthwise.samplers.outlined import Outlined
from widthwise.samplers.parallel_distill_refine import ParallelDistillRefine
from widthwise.samplers.particle_filter import ParticleFilter
from widthwise.samplers.particle_gibbs import ParticleGibbs
from widthwise.samplers.rebase import REBASE
from widthwise.samplers.recursive_self_aggregation import RecursiveSelfAggregation
from widthwise.samplers.revisions import Revisions
from widthwise.samplers.route import Route
from widthwise.samplers.rstar import RStar
from widthwise.samplers.sequential_refinement import SequentialRefinement
from widthwise.samplers.serial_search import SerialSearch
from widthwise.samplers.single import Single
from widthwise.samplers.threads import Threads
from widthwise.samplers.tree_of_thoughts import TreeOfThoughts
from widthwise.samplers.tree_search import TreeSearch
from widthwise.serving.entry import asgi_app, serve, serve_async
from widthwise.settings import RunSettings
from widthwise.solving import solve, solve_async
from widthwise.sweeping import sweep, sweep_async
from widthwise.swept import Sweep
from widthwise.type_names import TYPE_NAMES
from widthwise.version import VERSION

__version__ = VERSION

__all__ = [
    "ABMCTS",
    "DVTS",
    "ESC",
    "ETS",
    "MCTS",
    "PUCT",
    "REBASE",
    "UCT",
    "AdaptiveBranching",
    "AdaptiveConsistency",
    "Aggregator",
    "Allocator",
    "Answer",
    "AnswerClass",
    "AnswerProbe",
    "Anytime",
    "Backend",
    "BackendError",
    "BeamSearch",
    "BestBy",
    "BestFirst",
    "BestFirstSearch",
    "BestOfN",
    "BordaVote",
    "Budget",
    "BudgetReached",
    "Capabilities",
    "Cascade",
    "Certaindex",
    "ConfidenceGate",
    "Decision",
    "DeepConf",
    "DeepPrune",
    "Delta",
    "DistinctSteps",
    "EarlyExit",
    "Embedder",
    "EntropicParticleFilter",
    "EntropyGatedBranching",
    "Escalate",
    "ExpectedGain",
    "FirstValid",
    "Frontier",
    "FunctionBackend",
    "FunctionGrader",
    "FunctionRewardModel",
    "GenSelect",
    "GenSynthesis",
    "GenerativeVerification",
    "Grader",
    "HierarchicalVote",
    "Judge",
    "Knockout",
    "KvCost",
    "League",
    "Ledger",
    "MCTSr",
    "MajorityVote",
    "MixedBranching",
    "MixtureOfAgents",
    "Model",
    "MutualConsistency",
    "Node",
    "OpenAIBackend",
    "Outcome",
    "Outlined",
    "ParallelDistillRefine",
    "Part",
    "ParticleFilter",
    "ParticleGibbs",
    "PerSubtree",
    "PivotTournament",
    "Problem",
    "ProgramCheck",
    "PromptFormat",
    "PromptTooLong",
    "Prospect",
    "Pruner",
    "RStar",
    "RecursiveSelfAggregation",
    "Repetition",
    "Reply",
    "Request",
    "Result",
    "Revisions",
    "RewardFormat",
    "RewardModel",
    "Route",
    "Run",
    "RunSettings",
    "SameAnswer",
    "Sampler",
    "SamplerPart",
    "SamplingParams",
    "Segment",
    "Selection",
    "Selector",
    "SelfVerification",
    "SequentialRefinement",
    "SerialSearch",
    "Session",
    "Short",
    "Single",
    "SoftmaxBalanced",
    "Solution",
    "StepScores",
    "StepTree",
    "StopWhenDecided",
    "Strategy",
    "Suite",
    "Sweep",
    "Threads",
    "TokenStats",
    "Tokenizer",
    "TooLong",
    "TopK",
    "Trace",
    "Tree",
    "TreeNode",
    "TreeOfThoughts",
    "TreePolicy",
    "TreeSearch",
    "Uniform",
    "UniversalSelfConsistency",
    "Usage",
    "UsageError",
    "WeightedVote",
    "WidthwiseError",
    "allocate",
    "allocate_async",
    "asgi_app",
    "compare",
    "compare_async",
    "curve",
    "curve_async",
    "elect",
    "evaluate",
    "evaluate_async",
    "fit_models",
    "register",
    "serve",
    "serve_async",
    "solve",
    "solve_async",
    "suite_of",
    "sweep",
    "sweep_async",
]

if TYPE_CHECKING:
    from widthwise import types
    from widthwise.types import *  # noqa: F403

    __all__ += types.__all__
else:

    def __getattr__(name: str) -> object:
        """One of ``widthwise.types``: they are imported when they are named, with the libraries that they need."""
        from importlib import import_module

        if name not in TYPE_NAMES:
            raise AttributeError(f"module 'widthwise' has no attribute {name!r}")
        return getattr(import_module("widthwise.types"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *TYPE_NAMES})
