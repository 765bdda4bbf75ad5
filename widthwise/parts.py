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
from widthwise.core.budget import Budget
from widthwise.core.part import Part, spelling
from widthwise.pruning.stop_when_decided import StopWhenDecided
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.outlined import Outlined
from widthwise.samplers.parallel_distill_refine import ParallelDistillRefine
from widthwise.samplers.recursive_self_aggregation import RecursiveSelfAggregation
from widthwise.samplers.sequential_refinement import SequentialRefinement
from widthwise.samplers.single import Single

SAMPLERS: tuple[type[Part], ...] = (
    Single,
    BestOfN,
    ParallelDistillRefine,
    SequentialRefinement,
    RecursiveSelfAggregation,
    Outlined,
)
PRUNERS: tuple[type[Part], ...] = (StopWhenDecided,)
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

PARTS: dict[str, type[Part]] = {spelling(part.__name__): part for part in (*SAMPLERS, *PRUNERS, Budget, *AGGREGATORS)}
