# SPDX-License-Identifier: Apache-2.0
"""Objects of every payload type and dtype, from 0 bytes to 64 MiB, and whether two of them are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from PIL import Image

SIZES = [0, 1, 63, 64, 65, 4095, 4096, 1 << 16, 5_000_001]
HUGE = 64 << 20
DTYPES = [
    *"?bBhHiIqQefdgFDG",
    *(f"{order}{kind}" for order in "<>" for kind in ("i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16")),
    *("M8[ns]", "m8[us]", "S7", "U3", "V5"),
    *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
    [("x", "<f4"), ("y", ">i2", (3,)), ("name", "S4")],
]
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def counting(size: int) -> bytes:
    return (np.arange(size, dtype=np.uint32) * 7 + np.arange(size, dtype=np.uint32) // 256).astype(np.uint8).tobytes()


def array_of(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    kind = np.dtype(dtype)
    nbytes = int(np.prod(shape)) * kind.itemsize
    if kind.kind in "?SU":
        return np.arange(int(np.prod(shape))).reshape(shape).astype(kind)
    return np.frombuffer(counting(nbytes), kind).reshape(shape)


def images() -> Iterator[Image.Image]:
    for mode, channels in MODES.items():
        yield Image.frombytes(mode, (33, 17), counting(33 * 17 * channels))
    yield Image.frombytes("I;16", (5, 4), counting(40))
    yield Image.frombytes("F", (5, 4), np.arange(20, dtype=np.float32).tobytes())
    yield Image.frombytes("I", (5, 4), np.arange(20, dtype=np.int32).tobytes())


OBJECTS: dict[str, Any] = {
    **{f"bytes of {size}": counting(size) for size in SIZES},
    **{f"text of {size}": "é" * (size // 2) for size in SIZES},
    **{f"uint8 array of {size}": np.frombuffer(counting(size), np.uint8) for size in SIZES},
    **{f"array of {np.dtype(dtype)}": array_of(dtype, (3, 2, 4)) for dtype in DTYPES},
    "array without dimensions": np.array(2.5),
    "empty array": np.empty((3, 0, 2), np.int16),
    "transposed array": array_of("<f4", (30, 20)).T,
    "array with gaps": array_of("<i4", (30, 20))[::2, ::-3],
    **{f"image {image.mode}": image for image in images()},
    "object": {"a": [1, 2.5, None, True, "ü"], "b": {"c": -(2**63), "d": 2**64 - 1}},
    "float": 1.0,
    "integer": 2**63,
    "boolean": False,
    "empty list": [],
    "list of arrays": [array_of("<f4", (2, 2)), "text", b"bytes", {"plain": 1}, 7],
    "batch of named arrays": {"x": array_of("<f8", (5,)), "image": next(images()), "label": "cat", "n": 3},
    "nested": {"a": [{"b": [np.arange(3), [np.arange(4), b""]]}], "c": "d"},
}


def huge_objects() -> dict[str, Any]:
    return {"huge bytes": counting(HUGE), "huge array": np.frombuffer(counting(HUGE), np.uint16).reshape(1024, -1)}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Image.Image):
        return isinstance(b, Image.Image) and a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b
