"""The same vote for fewer tokens: stop as soon as nothing can change it."""

import widthwise as ww

PROBLEM = "Compute (15 - 7) * 4 + 6."
every = ww.solve(PROBLEM, ww.BestOfN(32, width=4) | ww.MajorityVote(), model="reasoner")
early = ww.solve(PROBLEM, ww.BestOfN(32, width=4) | ww.StopWhenDecided() | ww.MajorityVote(), model="reasoner")
assert early.answer == every.answer
print(f"answer {early.answer}: {early.ledger.sampled} tokens instead of {every.ledger.sampled}")
