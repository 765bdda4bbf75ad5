"""A request's 63-bit seed in the forms that engines take."""

from __future__ import annotations

_MULTIPLIER = 0x9E37_79B9_7F4A_7C15  # 2**64 over the golden ratio: spreads every bit over the higher ones


def long_seed(seed: int) -> int:
    """63 bits whose low 32 depend on all of ``seed``: torch's CPU generator only uses those."""
    spread = seed * _MULTIPLIER & 0xFFFF_FFFF_FFFF_FFFF
    return (spread ^ (spread >> 32)) & 0x7FFF_FFFF_FFFF_FFFF


def short_seed(seed: int) -> int:
    """31 bits that depend on all of ``seed``: what every server accepts."""
    return (seed * _MULTIPLIER & 0xFFFF_FFFF_FFFF_FFFF) >> 33
