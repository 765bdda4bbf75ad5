"""One long search against many short samples at equal FLOPs: `python bench/backtracking.py FOLDER --limit 150`.

The comparison of "To Backtrack or Not to Backtrack" (Qin et al., arXiv 2504.07052) on countdown with the bundled
reasoner: its serial search, greedy and cut at the budget, and samples of solutions at temperature 0.7, of which a
checker takes one that is right, or of which a vote takes one. The same command continues, or shows what is there.
"""

from __future__ import annotations

import argparse

import widthwise as ww

STRATEGIES = [
    "serial_search(temperature=0.0)",
    "best_of_n(n=64, temperature=0.7) | first_valid()",
    "best_of_n(n=64, temperature=0.7) | majority_vote()",
]
BUDGETS = [2.5e8, 5e8, 1e9, 2e9, 4e9]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--limit", type=int, default=150)
    given = parser.parse_args()
    swept = ww.sweep(STRATEGIES, ["countdown"], BUDGETS, axis="flops", folder=given.folder, limit=given.limit)
    print(f"| FLOPs | {' | '.join(f'`{name}`'.replace('| ', chr(92) + '| ') for name in STRATEGIES)} |")
    print("|---" * (len(STRATEGIES) + 1) + "|")
    lines = [curve.lines["run"] for curve in swept.on("countdown")]
    for i, budget in enumerate(BUDGETS):
        cells = [f"{100 * line.accuracy[i]:.1f} ({100 * line.low[i]:.1f}-{100 * line.high[i]:.1f})" for line in lines]
        print(f"| {budget:.3g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
