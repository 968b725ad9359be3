# SPDX-License-Identifier: Apache-2.0
"""Streams and tensors as every backend shows and tidies them up, whoever made them."""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from shmlane import errors
from shmlane._pure import wire

STREAM, TENSOR = wire.Kind.STREAM, wire.Kind.TENSOR
LIVE = 1


@pytest.fixture
def path(name: str) -> Iterator[Path]:
    path = Path(f"/dev/shm/shmlane.{name}")
    yield path
    path.unlink(missing_ok=True)


def make(path: Path, kind: int, *, dead: int = 0, slots: int = 3, shape: tuple[int, ...] = (2, 5)) -> None:
    """A segment with float32 in it, with so many entries of participants that died."""
    memory = bytearray(wire.BODY_OFFSET + 4096)
    header, array = wire.SegmentHeader, wire.ArrayHeader
    struct.pack_into("<QIIQQ", memory, header.magic, wire.MAGIC, wire.VERSION, kind, wire.LAYOUT, 0x1234)
    struct.pack_into("<II", memory, header.state, wire.SegmentState.READY, 0)
    struct.pack_into("<QQQII", memory, header.body_offset, wire.BODY_OFFSET, 4096, 10**18, 7, 0o640)
    struct.pack_into("<I", memory, header.used_entries, dead)
    for index in range(dead):
        struct.pack_into("<Q", memory, wire.TABLE_OFFSET + index * wire.ParticipantEntry.SIZE, LIVE | 1 << 32)
    nbytes = 4 * shape[0] * shape[1]
    struct.pack_into("<QQIIII", memory, wire.ARRAY_OFFSET, nbytes, 64, slots, len(shape), 4, 5)
    struct.pack_into(f"<{len(shape)}q", memory, wire.ARRAY_OFFSET + array.shape, *shape)
    at = wire.ARRAY_OFFSET + array.dtype
    memory[at : at + 5] = b'"<f4"'
    if kind == STREAM:
        struct.pack_into("<QQQ", memory, wire.CONTROL_OFFSET + wire.StreamControl.writing, 9, 65537, 5 * 10**8)
        struct.pack_into("<Q", memory, wire.CONTROL_OFFSET + wire.StreamControl.published, 9 << 8 | 1)
        struct.pack_into("<Q", memory, wire.CONTROL_OFFSET + wire.StreamControl.value_bell, 5)
        struct.pack_into("<Q", memory, wire.CONTROL_OFFSET + wire.StreamControl.write_lock, 1 << 16 | 1)
    path.write_bytes(memory)


def test_a_stream_shows_its_array_and_who_wrote_last(path: Path, name: str, backend: ModuleType) -> None:
    make(path, STREAM, dead=1)
    facts = backend.inspect_segment(name)
    shown = {key: facts[key] for key in ("kind", "state", "dtype", "shape", "nbytes", "slots", "count", "writer")}
    assert shown == {
        "kind": "stream", "state": "ready", "dtype": "<f4", "shape": (2, 5), "nbytes": 40, "slots": 3, "count": 9,
        "writer": 65537,
    }  # fmt: skip
    assert (facts["write_time"], facts["pushed"], facts["pushed_bytes"]) == (0.5, 9, 360)
    assert (facts["items_waiters"], facts["space_waiters"], facts["objects"]) == (1, 0, 0)
    assert (facts["capacity"], facts["used"]) == (4096, 4096)
    (writer,) = facts["participants"]
    assert (writer["alive"], writer["locks"], writer["holds"]) == (False, ["write"], [])


def test_a_tensor_shows_its_array_and_no_value(path: Path, name: str, backend: ModuleType) -> None:
    make(path, TENSOR, slots=1)
    facts = backend.inspect_segment(name)
    assert (facts["kind"], facts["shape"], facts["slots"], facts["count"]) == ("tensor", (2, 5), 1, 0)
    assert facts in backend.list_segments()


def test_the_dead_of_a_stream_are_reaped_and_its_value_stays(path: Path, name: str, backend: ModuleType) -> None:
    make(path, STREAM, dead=2)
    assert backend.reap_segment(name) == 2
    assert backend.reap_segment(name) == 0
    assert backend.inspect_segment(name)["participants"] == []
    assert backend.remove_remains(name) is False
    assert backend.remove_remains(name, True) is True
    assert not path.exists()


def test_a_stream_is_removed_when_nobody_lives_in_it_or_by_force(path: Path, name: str, backend: ModuleType) -> None:
    make(path, STREAM, dead=1)
    with path.open("r+b") as file:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, wire.ENTRY_LOCK_BYTE, 1, 0))
        assert backend.remove_segment(name) is False
        assert backend.remove_segment(name, True) is True
        file.seek(wire.SegmentHeader.state)
        assert file.read(4)[0] == wire.SegmentState.REMOVED
        file.seek(wire.CONTROL_OFFSET + wire.StreamControl.value_bell)
        assert file.read(8)[0] == 6  # rung


@pytest.mark.parametrize(("slots", "shape"), [(2, (2, 5)), (3, (2, 6)), (80, (2, 5))])
def test_an_array_s_header_that_cannot_be_is_corrupt(
    path: Path, name: str, backend: ModuleType, slots: int, shape: tuple[int, ...]
) -> None:
    make(path, STREAM, slots=slots, shape=shape)
    with path.open("r+b") as file:
        file.seek(wire.ARRAY_OFFSET)
        file.write(struct.pack("<Q", 40))
    with pytest.raises(errors.Corrupt):
        backend.inspect_segment(name)


def test_a_queue_is_not_opened_over_a_stream(path: Path, name: str, backend: ModuleType) -> None:
    make(path, STREAM, dead=1)
    for end in (backend.Producer, backend.Consumer):
        with pytest.raises(errors.WrongKind, match="stream"):
            end(name)
    assert path.exists()
