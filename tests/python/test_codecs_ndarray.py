# SPDX-License-Identifier: Apache-2.0
"""The codec of ndarray."""

import array
import builtins
import ctypes
import itertools
import json
import logging
import mmap
from typing import Any, ClassVar

import ml_dtypes
import numpy as np
import pytest
from frames import context, decode, encode, there_and_back

import shmlane
from shmlane.codec import Take
from shmlane.errors import Corrupt, UnsupportedType

STRUCTURED = [
    np.dtype([("x", "<f4"), ("y", ">i2", (3,)), ("name", "S4")]),
    np.dtype([("a", "u1"), ("b", "<f8")], align=True),
    np.dtype([("outer", [("inner", "<M8[ns]"), ("more", "?", (2, 2))])]),
    np.dtype({"names": ["a"], "formats": ["u1"], "offsets": [5], "itemsize": 9}),
    np.dtype([(("a title", "a"), "<i4")]),
]
DTYPES = [
    *map(np.dtype, "?bBhHiIqQefdgFDG"),
    *(np.dtype(f"{order}{kind}") for order in "<>" for kind in ("i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16")),
    *map(np.dtype, ("M8[ns]", "M8[25s]", "m8[us]", "M8[D]", "S7", "U3", ">U2", "V5")),
    *map(np.dtype, (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)),
    *STRUCTURED,
]
SHAPES = [(), (0,), (1,), (7,), (3, 4), (2, 0, 3), (2, 3, 4)]


def counting(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    kind = np.dtype(dtype)
    nbytes = int(np.prod(shape)) * kind.itemsize
    data = bytes(nbytes) if kind.kind in "US" else (np.arange(nbytes) % 2).astype(np.uint8).tobytes()
    return np.frombuffer(data, kind).reshape(shape) if nbytes else np.empty(shape, kind)


def assert_same(a: np.ndarray, b: Any) -> None:
    assert type(b) is np.ndarray
    assert b.dtype == a.dtype
    assert b.shape == a.shape
    assert b.tobytes() == a.tobytes()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_crosses_in_every_shape(dtype: np.dtype[Any]) -> None:
    for shape, take in itertools.product(SHAPES, Take):
        original = counting(dtype, shape)
        assert_same(original, there_and_back(original, take))


def test_the_metadata_is_as_specified() -> None:
    def metadata(obj: Any) -> str:
        return encode(obj)[0].decode()

    assert metadata(np.zeros((2, 3), ">f4")) == '{"type":"ndarray","dtype":">f4","shape":[2,3]}'
    assert metadata(np.zeros((), "?")) == '{"type":"ndarray","dtype":"|b1","shape":[]}'
    assert metadata(np.zeros(1, "M8[ns]")) == '{"type":"ndarray","dtype":"<M8[ns]","shape":[1]}'
    assert metadata(np.zeros(1, ml_dtypes.bfloat16)) == '{"type":"ndarray","dtype":"bfloat16","shape":[1]}'
    structured = metadata(np.zeros(1, [("a", "<i4"), ("b", "u1", (2,))]))
    assert structured == '{"type":"ndarray","dtype":[["a","<i4"],["b","|u1",[2]]],"shape":[1]}'


@pytest.mark.parametrize("dtype", [np.dtype("<f4"), np.dtype("M8[s]"), STRUCTURED[0], STRUCTURED[1]], ids=str)
def test_non_contiguous_arrays_cross_in_c_order(dtype: np.dtype[Any]) -> None:
    original = counting(dtype, (6, 5, 4))
    for view in (
        original.T,
        original[::2],
        original[:, ::-1],
        original[..., 1],
        np.broadcast_to(original[0], (3, 5, 4)),
    ):
        back = there_and_back(view)
        assert back.flags.c_contiguous
        assert back.dtype == view.dtype
        assert np.array_equal(back, view)  # what lies between fields is nobody's


def test_non_contiguous_arrays_are_written_without_a_temporary_copy() -> None:
    view = np.arange(24, dtype=np.int32).reshape(4, 6)[:, ::2]
    where = context()
    (piece,) = where.codecs.encode(view, where).pieces
    assert np.shares_memory(piece, view)


def test_bytes_between_fields_do_not_come_from_what_was_there_before() -> None:
    view = np.zeros((2, 3), STRUCTURED[1]).T
    assert bytes(encode(view)[1]) == bytes(view.nbytes)


def test_pop_gives_an_array_that_owns_its_data() -> None:
    metadata, payload = encode(np.arange(5))
    copy = decode(metadata, payload, Take.COPY)
    assert copy.flags.owndata
    assert copy.flags.writeable
    payload[0] = 9
    assert copy[0] == 0


def test_a_lease_gives_a_read_only_view() -> None:
    metadata, payload = encode(np.arange(5))
    view = decode(metadata, payload, Take.VIEW)
    assert not view.flags.writeable
    assert np.shares_memory(view, np.frombuffer(payload, np.uint8))


def test_a_scalar_of_numpy_crosses_as_an_array_without_dimensions() -> None:
    for scalar in (np.float32(1.5), np.float64(2.5), np.int8(-3), np.str_("é"), np.datetime64("2020-01-02")):
        back = there_and_back(scalar)
        assert back.shape == ()
        assert back[()] == scalar
        assert back.dtype == scalar.dtype


class Subclass(np.ndarray):
    pass


class Borrowed:
    """Shares memory by DLPack and by nothing else."""

    def __init__(self, array: np.ndarray, device: int = 1) -> None:
        self.array = array
        self.device = device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


class OnGpu:
    __cuda_array_interface__: ClassVar = {"shape": (1,), "typestr": "<f4", "data": (0, False), "version": 3}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (array.array("d", [1, 2, 3]), np.array([1.0, 2, 3])),
        ((ctypes.c_int16 * 3)(1, 2, 3), np.array([1, 2, 3], np.int16)),
        (Borrowed(np.arange(6, dtype=np.float32).reshape(2, 3)), np.arange(6, dtype=np.float32).reshape(2, 3)),
        (Borrowed(np.arange(6).reshape(2, 3).T), np.arange(6).reshape(2, 3).T),
        (np.arange(3).view(Subclass), np.arange(3)),
    ],
    ids=["array.array", "ctypes", "dlpack", "transposed dlpack", "subclass"],
)
def test_what_shares_its_memory_crosses_as_ndarray(obj: Any, expected: np.ndarray) -> None:
    assert_same(np.ascontiguousarray(expected), there_and_back(obj))


def test_a_mapped_file_crosses_as_ndarray() -> None:
    with mmap.mmap(-1, 4096) as mapped:
        mapped[:3] = b"abc"
        assert there_and_back(mapped)[:3].tobytes() == b"abc"


@pytest.mark.parametrize(
    "obj",
    [
        np.array([object()]),
        np.array([("a", 1)], dtype=[("o", "O"), ("i", "i4")]),
        np.zeros(2, ml_dtypes.int4),
        np.zeros(2, [("a", "i4"), ("b", ml_dtypes.bfloat16)]),
        np.zeros(3, "V0"),
        np.zeros(1, {"names": ["a", "b"], "formats": ["<i4", "<i4"], "offsets": [0, 2]}),
        np.ma.masked_array([1, 2], mask=[True, False]),
        Borrowed(np.arange(3), device=2),
        OnGpu(),
    ],
    ids=[
        "objects",
        "objects in fields",
        "int4",
        "bfloat16 field",
        "no bytes",
        "overlap",
        "masked",
        "DLPack on a GPU",
        "array on a GPU",
    ],
)
def test_what_is_not_plain_data_is_refused(obj: Any) -> None:
    with pytest.raises(UnsupportedType):
        encode(obj)


def metadata_of(dtype: Any, shape: Any = (2,)) -> bytes:
    return json.dumps({"type": "ndarray", "dtype": dtype, "shape": shape}).encode()


@pytest.mark.parametrize(
    "shape", [None, 2, "2", [-1], [1.0], [True], ["1"], [2**63], [2**40, 2**40], [3], [2, 2], [1] * 65]
)
def test_a_shape_that_cannot_be_is_corrupt(shape: Any) -> None:
    with pytest.raises(Corrupt):
        decode(metadata_of("<i4", shape), bytes(8))


def test_an_empty_array_of_enormous_extents_is_corrupt_or_empty() -> None:
    with pytest.raises(Corrupt):
        decode(metadata_of("<i4", [0, 2**62, 2**62]), b"")


@pytest.mark.parametrize("dtype", ["|O", ">O8", [["a", "|O"]], [["a", [["b", "|O8"]]]]])
def test_references_to_objects_never_become_objects(dtype: Any) -> None:
    with pytest.raises(Corrupt):
        decode(metadata_of(dtype, [1]), bytes(8))


@pytest.mark.parametrize(
    "dtype",
    [None, 4, [], {}, [[]], [["a"]], [["a", "<i4", 3]], [["a", "<i4", [-1]]], [[1, "<i4"]], [["a", "<i4"]] * 2,
     [["a", "<i4", [2**40]]], [["", "|V4"], 3], ["<i4"], [[["x"], "<i4"]]],
)  # fmt: skip
def test_a_dtype_that_cannot_be_is_corrupt(dtype: Any) -> None:
    with pytest.raises(Corrupt):
        decode(metadata_of(dtype), bytes(8))


@pytest.mark.parametrize(
    "dtype", ["float32", "O", "i4,f4", "<f3", "(2,)<i4", "<i4\n", "int4", "complex256", "<M8[blink]"]
)
def test_an_unknown_dtype_arrives_raw(dtype: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "shmlane"):
        back = decode(metadata_of(dtype), b"12345678")
    assert back == shmlane.RawObject({"type": "ndarray", "dtype": dtype, "shape": [2]}, b"12345678")
    assert len(caplog.records) == 1


def test_without_ml_dtypes_a_bfloat16_array_arrives_raw(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from shmlane.codecs import ndarray

    metadata, payload = encode(np.ones(2, ml_dtypes.bfloat16))
    genuine = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "ml_dtypes":
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    ndarray._parse_text.cache_clear()
    back = decode(metadata, payload)
    assert isinstance(back, shmlane.RawObject)
    assert back.payload == bytes(payload)
    assert "ml_dtypes" in caplog.text
