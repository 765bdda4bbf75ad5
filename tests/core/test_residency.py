"""What caches hold: by node, and by content, checked against a plain set of each model's prefixes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.core.scripted import Scripted, session
from widthwise.core.session.content_residency import ContentResidency, distinct_tokens
from widthwise.core.trace.trace import MODEL, Segment, Trace

RUNS = st.lists(st.integers(0, 1), max_size=6)
MODELS = st.sampled_from([("",), ("", ""), ("small", "large"), ("small", "large", "small")])


def trace(id: tuple[int, ...], tokens: list[int], parent: Trace | None = None) -> Trace:
    return Trace(id, Segment("sampled", np.array(tokens, np.int64), ""), parent)


def prompt_of(model: str, number: int, tokens: list[int]) -> Trace:
    return Trace((number,), Segment("prompt", np.array(tokens, np.int64), "", metadata={MODEL: model} if model else {}))


def prefixes(paths: list[tuple[str, list[int]]]) -> int:
    """How many different beginnings the paths of the models have."""
    return len({(model, *path[:end]) for model, path in paths for end in range(1, len(path) + 1)})


def path_of(trace: Trace) -> tuple[str, list[int]]:
    return trace.model, trace.token_ids.tolist()


@given(st.data())
def test_by_content_equal_prefixes_count_once_whoever_grows_or_is_held(data: st.DataObject) -> None:
    residency = ContentResidency()
    growing: dict[tuple[int, ...], tuple[Trace, list[int]]] = {}
    known = [prompt_of(model, i, data.draw(RUNS)) for i, model in enumerate(data.draw(MODELS))]
    held, number = list[Trace](), len(known)
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["begin", "grow", "end", "hold", "release"]))
        if action == "begin":
            growing[0, number], number = (data.draw(st.sampled_from(known)), []), number + 1
        elif action == "grow" and growing:
            id = data.draw(st.sampled_from(sorted(growing)))
            parent, tokens = growing[id]
            more = data.draw(RUNS)
            residency.grow(id, parent, np.array(more, np.int64))
            tokens += more
        elif action == "end" and growing:
            id = data.draw(st.sampled_from(sorted(growing)))
            parent, tokens = growing.pop(id)
            known.append(trace(id, tokens, parent))
            residency.end(known[-1])
        elif action == "hold":
            held.append(data.draw(st.sampled_from(known)))
            residency.hold(held[-1])
        elif action == "release" and held:
            residency.release(held.pop(data.draw(st.integers(0, len(held) - 1))))
        live = [path_of(trace(id, tokens, parent)) for id, (parent, tokens) in growing.items() if tokens]
        assert residency.resident == prefixes([*live, *map(path_of, held)])


def test_distinct_tokens_of_traces() -> None:
    root = trace((0,), [9, 9])
    twins = [trace((0, i), [1, 2, 3], root) for i in range(2)]
    other = trace((0, 2), [1, 2, 4], root)
    assert distinct_tokens([*twins, other]) == (2 + 3 + 3 + 3, 2 + 3 + 1)
    assert distinct_tokens([]) == (0, 0)


def test_models_share_nothing_even_where_their_tokens_are_equal() -> None:
    prompts = [prompt_of(model, i, [9, 9]) for i, model in enumerate(("small", "large", "small"))]
    twins = [trace((i, 0), [1, 2, 3], prompt) for i, prompt in enumerate(prompts)]
    assert distinct_tokens(twins) == (3 * 5, 2 * 5)


async def test_equal_samples_are_held_once_by_content_and_each_by_node() -> None:
    s = session(Scripted(["abc"]))
    await s.sample(s.root, 5)
    await s.settle()
    prompt = len(s.root.segment)
    assert s.ledger.kv_peak == prompt + 5 * 4
    assert s.ledger.kv_content_peak == prompt + 4
    assert prompt < s.ledger.kv_content_mean < s.ledger.kv_mean
    assert s._shared.accounts.content.resident == s._shared.accounts.residency.resident == 0
