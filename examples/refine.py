"""Drafts in parallel, distilled and refined, then a vote over the refined ones."""

import widthwise as ww

strategy = ww.ParallelDistillRefine(drafts=(4, 2)) | ww.MajorityVote()
result = ww.solve("Compute 7 * (13 - 4) + 2.", strategy, model="reasoner")
print("answer", result.answer, "from", len(result.traces), "traces")
