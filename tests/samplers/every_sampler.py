"""Small arguments for every built-in sampler: a new one is tested live once it is in this table."""

from __future__ import annotations

FREE = "by='mean_logprob'"
EVERY = {
    "ab_mcts": f"ab_mcts(n=4, {FREE}) | best_by(score='score')",
    "beam_search": f"beam_search(n=4, lookahead=1, {FREE}) | majority_vote()",
    "best_first_search": f"best_first_search(n=3, {FREE}) | majority_vote()",
    "best_of_n": "best_of_n(n=4) | majority_vote()",
    "cascade": "cascade(('a', 'b'), thresholds=(0.75,), worker=best_of_n(n=3) | majority_vote())",
    "dvts": f"dvts(n=4, beam_width=2, {FREE}) | majority_vote()",
    "entropic_particle_filter": f"entropic_particle_filter(n=4, {FREE}) | best_by(score='score')",
    "entropy_gated_branching": f"entropy_gated_branching(n=3, threshold=0.5, {FREE}) | best_by(score='score')",
    "ets": f"ets(n=4, coverage=0.0, {FREE}) | majority_vote()",
    "mcts": f"mcts(n=3, rollout=True, {FREE}) | majority_vote()",
    "mctsr": "mctsr(rollouts=3)",
    "mixture_of_agents": "mixture_of_agents(('a', 'b'), layers=2)",
    "outlined": "outlined(n=3, worker=best_of_n(n=2) | majority_vote()) | majority_vote()",
    "parallel_distill_refine": "parallel_distill_refine(drafts=(3, 2)) | majority_vote()",
    "particle_filter": f"particle_filter(n=4, {FREE}) | weighted_vote(by='particles', weight='identity')",
    "particle_gibbs": f"particle_gibbs(n=3, iterations=2, {FREE}) | best_by(score='score')",
    "rebase": f"rebase(n=4, {FREE}) | majority_vote()",
    "recursive_self_aggregation": "recursive_self_aggregation(population=3, group=2, loops=2) | majority_vote()",
    "revisions": "revisions(n=4, ratio=1.0) | majority_vote()",
    "route": "route(('a', 'b'), thresholds=(0.75,), probes=2)",
    "rstar": "rstar(rollouts=1, steps=1, asked=1, votes=1, solutions=2, depth=1)",
    "sequential_refinement": "sequential_refinement(rounds=2, chains=2) | majority_vote()",
    "serial_search": "serial_search(n=2) | majority_vote()",
    "single": "single()",
    "threads": "threads(width=2) | majority_vote()",
    "tree_of_thoughts": "tree_of_thoughts(n=2, children=2, k=1) | majority_vote()",
    "tree_search": f"tree_search(n=4, select=distinct_steps() | softmax_balanced(temperature=0.5), {FREE})",
}
GENERIC = frozenset({"rstar"})
"""Samplers with questions that the bundled reasoner was not trained on: they are asked in the generic format."""
