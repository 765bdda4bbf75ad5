"""Accuracy at several budgets; samples are shared between them, and a second call goes on where the first stopped."""

import tempfile

import widthwise as ww

with tempfile.TemporaryDirectory() as folder:
    swept = ww.sweep(["best_of_n() | majority_vote()"], ["arithmetic"], [1, 2, 4], folder=folder, limit=8)
    for curve in swept.on("arithmetic"):
        for line in curve.lines.values():
            for k, accuracy, low, high in zip(line.k, line.accuracy, line.low, line.high, strict=True):
                print(f"{int(k)} samples: {100 * accuracy:.0f} % ({100 * low:.0f} to {100 * high:.0f})")
