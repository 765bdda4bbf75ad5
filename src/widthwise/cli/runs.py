"""Commands on run files: ``traces``, ``import``, ``export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from widthwise.cli.display import marked, rows_table
from widthwise.cli.settings_options import AsJson
from widthwise.cli.terminal import say, say_json, say_sentence
from widthwise.cli.timeline_view import print_timeline
from widthwise.core.brief import counted
from widthwise.core.errors import UsageError
from widthwise.core.registry import register
from widthwise.core.trace.trace import Trace, name

if TYPE_CHECKING:
    from widthwise.evals.store.outcome import Leaf, Outcome
    from widthwise.evals.store.store import Store

_Run = Annotated[Path, typer.Argument(help="A run file.")]


@register("command", "traces")
def show_traces(
    run: _Run,
    problem: Annotated[str | None, typer.Argument(help="A problem's id.")] = None,
    trace: Annotated[str | None, typer.Option(help="Show this trace's text, for example 0.3.")] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Show a problem's threads and rounds against sequential tokens.")
    ] = False,
    tree: Annotated[bool, typer.Option("--tree", help="Draw the problem's tree: scores, tokens, prunings.")] = False,
    as_json: AsJson = False,
) -> None:
    """List a run's problems; one problem's traces as a list, a tree or a timeline; one trace's text."""
    from widthwise.evals.store.store import Store

    views = {"--tree": tree, "--timeline": timeline, "--trace": trace is not None}
    if len(chosen := [option for option, wanted in views.items() if wanted]) > 1:
        raise UsageError(f"{' and '.join(chosen)} show different things: choose one")
    if tree and problem is None:
        raise UsageError("--tree needs the problem: widthwise traces RUN.db PROBLEM --tree")
    if trace is not None and problem is None:
        raise UsageError("--trace needs the problem: widthwise traces RUN.db PROBLEM --trace ID")
    if timeline and problem is None:
        raise UsageError("--timeline shows one problem: widthwise traces RUN.db PROBLEM --timeline")
    with Store.read(run) as store:
        if timeline and problem is not None:
            _show_timeline(store, problem, as_json)
        elif problem is None:
            _list_problems(store, as_json)
        elif tree:
            _draw_tree(store, problem, as_json)
        elif trace is None:
            _list_traces(store, problem, as_json)
        else:
            _print_trace(store, problem, trace, as_json)


@register("command", "import")
def import_file(
    file: Annotated[Path, typer.Argument(help="Recorded generations, or a log of another tool.")],
    run: Annotated[Path, typer.Argument(help="The run file to make.")],
    importer: Annotated[
        str | None,
        typer.Option("--as", help="The importer to use, if the file does not tell; see `widthwise importers`."),
    ] = None,
    requests: Annotated[
        Path | None, typer.Option(help="The file of requests that belongs to a batch's output.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="The suite whose problems were recorded: it has references and a grader.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The same, from a file of problems.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a run file from recorded generations: our own, or logs of inspect_ai, lm-evaluation-harness,
    search-and-learn, and outputs of batches (OpenAI API, vllm run-batch).
    """
    from widthwise.evals.store.copies import Copies
    from widthwise.evals.store.exchange import import_recordings
    from widthwise.evals.store.store import Store
    from widthwise.evals.suites.suites import load_suite

    known = load_suite(suite, data) if suite or data else None
    count = import_recordings(file, run, importer, requests=requests, suite=known)
    say(f"{counted(count, 'problem')} imported into {run}", err=True)
    with Store.read(run) as store:
        note = Copies.stored(store.outcomes()).note
    if note:
        say(f"note: {note}", err=True)
    if as_json:
        say_json({"run": str(run), "problems": count, "note": note or None})


@register("command", "export")
def export_file(
    run: _Run,
    out: Annotated[
        Path, typer.Argument(help="The file to write: .jsonl or .parquet; .eval or .json is a log of inspect_ai.")
    ],
    layout: Annotated[
        str | None, typer.Option("--as", help="recorded, inspect_ai or lm_eval, if the file's name does not tell.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run as recorded generations, which `datasets`, --data and replay: read, or in another tool's layout."""
    from widthwise.evals.store.store import Store
    from widthwise.exporting import exporter_named

    chosen = layout or ("inspect_ai" if out.suffix in (".eval", ".json") else "recorded")
    with Store.read(run) as store:
        count = exporter_named(chosen)(store, out)
    say(f"{counted(count, 'problem')} exported to {out}", err=True)
    if as_json:
        say_json({"file": str(out), "problems": count})


def _list_problems(store: Store, as_json: bool) -> None:
    if as_json:
        say_json({"run": str(store.path), **store.manifest, "problems": list(map(_problem_row, store.outcomes()))})
        return
    rows = []
    for outcome in store.outcomes():
        verdict = outcome.errors[0] if outcome.errors else marked(outcome.correct)
        answers = [outcome.answer or "–", outcome.problem.answer or "–"]
        tokens = f"{sum(leaf.tokens for leaf in outcome.leaves):,}"
        rows.append([outcome.problem.id, outcome.state, *answers, verdict, _right(outcome), tokens])
    rows_table(["problem", "state", "answer", "reference", "verdict", "right traces", "tokens"], rows)


def _list_traces(store: Store, problem_id: str, as_json: bool) -> None:
    outcome = store.outcome(problem_id)
    if as_json:
        traces = zip(store.traces(problem_id), outcome.leaves, strict=True)
        say_json({**_problem_row(outcome), "traces": [_trace_row(t, leaf) for t, leaf in traces]})
        return
    wrote = {trace.id: trace.model for trace in store.traces(problem_id)}
    several = any(wrote.values())
    rows = [
        [
            name(leaf.id),
            *[wrote[leaf.id]] * several,
            leaf.finish or "–",
            f"{leaf.tokens:,}",
            leaf.answer or "–",
            marked(leaf.correct),
            _vote(leaf),
        ]
        for leaf in outcome.leaves
    ]
    _print_head(outcome)
    rows_table(["trace", *["model"] * several, "finish", "tokens", "answer", "verdict", "class"], rows)
    for reason in outcome.errors:
        say_sentence(f"failed: {reason}", err=False)


def _print_head(outcome: Outcome) -> None:
    say(f"{outcome.problem.text}\n\nreference {outcome.problem.answer or '–'}, answer {outcome.answer or '–'}\n")


def _show_timeline(store: Store, problem_id: str, as_json: bool) -> None:
    from widthwise.evals.views.timeline import lane_row, lanes_of

    outcome, lanes = store.outcome(problem_id), lanes_of(store, problem_id)
    if as_json:
        say_json({**_problem_row(outcome), "lanes": list(map(lane_row, lanes))})
        return
    _print_head(outcome)
    print_timeline(lanes)


def _draw_tree(store: Store, problem_id: str, as_json: bool) -> None:
    from widthwise.cli.tree_view import draw_tree
    from widthwise.evals.views.search_tree import SearchTree

    outcome, tree = store.outcome(problem_id), SearchTree(store.traces(problem_id))
    if as_json:
        rounds = [asdict(r) for r in tree.rounds()]
        say_json({**_problem_row(outcome), "nodes": tree.rows(), "rounds": rounds})
    else:
        _print_head(outcome)
        draw_tree(tree, {leaf.id: leaf for leaf in outcome.leaves}, outcome.ledger)


def _print_trace(store: Store, problem_id: str, trace_id: str, as_json: bool) -> None:
    outcome = store.outcome(problem_id)
    for trace, leaf in zip(store.traces(problem_id), outcome.leaves, strict=True):
        if name(trace.id) == trace_id:
            if as_json:
                say_json(_trace_row(trace, leaf))
            else:
                say("".join(segment.text for segment in trace.path))
            return
    known = ", ".join(name(leaf.id) for leaf in outcome.leaves)
    raise UsageError(f"problem {problem_id} has no trace {trace_id!r}; it has {known or 'none'}")


def _problem_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "problem": outcome.problem.id,
        "text": outcome.problem.text,
        "state": outcome.state,
        "answer": outcome.answer,
        "reference": outcome.problem.answer,
        "correct": outcome.correct,
        "tied": outcome.tied,
        "traces": _whole(outcome),
        "right": sum(leaf.correct is True for leaf in outcome.leaves),
        "errors": list(outcome.errors),
        "ledger": outcome.ledger.record,
    }


def _right(outcome: Outcome) -> str:
    """How many traces are right, of how many; a dash if none was graded."""
    if all(leaf.correct is None for leaf in outcome.leaves):
        return "–"
    return f"{sum(leaf.correct is True for leaf in outcome.leaves)}/{_whole(outcome)}"


def _whole(outcome: Outcome) -> int:
    """How many traces there are, not counting threads."""
    return sum(leaf.finish != "joined" for leaf in outcome.leaves)


def _trace_row(trace: Trace, leaf: Leaf) -> dict[str, Any]:
    return {
        "trace": name(leaf.id),
        "model": trace.model or None,
        "finish": leaf.finish,
        "reason": trace.segment.reason,
        "tokens": leaf.tokens,
        "answer": leaf.answer,
        "correct": leaf.correct,
        "class": leaf.vote,
        "sequential": trace.sequential,
        "metadata": trace.metadata,
        "prompt": trace.path[0].text,
        "text": trace.completion,
    }


def _vote(leaf: Leaf) -> str:
    return "–" if leaf.vote is None else str(leaf.vote)
