"""A problem's tree of traces drawn on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from widthwise.cli.display import marked, percent, rows_table
from widthwise.cli.terminal import fitting, say, width_of_lines
from widthwise.core.session.ledger import Ledger
from widthwise.core.trace.trace import Trace, TraceId, name
from widthwise.core.visible import visible

if TYPE_CHECKING:
    from widthwise.evals.store.outcome import Leaf
    from widthwise.evals.views.search_tree import SearchTree


def draw_tree(tree: SearchTree, leaves: Mapping[TraceId, Leaf], ledger: Ledger) -> None:
    """Print the tree with scores and tokens, what was pruned when and why, and what its cache held."""
    width = width_of_lines()
    for line in _lines(tree, leaves):
        say(fitting(visible(line), width))
    rounds = tree.rounds()
    if rounds:
        say()
        columns = ["round", "drawn", "expanded", "pruned", "finished", "cut or failed", "tokens held", "without prompt"]
        rows_table(columns, [[f"{value:,}" for value in asdict(r).values()] for r in rounds])
    say()
    for line in _account(ledger):
        say(line)


def _lines(tree: SearchTree, leaves: Mapping[TraceId, Leaf]) -> Iterator[str]:
    """The nodes in depth-first order, with the lines that lead to them."""
    stack = [("", "", "", root) for root in reversed(tree.roots)]
    while stack:
        lead, branch, below, node = stack.pop()
        yield f"{lead}{branch}{_label(node, leaves.get(node.id))}"
        children = tree.children.get(node.id, [])
        for child in reversed(children):
            last = child is children[-1]
            stack.append((lead + below, "└─ " if last else "├─ ", "   " if last else "│  ", child))


def _label(node: Trace, leaf: Leaf | None) -> str:
    segment = node.segment
    facts = [f"{len(segment):,} tokens"]
    if isinstance(score := segment.metadata.get("score"), float | int):
        facts.insert(0, f"score {score:.3f}")
    if unscored := segment.metadata.get("unscored"):
        facts.append(f"unscored: {unscored}")
    text = "prompt" if segment.origin == "prompt" else " ".join(segment.text.split())
    return "  ".join([name(node.id), *facts, *_end(node, leaf), text])


def _end(node: Trace, leaf: Leaf | None) -> list[str]:
    """How a leaf ended; nothing for inner nodes."""
    if leaf is None:
        return []
    if node.finish == "stop":
        return [f"[{leaf.answer} {marked(leaf.correct, 'not graded')}]" if leaf.answer is not None else "[no answer]"]
    reason = node.segment.reason
    return [f"[{node.finish}{f', {reason}' if isinstance(reason, str) else ''}]"]


def _account(ledger: Ledger) -> Iterator[str]:
    served = ledger.prompt_cached + ledger.prompt_computed
    shareable = served - ledger.prompt_ideal
    held = [
        f"{ledger.kv_mean:,.0f} on average, {ledger.kv_peak:,} at most (by node)",
        f"{ledger.kv_content_mean:,.0f} and {ledger.kv_content_peak:,} (by content)",
    ]
    yield f"unique tokens held: {'; '.join(held)}"
    if ledger.kv_rounds:
        yield f"summed over rounds: {ledger.kv_rounds:,} by node, {ledger.kv_content_rounds:,} by content"
    yield (
        f"prompt tokens: {served:,} served, {ledger.prompt_cached:,} of them from the engine's cache; an ideal "
        f"cache would have served {shareable:,}"
        + (f" ({percent(ledger.prompt_cached / shareable)} of it)" if shareable > 0 else "")
    )
