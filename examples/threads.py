"""Threads that a trace spawns and joins, each within its own short context."""

import widthwise as ww

result = ww.solve("Use the numbers 5, 6, 8, 10 to reach 25.", ww.Threads(window=512), model="reasoner")
print("answer", result.answer)
print("tokens", result.ledger.sampled, "of which one after the other", result.ledger.sequential)
print("threads", len(result.fragments))
