# SPDX-License-Identifier: Apache-2.0
"""The backends themselves: names, round trips, holds, errors. Waiting is tested in test_backend_waits.py."""

import ast
import gc
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shmlane
from shmlane import _backend, errors

pytestmark = pytest.mark.usefixtures("backend")

BYTES = b'{"type":"bytes"}'
_numbers = itertools.count()


@pytest.fixture
def name() -> Iterator[str]:
    unique = f"test-backend-{os.getpid()}-{next(_numbers)}"
    yield unique
    gc.collect()
    with suppress(errors.NotFound):
        _backend.active.remove_segment(unique, force=True)


@pytest.fixture
def ends(name: str) -> Iterator[tuple[Any, Any]]:
    producer = _backend.active.Producer(name, capacity=1 << 20)
    consumer = _backend.active.Consumer(name)
    yield producer, consumer
    producer.close()
    consumer.close()


def holds(name: str) -> int:
    return sum(len(participant["holds"]) for participant in _backend.active.inspect_segment(name)["participants"])


def test_every_name_of_the_stub_exists() -> None:
    stub = ast.parse((Path(shmlane.__file__).parent / "_native.pyi").read_text())
    classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            assert hasattr(_backend.active, node.name), node.name
        if isinstance(node, ast.AnnAssign):
            assert hasattr(_backend.active, node.target.id)
    for owner in classes.keys() - {"_Handle"}:
        bases = [classes[base.id] for base in classes[owner].bases if base.id in classes]
        for part in [classes[owner], *bases]:
            for method in (node.name for node in part.body if isinstance(node, ast.FunctionDef)):
                if method != "__buffer__":
                    assert hasattr(getattr(_backend.active, owner), method), f"{owner}.{method}"


TEXTS = ["", "plain", "h\xe9llo", "\u65e5\u672c", "\U0001f600", "a\x00b", "\xe9" * 40_000]
BLOBS = [b"", b"\x00", bytes(range(256)), os.urandom(16_384), os.urandom(16_385), os.urandom(500_000)]


@pytest.mark.parametrize("obj", TEXTS + BLOBS, ids=lambda obj: f"{type(obj).__name__}-{len(obj)}")
def test_bytes_and_str_come_back_as_they_were(ends: Any, obj: Any) -> None:
    producer, consumer = ends
    assert producer.push_plain(obj) is True
    result = consumer.pop_plain(0)
    assert type(result) is type(obj)
    assert result == obj


NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", "c8", "c16", "G"]
DTYPES = ["?", *NUMBERS, *(f">{name}" for name in NUMBERS), "S1", "S7", "U1", "U5", ">U3"]
TIMES = ["M8", "m8", "M8[ns]", "M8[D]", "M8[25s]", "m8[us]", ">M8[ms]", ">m8[h]"]
SHAPES = [(), (0,), (1,), (7,), (2, 3), (0, 5), (3, 1, 2), (1,) * 12, (130, 130)]


def filled(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.zeros(shape, dtype)
    if array.dtype.kind == "U":
        array[...] = "\u00fc" * (array.itemsize // 4)
    elif array.dtype.kind == "b":
        array[...] = np.arange(array.size).reshape(shape) % 2
    elif array.nbytes:
        flat = np.frombuffer(bytearray(i % 100 for i in range(array.nbytes)), np.uint8)
        array = np.frombuffer(flat, array.dtype).reshape(shape)
    return array


@pytest.mark.parametrize("dtype", DTYPES + TIMES)
def test_arrays_come_back_as_they_were(ends: Any, dtype: str) -> None:
    producer, consumer = ends
    for shape in SHAPES:
        array = filled(dtype, shape)
        assert producer.push_plain(array) is True
        result = consumer.pop_plain(0)
        assert type(result) is np.ndarray
        assert (result.dtype.str, result.shape) == (array.dtype.str, array.shape)
        assert result.tobytes() == array.tobytes()
        assert result.flags.writeable
        assert result.flags.c_contiguous


def test_metadata_is_canonical(ends: Any) -> None:
    producer, consumer = ends
    for obj, text in [
        (b"x", BYTES),
        ("x", b'{"type":"text"}'),
        (np.zeros((2, 3), "f4"), b'{"type":"ndarray","dtype":"<f4","shape":[2,3]}'),
        (np.array(True), b'{"type":"ndarray","dtype":"|b1","shape":[]}'),
        (np.zeros(1, "M8[ns]"), b'{"type":"ndarray","dtype":"<M8[ns]","shape":[1]}'),
    ]:
        producer.push_plain(obj)
        assert consumer.acquire(0).metadata == text


class Text(str):
    __slots__ = ()


NOT_PLAIN = {
    "bytearray": bytearray(b"x"),
    "list": [1],
    "none": None,
    "str subclass": Text("x"),
    "number": np.float32(1),
    "structured": np.zeros(2, [("a", "i4")]),
    "object": np.array([None]),
    "void": np.zeros(2, "V4"),
    "fortran order": np.zeros((2, 3), order="F"),
    "strided": np.zeros(8)[::2],
    "masked": np.ma.zeros(3),
    "record": np.zeros(2, [("a", "i4")]).view(np.recarray),
}


@pytest.mark.parametrize("obj", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_what_is_not_plain_is_left_to_the_codecs(ends: Any, obj: Any) -> None:
    producer, _ = ends
    assert producer.push_plain(obj) is False
    assert producer.size() == 0


def test_lone_surrogates_are_refused(ends: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="surrogates"):
        ends[0].push_plain("\ud800")


FOREIGN = [
    b'{"type":"bytes", "note":1}',
    b'{"type": "text"}',
    b'{"type":"json"}',
    b'{"dtype":"<f4","type":"ndarray","shape":[1]}',
    b'{"type":"ndarray","dtype":"f4","shape":[1]}',
    b'{"type":"ndarray","dtype":"=f4","shape":[1]}',
    b'{"type":"ndarray","dtype":"|f4","shape":[1]}',
    b'{"type":"ndarray","dtype":"<f4","shape":[01]}',
    b'{"type":"ndarray","dtype":"<f4","shape":[-1]}',
    b'{"type":"ndarray","dtype":"<f4","shape":[1.0]}',
    b'{"type":"ndarray","dtype":"<f4","shape":[1],"x":0}',
    b'{"type":"ndarray","dtype":"<f4","shape":[99999999999999999999]}',
    b'{"type":"ndarray","dtype":"|O8","shape":[1]}',
    b'{"type":"ndarray","dtype":"<f4,<f4","shape":[1]}',
    b'{"type":"ndarray","dtype":"<M8[no]","shape":[1]}',
    b'{"type":"ndarray","dtype":"<U999999999999","shape":[1]}',
    b'{"type":"ndarray","dtype":"|S0","shape":[1]}',
    b'{"type":"ndarray","dtype":"<f4","shape":[' + b",".join([b"1"] * 65) + b"]}",
    b'{"type":"ndarray","dtype":"<f4","shape":[1',
]


@pytest.mark.parametrize("metadata", FOREIGN)
def test_metadata_that_is_not_canonical_arrives_as_a_lease(ends: Any, metadata: bytes) -> None:
    producer, consumer = ends
    producer.push(metadata, [b"1234"])
    lease = consumer.pop_plain(0)
    assert type(lease) is _backend.active.Lease
    assert (lease.metadata, bytes(lease)) == (metadata, b"1234")


CORRUPT = [
    (b'{"type":"text"}', b"\xff\xfe"),
    (b'{"type":"text"}', b"abc\xed\xa0\x80"),
    (b'{"type":"ndarray","dtype":"<f4","shape":[2]}', b"1234"),
    (b'{"type":"ndarray","dtype":"<f4","shape":[]}', b"12345678"),
    (b'{"type":"ndarray","dtype":"<f4","shape":[0]}', b"1234"),
    (b'{"type":"ndarray","dtype":"<f4","shape":[4611686018427387905]}', b"1234"),
    (b'{"type":"ndarray","dtype":"<f4","shape":[4294967296,4294967296,4]}', b""),
    (b'{"type":"ndarray","dtype":"<f4","shape":[0,9223372036854775807,9]}', b""),
]


@pytest.mark.parametrize(("metadata", "payload"), CORRUPT)
def test_contents_that_break_their_metadata_are_corrupt_and_given_back(
    ends: Any, metadata: bytes, payload: bytes
) -> None:
    producer, consumer = ends
    producer.push(metadata, [payload])
    producer.push_plain(b"next")
    with pytest.raises(errors.Corrupt):
        consumer.pop_plain(0)
    assert holds(producer.name) == 0
    assert consumer.pop_plain(0) == b"next"


def test_a_batch_stops_before_the_first_object_that_is_not_plain(ends: Any) -> None:
    producer, consumer = ends
    assert producer.push_plain_many([b"a", "b", [1], b"c"]) == 2
    assert producer.push_plain_many(([1], b"c")) == 0
    assert producer.push_plain_many([]) == 0
    assert consumer.pop_plain_many(10) == [b"a", "b"]


def test_a_batch_pushes_what_fits_and_raises_full_when_nothing_does(ends: Any) -> None:
    producer, consumer = ends
    objs = [bytes(300_000) for _ in range(10)]
    assert producer.push_plain_many(objs, 0) == 3
    with pytest.raises(errors.Full):
        producer.push_plain_many(objs, 0)
    assert len(consumer.pop_plain_many(2, 0)) == 2
    assert len(consumer.pop_plain_many(2, 0)) == 1


def test_one_bad_object_of_a_batch_does_not_lose_the_others(ends: Any) -> None:
    producer, consumer = ends
    producer.push_plain(b"one")
    producer.push(b'{"type":"text"}', [b"\xff"])
    producer.push_plain(b"three")
    one, two, three = consumer.pop_plain_many(3)
    assert (one, two.metadata, three) == (b"one", b'{"type":"text"}', b"three")


def test_a_payload_in_parts_is_their_concatenation(ends: Any) -> None:
    producer, consumer = ends
    producer.push(BYTES, [b"ab", b"", np.arange(3, dtype="u1"), memoryview(b"xyz")[1:], np.zeros(1, "M8[s]")])
    assert consumer.pop_plain(0) == b"ab\x00\x01\x02yz" + bytes(8)
    with pytest.raises((BufferError, ValueError)):
        producer.push(BYTES, [np.zeros((4, 4), order="F")[1:]])
    with pytest.raises(TypeError):
        producer.push(BYTES, ["text"])
    assert producer.size() == 0


def test_a_lease_is_read_only_aligned_and_kept_by_its_views(ends: Any) -> None:
    producer, consumer = ends
    producer.push_plain(b"0123456789")
    lease = consumer.acquire(0)
    assert (lease.nbytes, lease.attempt) == (10, 0)
    view = np.frombuffer(lease, np.uint8)
    part = memoryview(lease)[3:5]
    assert not view.flags.writeable
    assert view.ctypes.data % 64 == 0
    del lease
    consumer.close()
    del view
    assert bytes(part) == b"34"
    assert holds(producer.name) == 1
    del part
    assert holds(producer.name) == 0


def test_a_writable_buffer_of_a_lease_is_refused(ends: Any) -> None:
    producer, consumer = ends
    producer.push_plain(b"x")
    with pytest.raises((BufferError, ValueError), match=r"not writable|read-only"):
        os.readv(0, [consumer.acquire(0)])


def test_a_reservation_is_written_in_place_and_published_by_commit(ends: Any) -> None:
    producer, consumer = ends
    reservation = producer.reserve(BYTES, 10)
    view = np.frombuffer(reservation, np.uint8)
    assert (reservation.nbytes, reservation.open, view.ctypes.data % 64) == (10, True, 0)
    view[:] = np.arange(10)
    with pytest.raises(errors.Empty):
        consumer.pop_plain(0)
    reservation.commit()
    assert not reservation.open
    assert consumer.pop_plain(0) == bytes(range(10))


def test_a_reservation_may_be_committed_smaller_and_with_other_metadata(ends: Any) -> None:
    producer, consumer = ends
    for metadata, nbytes, expected in [(None, 3, b"abc"), (b'{"type":"text"}', None, "abcdef"), (BYTES, 0, b"")]:
        reservation = producer.reserve(BYTES, 6)
        memoryview(reservation)[:] = b"abcdef"
        reservation.commit(metadata, nbytes)
        assert consumer.pop_plain(0) == expected


def test_a_reservation_that_is_too_small_stays_open(ends: Any) -> None:
    reservation = ends[0].reserve(BYTES, 6)
    with pytest.raises(errors.TooLarge):
        reservation.commit(nbytes=7)
    with pytest.raises(errors.TooLarge):
        reservation.commit(b'{"type":"' + b"x" * 1000 + b'"}')
    assert reservation.open


@pytest.mark.parametrize("end", ["commit", "abort"])
def test_a_reservation_is_of_no_use_after_its_end_and_never_crashes(ends: Any, end: str) -> None:
    producer, consumer = ends
    reservation = producer.reserve(BYTES, 64)
    stale = memoryview(reservation)
    getattr(reservation, end)()
    # Before 3.12 no class of Python gives its buffer itself.
    if _backend.active.__name__ == "shmlane._native" or sys.version_info >= (3, 12):
        with pytest.raises(errors.Closed):
            memoryview(reservation)
    with pytest.raises(errors.Closed):
        reservation.commit()
    producer.close()
    consumer.close()
    assert len(bytes(stale)) == 64


def test_a_forgotten_reservation_is_given_back(ends: Any) -> None:
    producer, consumer = ends
    producer.reserve(BYTES, 10)
    producer.push_plain(b"next")
    assert consumer.pop_plain(0) == b"next"
    assert holds(producer.name) == 0


def test_a_policy_that_drops_gives_no_reservation(name: str) -> None:
    producer = _backend.active.Producer(name, capacity=1 << 12, policy="drop_newest", wait_for_consumer=None)
    while producer.reserve(BYTES, 500, 0) is not None:
        producer.push_plain(bytes(500))
    assert producer.stat()["dropped"] >= 1
