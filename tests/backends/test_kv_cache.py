"""The prefix cache against a simple model of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.backends.embedded.kv_cache import PrefixCache, shared_length
from widthwise.backends.embedded.kv_pool import KVPool
from widthwise.core.arrays import FloatArray, IntArray

TOKEN_BYTES = 1 * 2 * 1 * 1 * 4


def kv_of(tokens: IntArray) -> FloatArray:
    """Keys and values ``[1, 2, 1, T, 1]`` that show which prefix each position belongs to."""
    marks = [hash(tuple(tokens[: i + 1].tolist())) % 10007 for i in range(len(tokens))]
    return np.array([marks, marks], np.float32).reshape(1, 2, 1, len(tokens), 1)


def ids(*tokens: int) -> IntArray:
    return np.array(tokens, np.int64)


def loaded(cache: PrefixCache, tokens: IntArray) -> FloatArray:
    kv = np.zeros((1, 2, 1, len(tokens), 1), np.float32)
    return kv[:, :, :, : cache.load(tokens, kv)]


def test_prefixes_are_shared_to_the_token() -> None:
    cache = PrefixCache()
    first, second = ids(1, 2, 3, 4), ids(1, 2, 9)
    cache.insert(first, kv_of(first))
    assert cache.match(second) == 2
    cache.insert(second, kv_of(second))
    assert cache.nbytes == 5 * TOKEN_BYTES
    assert cache.match(ids(1, 2, 3, 4, 5)) == 4
    assert cache.match(ids(7)) == 0
    assert (loaded(cache, second) == kv_of(second)).all()


def test_the_least_recently_used_goes_first() -> None:
    cache = PrefixCache()
    for tokens in (ids(1, 2, 3), ids(1, 2, 4), ids(5, 6)):
        cache.insert(tokens, kv_of(tokens))
    cache.match(ids(1, 2, 3))
    cache.evict(5 * TOKEN_BYTES)
    assert [cache.match(t) for t in (ids(1, 2, 3), ids(1, 2, 4), ids(5, 6))] == [3, 2, 2]
    cache.evict(0)
    assert cache.nbytes == 0
    assert cache.match(ids(1)) == 0


sequences = st.lists(st.integers(0, 2), min_size=1, max_size=9)


@pytest.mark.slow
@given(st.lists(st.tuples(sequences, st.booleans(), st.integers(0, 30)), max_size=30))
def test_what_is_found_is_right_and_within_the_limit(steps: list[tuple[list[int], bool, int]]) -> None:
    cache, inserted = PrefixCache(), [ids()]
    for tokens, evicts, limit in steps:
        asked = ids(*tokens)
        best = max(shared_length(asked, known) for known in inserted)
        assert cache.match(asked) <= best
        found = loaded(cache, asked)
        assert (found == kv_of(asked)[:, :, :, : found.shape[3]]).all()
        if evicts:
            cache.evict(limit * TOKEN_BYTES)
            assert cache.nbytes <= limit * TOKEN_BYTES
        else:
            cache.insert(asked, kv_of(asked))
            inserted.append(asked)
            assert cache.match(asked) == len(asked)


def test_a_pool_has_no_gaps() -> None:
    pool = KVPool((1, 2, 1, 64, 1))
    for row in (7, 8, 9):
        slot = pool.add(row, expected=2)
        pool.kv[slot] = row
    assert pool.remove(0) == 9
    assert pool.rows.tolist() == [9, 8]
    assert (pool.kv[0] == 9).all()
    assert pool.remove(1) is None
    assert pool.nbytes == 2 * 64 * 4
    assert pool.remove(0) is None
    assert pool.nbytes == 0


@pytest.mark.parametrize(
    ("head_dim", "sizes", "copies"),
    [(1, [256], 0), (256, [256, 64, 16], 32 + 8), (4096, [256, 64, 16, 4, 0], 32 + 8 + 2)],
)
def test_a_pool_gives_memory_back_and_is_rarely_copied(head_dim: int, sizes: list[int], copies: int) -> None:
    pool, copied, most = KVPool((1, 2, 1, 64, head_dim)), 0, 256
    for row in range(most):
        slot = pool.add(row, expected=most)
        pool.kv[slot, ..., 0] = row
    memory, capacities = pool._kv, [len(pool._rows)]
    for used in range(most - 1, -1, -1):
        pool.remove(used // 2)
        if pool._kv is not memory:
            memory, copied = pool._kv, copied + used
            capacities.append(len(pool._rows))
        assert (pool.kv[..., 0] == pool.rows[:, None, None, None, None]).all()
    assert (capacities, copied) == (sizes, copies)
    for row in range(sizes[-1]):  # what is left serves the next ones
        pool.add(row, expected=1)
    assert pool._kv is memory
