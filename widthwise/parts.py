"""The built-in parts by the names that the command line uses."""

from __future__ import annotations

from widthwise.aggregators.best_by import BestBy
from widthwise.aggregators.first_valid import FirstValid
from widthwise.aggregators.majority_vote import MajorityVote
from widthwise.aggregators.weighted_vote import WeightedVote
from widthwise.core.budget import Budget
from widthwise.core.part import Part, spelling
from widthwise.pruning.stop_when_decided import StopWhenDecided
from widthwise.samplers.best_of_n import BestOfN
from widthwise.samplers.serial_search import SerialSearch
from widthwise.samplers.single import Single
from widthwise.samplers.threads import Threads

SAMPLERS: tuple[type[Part], ...] = (Single, BestOfN, Threads, SerialSearch)
PRUNERS: tuple[type[Part], ...] = (StopWhenDecided,)
AGGREGATORS: tuple[type[Part], ...] = (MajorityVote, WeightedVote, BestBy, FirstValid)

PARTS: dict[str, type[Part]] = {spelling(part.__name__): part for part in (*SAMPLERS, *PRUNERS, Budget, *AGGREGATORS)}
