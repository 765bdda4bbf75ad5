"""Small arguments for every built-in aggregator: a new one is tested live once it is in this table."""

from __future__ import annotations

FOUR = "best_of_n(n=4)"
EVERY = {
    "best_by": f"{FOUR} | best_by(score='mean_logprob')",
    "borda_vote": f"{FOUR} | borda_vote(by='self_certainty')",
    "confidence_gate": f"{FOUR} | confidence_gate(otherwise=generative_verification(k=2), agreement=0.9)",
    "escalate": "best_of_n(n=3, model='a') | escalate(model='b', n=2)",
    "first_valid": f"{FOUR} | first_valid()",
    "gen_select": f"{FOUR} | gen_select(window=3, draws=3)",
    "gen_synthesis": f"{FOUR} | gen_synthesis(window=3, draws=2)",
    "generative_verification": f"{FOUR} | generative_verification(k=2)",
    "hierarchical_vote": "revisions(n=6, ratio=1.5) | hierarchical_vote(by='mean_logprob', weight='exp')",
    "knockout": f"{FOUR} | knockout(k=2)",
    "league": f"{FOUR} | league(k=2)",
    "majority_vote": f"{FOUR} | majority_vote(tie='shortest')",
    "mutual_consistency": f"{FOUR} | mutual_consistency(k=2)",
    "pivot_tournament": f"{FOUR} | pivot_tournament(k=1)",
    "program_check": f"{FOUR} | program_check(k=1)",
    "self_verification": f"{FOUR} | self_verification(k=2, comparisons=2, band=1.0)",
    "universal_self_consistency": f"{FOUR} | universal_self_consistency(k=2)",
    "weighted_vote": f"{FOUR} | weighted_vote(by='z(mean_logprob) + 0.5 * rank(mean_confidence)')",
}
CHAINS = {
    "a gate to another model": "best_of_n(n=3, model='a') | confidence_gate(otherwise=gen_select(model='b', draws=2), "
    "agreement=0.9)",
    "a gate by probability": f"{FOUR} | confidence_gate(otherwise=pivot_tournament(k=1, skip_equal=True), "
    "probability=0.95)",
    "a tournament of windows": f"{FOUR} | gen_select(window=2, draws=1, decide='tournament')",
    "an escalation to a search": "best_of_n(n=2, model='a') | escalate(model='b', worker=beam_search(n=4, "
    "beam_width=2, by='mean_logprob') | majority_vote())",
    "an escalation of the unsure": "single(model='a') | escalate(model='b', n=2, when='unsure', threshold=0.0, "
    "keep=True)",
    "a judge of another model": "best_of_n(n=3, model='b') | generative_verification(k=1, model='a')",
    "models as arms": "ab_mcts(n=4, models=('a', 'b'), by='mean_logprob') | best_by(score='score')",
    "revisions that are compared": "revisions(n=4, ratio=1.0) | pivot_tournament(k=1)",
}
"""Strategies whose parts ask, choose or work in several places."""
