# SPDX-License-Identifier: Apache-2.0
"""The records of streams on a GPU, as the vectors have them, and damaged ones. Nothing here needs a GPU."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from shmlane import Corrupt
from shmlane.stream_gpu_memory import slot_bytes, unpack

from .conftest import ROOT


@pytest.fixture(scope="module")
def maker() -> Any:
    sys.path.insert(0, str(ROOT / "wire-format"))
    try:
        from vectormaker import gpu_streams
    finally:
        sys.path.pop(0)
    return gpu_streams


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 2**40])
def test_a_record_of_the_rules_is_understood_and_followed_by_the_next(maker: Any, number: int) -> None:
    found = unpack(maker.record(number))
    assert (found.number, found.metadata["slot"]) == (number, number % 3)
    assert found.metadata["offset"] == number % 3 * slot_bytes(48)
    following = found.next(48)
    assert following.pack().tobytes() == maker.record(number + 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"slot":1', b'"slot":3'),
        (b'"bytes":48', b'"bytes":47'),
        (b'"type":"cuda"', b'"type";"cuda"'),
        (b'"dtype":"<f4"', b'"dtype":"|O8"'),
    ],
)
def test_a_damaged_record_is_corrupt(maker: Any, old: bytes, new: bytes) -> None:
    raw = maker.record(1)
    assert raw.count(old) == 1
    with pytest.raises(Corrupt):
        unpack(raw.replace(old, new))


def test_a_record_longer_than_its_place_is_corrupt(maker: Any) -> None:
    raw = bytearray(maker.record(1))
    raw[128:132] = (4096 - 131).to_bytes(4, "little")
    with pytest.raises(Corrupt):
        unpack(bytes(raw))
