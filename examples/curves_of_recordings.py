"""pass@k and maj@k of generations that somebody recorded: no model is needed."""

import json
import tempfile
from pathlib import Path

import widthwise as ww

ROWS = [
    {
        "problem_id": f"sum-{i}",
        "problem": f"What is {i} plus {i}?",
        "answer": str(2 * i),
        "samples": [{"text": f"It is \\boxed{{{2 * i + wrong}}}."} for wrong in (0, i % 2, 0, 1)],
    }
    for i in range(6)
]

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "recorded.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for method, line in ww.curve(file).lines.items():
        print(method, [f"{100 * accuracy:.0f} %" for accuracy in line.accuracy])
