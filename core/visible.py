"""Text from others made safe to look at: control characters are spelled out."""

from __future__ import annotations

import re

from widthwise.core.plain_json import well_formed
from widthwise.core.secrets import masked

# Control characters except tab and line end, and the marks that change the direction of text.
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """``text`` without keys, and with every character spelled out that a terminal would obey instead of showing."""
    return ACTIVE.sub(_spelled, masked(well_formed(text)).replace("\r\n", "\n"))


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
