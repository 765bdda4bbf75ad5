"""A hard limit on tokens: what it cuts is still aggregated, and every token is on the bill."""

import widthwise as ww

strategy = ww.BestOfN(64, width=4) | ww.MajorityVote()
result = ww.solve("Compute 12 * 7 - 30.", strategy, model="reasoner", budget=ww.Budget(tokens=1000))
assert result.ledger.sampled < 1100
print("answer", result.answer, "for", result.ledger.sampled, "tokens")
