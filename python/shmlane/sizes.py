# SPDX-License-Identifier: Apache-2.0
"""Sizes as people write them ("256MiB") and read them ("256.0 MiB")."""

import operator
import re
from typing import SupportsIndex

from .errors import InvalidArgument

_PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(ib?|b)?\s*", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_LARGEST = 2**63 - 1


def parse_size(text: str | SupportsIndex) -> int:
    """Bytes in ``text``: a number, or one with a unit.

    ``KiB MiB GiB TiB`` and the bare letters ``k m g t`` are powers of 1024, ``kB MB GB TB`` powers of 1000,
    in any case. Raises InvalidArgument for anything else, and for sizes that are not whole bytes between 1 and 2^63-1.
    """
    if isinstance(text, str):
        size = _parse_text(text)
    else:
        try:
            size = operator.index(text)
        except TypeError:
            raise InvalidArgument(f'a size is a number of bytes or a text like "256MiB", not {text!r}') from None
    if not 1 <= size <= _LARGEST:
        raise InvalidArgument(f"the size {text!r} is not between 1 byte and 2^63-1 bytes")
    return size


def _parse_text(text: str) -> int:
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise InvalidArgument(f'{text!r} is no size; write bytes or a number with a unit, as in "256MiB"')
    number, letter, suffix = match.group(1), match.group(2).lower(), (match.group(3) or "").lower()
    base = 1000 if suffix == "b" else 1024
    whole, _, fraction = number.partition(".")
    unit: int = base ** _POWERS[letter]
    size, rest = divmod(int(whole + fraction) * unit, int(10 ** len(fraction)))
    if rest or (suffix.startswith("i") and not letter):
        raise InvalidArgument(f"{text!r} is not a whole number of bytes")
    return size


def format_size(size_bytes: int) -> str:
    """``size_bytes`` for people, in powers of 1024: ``"0 B"``, ``"1.5 KiB"``, ``"32.0 MiB"``."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
