"""The built-in parts by the names that the command line uses."""

from __future__ import annotations

from widthwise.aggregators.best_by import BestBy
from widthwise.aggregators.first_valid import FirstValid
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.core.budget import Budget
from widthwise.core.frontier import Selector
from widthwise.core.part import Part, spelling
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

SAMPLERS: tuple[type[Part], ...] = (Single, BestOfN, BeamSearch, DVTS, REBASE, ETS, TreeSearch)
SELECTORS: tuple[type[Selector], ...] = (TopK, PerSubtree, SoftmaxBalanced, KvCost, DistinctSteps)
PRUNERS: tuple[type[Part], ...] = (StopWhenDecided,)
AGGREGATORS: tuple[type[Part], ...] = (MajorityVote, WeightedVote, BestBy, FirstValid)

PARTS: dict[str, type[Part]] = {
    spelling(part.__name__): part for part in (*SAMPLERS, *SELECTORS, *PRUNERS, Budget, *AGGREGATORS)
}
