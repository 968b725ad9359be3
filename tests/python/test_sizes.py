# SPDX-License-Identifier: Apache-2.0
"""Sizes as text."""

from typing import Any

import numpy as np
import pytest

from shmlane.errors import InvalidArgument
from shmlane.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256MiB", 256 << 20),
        ("1 GiB", 1 << 30),
        ("64k", 64 << 10),
        ("64K", 64 << 10),
        ("64Ki", 64 << 10),
        ("2kB", 2000),
        ("2 GB", 2_000_000_000),
        ("1.5MiB", 3 << 19),
        ("1.0001MB", 1_000_100),
        ("4096", 4096),
        ("4096 B", 4096),
        (" 1TiB ", 1 << 40),
        (4096, 4096),
        (np.int64(4096), 4096),
    ],
)
def test_a_size_is_read(text: Any, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MiB", "1PiB", "-1", "1.3B", "1,5MiB", "0", 0, -1, 1.5, None, "9" * 30, "1iB", "\u0661"]
)
def test_what_is_no_size_is_refused(text: Any) -> None:
    with pytest.raises(InvalidArgument):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (32 << 20, "32.0 MiB"), (5 << 40, "5.0 TiB")]
)
def test_a_size_is_shown(size: int, text: str) -> None:
    assert format_size(size) == text
