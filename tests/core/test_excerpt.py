"""Excerpts of traces in other traces: they keep their tokens where token boundaries allow, and always their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.core.chat_options import NO_OPTIONS, ChatOptions
from widthwise.core.trace.excerpt import Excerpt, joined_ids, kept_before
from widthwise.core.trace.trace import Segment, Trace


class Pairs:
    """Two characters per token where possible; encoding a text again can give other tokens than sampling did."""

    eos_ids = frozenset({0})
    bos_id: int | None = None
    controls: Mapping[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [int.from_bytes(text[i : i + 2].encode(), "big") for i in range(0, len(text), 2)]

    def decode(self, ids: Any) -> str:
        return "".join("$" if i == 0 else int(i).to_bytes(2, "big").lstrip(b"\0").decode() for i in ids)

    def chat(self, messages: Sequence[Any], options: ChatOptions = NO_OPTIONS) -> list[int]:
        return []


TOKENS = st.lists(st.text("ab<>", min_size=1, max_size=2), max_size=8)


def trace_of(pieces: Sequence[Sequence[str]]) -> Trace:
    tokenizer = Pairs()
    trace = Trace((0,), Segment("prompt", np.array([], np.int64), ""))
    for tokens in pieces:
        ids = np.array([tokenizer.encode(token)[0] for token in tokens], np.int64)
        trace = Trace((*trace.id, 0), Segment("sampled", ids, "".join(tokens)), trace)
    return trace


@settings(deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=3), st.data())
def test_a_tail_spells_the_text_and_keeps_tokens_where_one_begins_there(pieces: list[list[str]], data: Any) -> None:
    root = trace_of([])
    trace = trace_of(pieces)
    whole = Excerpt.of(trace, root, Pairs())
    start = data.draw(st.integers(0, len(whole.text)))
    tail = whole.behind(start, Pairs())
    assert Pairs().decode(tail.token_ids) == tail.text == whole.text[start:]
    tokens = [token for piece in pieces for token in piece]
    if start in np.cumsum([0, *map(len, tokens)]):
        assert tail.token_ids.tolist() == whole.token_ids[len(whole.token_ids) - len(tail.token_ids) :].tolist()


def test_the_end_of_sequence_does_not_stand_in_another_trace() -> None:
    root = trace_of([])
    ids = np.array([*Pairs().encode("ab"), 0], np.int64)
    trace = Trace((0, 0), Segment("sampled", ids, "ab$", finish="stop"), root)
    excerpt = Excerpt.of(trace, root, Pairs())
    assert (excerpt.text, excerpt.token_ids.tolist()) == ("ab", Pairs().encode("ab"))


def test_joined_pieces_are_encoded_as_few_texts_as_possible() -> None:
    piece = Excerpt(np.array([7, 8], np.int64), "\x07\x08")
    ids, text = joined_ids(["a", "", "bc", piece, "d"], Pairs())
    assert ids.tolist() == [*Pairs().encode("abc"), 7, 8, *Pairs().encode("d")]
    assert text == "abc\x07\x08d"


@settings(deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=3))
def test_what_is_kept_before_a_tag_spells_the_text_before_its_last_place(pieces: list[list[str]]) -> None:
    trace = trace_of(pieces)
    found = kept_before(trace, "<", Pairs())
    texts = ["".join(tokens) for tokens in pieces]
    if found is None:
        assert not any("<" in text for text in texts)
        return
    parent, segment = found
    last = max(i for i, text in enumerate(texts) if "<" in text)
    expected = "".join(texts[:last]) + texts[last][: texts[last].rindex("<")]
    assert (parent.completion if parent else "") + segment.text == expected
    assert Pairs().decode(segment.token_ids) == segment.text
