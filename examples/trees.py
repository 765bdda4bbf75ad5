"""A tree search with a process reward model: REBASE, then a vote weighted by the scores."""

import widthwise as ww

strategy = ww.REBASE(n=8) | ww.WeightedVote(by="score", weight="identity")
result = ww.solve("Use the numbers 12, 7, 3, 20 to reach 35.", strategy, model="reasoner", reward_model="scorer")
print("answer", result.answer)
print("pruned", sum(trace.finish == "pruned" for trace in result.traces), "of", len(result.traces), "leaves")
