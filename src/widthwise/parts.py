"""The built-in parts by the names that the command line uses."""

from __future__ import annotations

from widthwise.aggregators.best_by import BestBy
from widthwise.aggregators.borda_vote import BordaVote
from widthwise.aggregators.first_valid import FirstValid
from widthwise.aggregators.generative_verification import GenerativeVerification
from widthwise.aggregators.knockout import Knockout
from widthwise.aggregators.league import League
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.program_check import ProgramCheck
from widthwise.aggregators.self_verification import SelfVerification
from widthwise.aggregators.universal_self_consistency import UniversalSelfConsistency
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.core.strategy.budget import Budget
from widthwise.core.strategy.frontier import Selector
from widthwise.core.strategy.part import Part
from widthwise.core.strategy.spelling import spelling
from widthwise.pruning.adaptive_consistency import AdaptiveConsistency
from widthwise.pruning.answer_probe import AnswerProbe
from widthwise.pruning.anytime import Anytime
from widthwise.pruning.deepconf import DeepConf
from widthwise.pruning.deepprune import DeepPrune
from widthwise.pruning.distinct_steps import DistinctSteps
from widthwise.pruning.esc import ESC
from widthwise.pruning.kv_cost import KvCost
from widthwise.pruning.per_subtree import PerSubtree
from widthwise.pruning.repetition import Repetition
from widthwise.pruning.same_answer import SameAnswer
from widthwise.pruning.short import Short
from widthwise.pruning.softmax_balanced import SoftmaxBalanced
from widthwise.pruning.stop_when_decided import StopWhenDecided
from widthwise.pruning.too_long import TooLong
from widthwise.pruning.top_k import TopK
from widthwise.samplers.beam_search import BeamSearch
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.dvts import DVTS
from widthwise.samplers.ets import ETS
from widthwise.samplers.outlined import Outlined
from widthwise.samplers.parallel_distill_refine import ParallelDistillRefine
from widthwise.samplers.rebase import REBASE
from widthwise.samplers.recursive_self_aggregation import RecursiveSelfAggregation
from widthwise.samplers.sequential_refinement import SequentialRefinement
from widthwise.samplers.serial_search import SerialSearch
from widthwise.samplers.single import Single
from widthwise.samplers.threads import Threads
from widthwise.samplers.tree_search import TreeSearch

SAMPLERS: tuple[type[Part], ...] = (
    Single,
    BestOfN,
    ParallelDistillRefine,
    SequentialRefinement,
    RecursiveSelfAggregation,
    Outlined,
    Threads,
    SerialSearch,
    BeamSearch,
    DVTS,
    REBASE,
    ETS,
    TreeSearch,
)
SELECTORS: tuple[type[Selector], ...] = (TopK, PerSubtree, SoftmaxBalanced, KvCost, DistinctSteps)
STOPPING: tuple[type[Part], ...] = (StopWhenDecided, ESC, AdaptiveConsistency, Anytime, Short)
PRUNERS: tuple[type[Part], ...] = (*STOPPING, DeepConf, DeepPrune, Repetition, TooLong)
JUDGES: tuple[type[Part], ...] = (SameAnswer, AnswerProbe)
AGGREGATORS: tuple[type[Part], ...] = (
    MajorityVote,
    WeightedVote,
    BordaVote,
    BestBy,
    FirstValid,
    GenerativeVerification,
    SelfVerification,
    Knockout,
    League,
    UniversalSelfConsistency,
    ProgramCheck,
)

PARTS: dict[str, type[Part]] = {
    spelling(part.__name__): part for part in (*SAMPLERS, *SELECTORS, *PRUNERS, *JUDGES, Budget, *AGGREGATORS)
}
