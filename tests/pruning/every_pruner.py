"""Small arguments for every built-in pruner: a new one is tested live once it is in this table."""

from __future__ import annotations

NARROW = "best_of_n(n=6, width=2)"
VOTE = "majority_vote()"
EVERY = {
    "adaptive_consistency": f"{NARROW} | adaptive_consistency(threshold=0.8) | {VOTE}",
    "anytime": f"{NARROW} | anytime(epsilon=0.3) | {VOTE}",
    "certaindex": f"{NARROW} | certaindex(threshold=0.3, every=16, stable=2, least=2) | {VOTE}",
    "deepconf": f"{NARROW} | deepconf(warmup=2, window=8, confidence='sampled') | {VOTE}",
    "deepprune": f"best_of_n(n=4) | deepprune(at=16, keep=2) | {VOTE}",
    "early_exit": f"best_of_n(n=3) | early_exit(every=16, stable=2) | {VOTE}",
    "esc": f"{NARROW} | esc(window=2) | {VOTE}",
    "repetition": f"best_of_n(n=3) | repetition(times=2, tokens=2) | {VOTE}",
    "short": f"best_of_n(n=4) | short(m=2) | {VOTE}",
    "stop_when_decided": f"{NARROW} | stop_when_decided() | {VOTE}",
    "too_long": f"{NARROW} | too_long(factor=1.0, least=2) | {VOTE}",
}
CHAINS = {
    "several pruners": f"{NARROW} | repetition() | certaindex(every=16, least=2) | stop_when_decided() | {VOTE}",
    "a pruner over several models": "best_of_n(n=3, model='a') | certaindex(every=16, least=2) | "
    "escalate(model='b', n=2)",
}
