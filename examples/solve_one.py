"""One problem, sixteen samples, a vote: the shortest way in."""

import widthwise as ww

result = ww.solve("Compute (17 + 5) * 3 - 48.", ww.BestOfN(16) | ww.MajorityVote(), model="reasoner")
print("answer", result.answer)
print("tokens", result.ledger.sampled, "in", result.ledger.samples, "samples")
