"""Exchange between run stores and recorded-trace files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.backend import TokenStats, Usage
from widthwise.core.errors import UsageError
from widthwise.core.prompting.begun import with_begun
from widthwise.core.trace.recording import Recording, Sample
from widthwise.core.trace.trace import Segment, Trace, TraceId, name
from widthwise.evals.input_file import is_there
from widthwise.evals.replacement import replacement
from widthwise.evals.store.copies import copies_field
from widthwise.evals.store.database import PRIVATE, StoreError
from widthwise.evals.store.foreign import read_generations
from widthwise.evals.store.outcome import Leaf, Outcome
from widthwise.evals.store.recorded_rounds import drawn_by, strategies_by_problem
from widthwise.evals.store.recording_rows import to_row
from widthwise.evals.store.segment_rows import parse, spelled, to_json, wait_of
from widthwise.evals.store.stopped_early import STOPPED, stopped_early
from widthwise.evals.store.store import Ends, Store
from widthwise.evals.suites.suite import Suite

_log = logging.getLogger(__name__)

_MOST_TOKENS = 2**53
"""More are no count, whatever a file says."""


def export_run(store: Store, path: str | Path) -> int:
    """Write a run as ``.jsonl`` or ``.parquet`` in the recorded-trace schema; returns the number of problems."""
    target = Path(path)
    writers = {".jsonl": _write_json, ".parquet": _write_parquet}
    if target.suffix not in writers:
        raise UsageError(f"cannot export to {target}: its name must end in .jsonl or .parquet")
    with replacement(target) as file:
        return writers[target.suffix](file, map(to_row, stored_recordings(store)))


def import_recordings(
    path: str | Path,
    run: str | Path,
    importer: str | None = None,
    *,
    requests: Path | None = None,
    suite: Suite | None = None,
) -> int:
    """Make a new run file from a recorded-trace file, with its labels as grades; returns the number of problems read.

    The file appears only when it is complete. ``importer``, ``requests`` and ``suite`` are those of
    ``read_generations``.
    """
    recordings = read_generations(path, importer, requests=requests, suite=suite)
    if is_there(Path(run)):
        raise UsageError(f"{run} already exists: import into a new file")
    model = recordings[0].fields.get("model")
    judged = {} if suite is None else {"suite": suite.name, "grader": suite.grader.name}
    configuration = {"imported": Path(path).name, "model": model, "strategy": None, "suite": Path(path).stem, **judged}
    with replacement(run, PRIVATE) as beside:
        try:
            with Store.begin(beside, configuration, [r.problem for r in recordings]) as store:
                for recording in recordings:
                    _store(store, recording)
        except StoreError as error:
            raise StoreError(f"{run} was not made: {error}") from error
    return len(recordings)


def _store(store: Store, recording: Recording) -> None:
    traces = _traces(recording)
    pairs = list(zip(traces, recording.samples, strict=True))
    leaves = tuple(Leaf(t.id, s.finish, t.tokens or _counted(s), s.answer, s.correct) for t, s in pairs)
    ends = {node: part for trace, sample in pairs for node, part in _split_ends(trace, sample)}
    fields = {**recording.fields, **copies_field([sample.text for sample in recording.samples])}
    store.finish(Outcome(recording.problem, "done", leaves=leaves, fields=fields), traces, ends=ends)


def _counted(sample: Sample) -> int:
    """How many tokens the source says that a sample has, where it does not have the tokens themselves."""
    said = sample.metadata.get("tokens")
    return said if type(said) is int and 0 < said < _MOST_TOKENS else _length(sample)


class StoredRecordings(Mapping[str, Recording]):
    """A run's recordings by problem id, each read when it is requested; ``outcomes``: all, if they are read already."""

    def __init__(self, store: Store, outcomes: Iterable[Outcome] | None = None) -> None:
        self._store = store
        self._ids = dict.fromkeys(p.id for p in store.problems())
        self._fields = _run_fields(store)
        self._others = strategies_by_problem(store.manifest)
        known = store.outcomes() if outcomes is None else outcomes
        self._stopped = stopped_early(store.manifest["configuration"], known)

    def __getitem__(self, problem_id: str) -> Recording:
        if problem_id not in self._ids:
            raise KeyError(problem_id)
        fields = {**self._fields, "switched_to": self._others.get(problem_id)}
        if problem_id in self._stopped:
            fields["dependent"] = fields.get("dependent") or STOPPED
        [recording] = with_begun([_recording(self._store, self._store.outcome(problem_id), fields)])
        return recording

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def stored_recordings(store: Store) -> Iterator[Recording]:
    """What a run recorded, problem by problem, without problems that are not finished."""
    recordings = StoredRecordings(store, outcomes := list(store.outcomes()))
    for outcome in outcomes:
        if outcome.state == "open":
            _log.warning("%s: problem %s is not finished and is left out", store.path, outcome.problem.id)
        else:
            yield recordings[outcome.problem.id]


def _run_fields(store: Store) -> dict[str, Any]:
    """What a row says of the run it comes from; for an imported run, in its own words."""
    configuration = store.manifest["configuration"]
    if "imported" in configuration:
        return {}
    source = f"widthwise run {store.path.name}"
    return {"model": configuration.get("model"), "source": source, **drawn_by(store.manifest)}


def _recording(store: Store, outcome: Outcome, run_fields: Mapping[str, Any]) -> Recording:
    problem = outcome.problem
    traces = store.traces(problem.id)
    # Threads are parts of other traces, so they cannot vote.
    whole = [(t, leaf) for t, leaf in zip(traces, outcome.leaves, strict=True) if leaf.finish != "joined"]
    ends = store.token_ends(problem.id)
    root = next((t.path[0] for t in traces if t.id[0] == 0), None)
    known = root is not None and len(root.token_ids) > 0
    return Recording(
        problem,
        tuple(_sample(t, leaf, ends) for t, leaf in whole),
        prompt=root.text if root is not None and (known or root.text != problem.text) else None,
        prompt_ids=root.token_ids if root is not None and known else None,
        fields={**problem.metadata, **run_fields, **outcome.fields},
    )


# -- a trace as a sample ---------------------------------------------------------------------------------------


def _sample(trace: Trace, leaf: Leaf, ends: Ends) -> Sample:
    nodes = _behind_prompt(trace)
    tokens_known = all(len(n.segment.token_ids) or not n.segment.text for n in nodes)
    # A trace that this toolkit sampled names the request; an imported one can add nothing to its text.
    is_ours = any(n.segment.params or n.segment.seed is not None for n in nodes)
    return Sample(
        text=trace.completion,
        answer=leaf.answer,
        correct=leaf.correct,
        finish=leaf.finish,
        trace=name(trace.id) if is_ours else None,
        token_ids=np.concatenate([n.segment.token_ids for n in nodes]) if tokens_known and nodes else None,
        token_ends=_joined_ends(nodes, ends),
        stats=_joined_stats([n.segment for n in nodes]) if tokens_known else None,
        path=(*_foreign_prompt(trace, trace.id[: -len(nodes)]), *map(_path_entry, nodes)) if is_ours else (),
        metadata=trace.metadata,
    )


def _behind_prompt(trace: Trace) -> list[Trace]:
    nodes: list[Trace] = []
    node: Trace | None = trace
    while node is not None and node.segment.origin != "prompt":
        nodes.append(node)
        node = node.parent
    return nodes[::-1]


def _foreign_prompt(trace: Trace, root: TraceId) -> Iterator[dict[str, Any]]:
    """The prompt ``root`` of a trace, if it is not the problem's own, which the row has."""
    prompt = trace.path[0]
    if root != (0,):
        yield {"trace": name(root), "origin": "prompt", "text": prompt.text, "token_ids": prompt.token_ids.tolist()}


def _path_entry(node: Trace) -> dict[str, Any]:
    segment = node.segment
    reason = segment.reason
    return {
        "trace": name(node.id),
        "origin": segment.origin,
        "tokens": len(segment),
        "characters": len(segment.text),
        "finish": segment.finish,
        "reason": reason if isinstance(reason, str) else None,
        "stop_token": reason if isinstance(reason, int) else None,
        "seed": segment.seed,
        "params": segment.params,
        "sequential": node.sequential,
        "waited": None if node.waited is None else spelled(node.waited),
        "prompt_cached": segment.usage.prompt_cached if segment.usage else None,
        "prompt_computed": segment.usage.prompt_computed if segment.usage else None,
    }


def _joined_ends(nodes: Sequence[Trace], ends: Ends) -> IntArray | None:
    joined, offset = [np.empty(0, np.int64)], 0
    for node in nodes:
        own = ends.get(node.id)
        if own is None:
            return None
        joined.append(own + offset)
        offset += len(node.segment.text)
    return np.concatenate(joined) if nodes else None


def _joined_stats(segments: Sequence[Segment]) -> TokenStats | None:
    """The segments' statistics end to end; None if no segment has any."""
    known = [s.stats for s in segments if s.stats is not None]
    if not known:
        return None
    width = min(0 if stats.top_ids is None else stats.top_ids.shape[1] for stats in known)
    parts = [_filled(segment, width) for segment in segments]
    logprobs, ids, top_logprobs = map(np.concatenate, zip(*parts, strict=True))
    return TokenStats(logprobs, ids, top_logprobs) if width else TokenStats(logprobs)


def _filled(segment: Segment, width: int) -> tuple[FloatArray, IntArray, FloatArray]:
    """Log-probabilities, and ids and log-probabilities of the ``width`` most likely; NaN (ids: -1) where unknown."""
    stats, tokens = segment.stats, len(segment)
    no_ids, nothing = np.full((tokens, width), -1), np.full((tokens, width), np.nan, np.float32)
    if stats is None:
        return np.full(tokens, np.nan, np.float32), no_ids, nothing
    if stats.top_ids is None or stats.top_logprobs is None:
        return stats.logprobs, no_ids, nothing
    return stats.logprobs, stats.top_ids[:, :width], stats.top_logprobs[:, :width]


# -- a sample as a trace ---------------------------------------------------------------------------------------


def _traces(recording: Recording) -> list[Trace]:
    """The recording's samples as traces: the tree of our own exports, else siblings under one prompt."""
    ids = np.empty(0, np.int64) if recording.prompt_ids is None else recording.prompt_ids
    root = Trace((0,), Segment("prompt", ids, recording.prompt or recording.problem.text))
    tree: dict[TraceId, Trace] = {root.id: root}
    return [_planted(tree, sample, (0, i)) for i, sample in enumerate(recording.samples)]


def _planted(tree: dict[TraceId, Trace], sample: Sample, place: TraceId) -> Trace:
    """The sample as a leaf of ``tree``, to which the nodes on its path are added."""
    if not sample.path:
        return Trace(place, _segment(sample), tree[0,], _length(sample))
    text_at = token_at = 0
    for number, entry in enumerate(sample.path, 1):
        place = parse(entry["trace"])
        if entry["origin"] == "prompt":
            ids = np.array(entry["token_ids"], np.int64)
            tree.setdefault(place, Trace(place, Segment("prompt", ids, entry["text"])))
            continue
        texts, tokens = slice(text_at, text_at + entry["characters"]), slice(token_at, token_at + entry["tokens"])
        text_at, token_at = texts.stop, tokens.stop
        if place not in tree:
            metadata = sample.metadata if number == len(sample.path) else {}
            segment = _part(sample, entry, texts, tokens, metadata)
            waited = wait_of(entry["waited"]) if "waited" in entry else None
            tree[place] = Trace(place, segment, tree.get(place[:-1]), entry["sequential"], waited)
    return tree[place]


def _segment(sample: Sample) -> Segment:
    ids = np.empty(0, np.int64) if sample.token_ids is None else sample.token_ids
    stats = sample.stats if sample.token_ids is not None else None
    return Segment("sampled", ids, sample.text, stats, sample.finish, metadata=sample.metadata)


def _part(
    sample: Sample, entry: Mapping[str, Any], texts: slice, tokens: slice, metadata: Mapping[str, Any]
) -> Segment:
    """The segment that an entry of a sample's path describes."""
    ids = np.empty(0, np.int64) if sample.token_ids is None else sample.token_ids[tokens]
    computed = entry.get("prompt_computed")
    return Segment(
        entry["origin"],
        ids,
        sample.text[texts],
        _stats_part(sample.stats, tokens) if entry["origin"] == "sampled" and sample.token_ids is not None else None,
        entry.get("finish"),
        entry.get("stop_token", entry.get("reason")),
        entry.get("seed"),
        None if computed is None else Usage(entry["prompt_cached"], computed),
        entry.get("params", ""),
        metadata,
    )


def _stats_part(stats: TokenStats | None, tokens: slice) -> TokenStats | None:
    if stats is None or np.isnan(stats.logprobs[tokens]).all():
        return None
    return stats.part(tokens)


def _split_ends(trace: Trace, sample: Sample) -> Iterator[tuple[TraceId, IntArray | None]]:
    """The sample's token ends, segment by segment."""
    text_at = token_at = 0
    for node in _behind_prompt(trace):
        size = len(node.segment) if len(sample.path) > 1 else _length(sample)
        ends = None if sample.token_ends is None else sample.token_ends[token_at : token_at + size] - text_at
        yield node.id, ends
        token_at, text_at = token_at + size, text_at + len(node.segment.text)


def _length(sample: Sample) -> int:
    known = sample.token_ids if sample.token_ids is not None else sample.token_ends
    return 0 if known is None else len(known)


# -- files -----------------------------------------------------------------------------------------------------


def _write_json(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(to_json(row) + "\n")
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterator[dict[str, Any]]) -> int:
    import pyarrow
    import pyarrow.parquet

    listed = list(rows)
    names = dict.fromkeys(name for row in listed for name in row)
    listed = [{name: row.get(name) for name in names} for row in listed]  # else the first row decides on the columns
    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(listed), path)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError) as error:
        raise UsageError(f"these recordings do not fit a Parquet table ({error}): export to .jsonl") from error
    return len(listed)
