"""A model that verifies its own solutions before they are voted on; what it said is kept and is no solution."""

import widthwise as ww

result = ww.solve("Compute 31 - 4 * 6.", ww.BestOfN(6) | ww.GenerativeVerification(k=2), model="reasoner")
print("answer", result.answer)
print("verdicts", len(result.judgements))
