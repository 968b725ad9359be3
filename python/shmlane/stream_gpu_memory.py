# SPDX-License-Identifier: Apache-2.0
"""The memory of a stream on a GPU: what a record says of it, and the allocation it leads to (SPEC section 12.1)."""

from __future__ import annotations

import json
import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from . import cuda
from .array_kind import Shape, describe
from .codec import parse_metadata
from .codecs.cuda import PAYLOAD_BYTES, check_handle
from .errors import Corrupt, InvalidArgument, UnsupportedType

GPU_SUPPORTED_DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")
"""What the values of a stream on a GPU may be made of."""

SLOTS = 3
RECORD = "shmlane.gpu"
MIRROR = "value"
_ALIGNMENT = 512
_RECORD_BYTES = 4096


def record_dtype(shape: Shape, dtype: np.dtype[Any], mirror: bool) -> np.dtype[Any]:
    """What the ordinary stream holds: the record, and a copy in the host's memory if that is wanted."""
    fields: list[Any] = [(RECORD, f"V{_RECORD_BYTES}")]
    return np.dtype([*fields, (MIRROR, dtype, shape)] if mirror else fields)


def is_gpu(dtype: np.dtype[Any], shape: Shape) -> bool:
    """Whether an ordinary stream of that kind is one of a GPU."""
    return shape == () and (dtype.names or ())[:1] == (RECORD,) and dtype[0].itemsize == _RECORD_BYTES


def check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Raises UnsupportedType."""
    kind = np.dtype(dtype)
    if kind.name not in GPU_SUPPORTED_DTYPES or not kind.isnative:
        raise UnsupportedType(f"{kind} is no dtype of a stream on a GPU: {', '.join(GPU_SUPPORTED_DTYPES)} are")
    return kind


def check_device(device: Any) -> int:
    """The number of a GPU that this process sees. Raises InvalidArgument, NoDevice."""
    number = cuda.device_number(device)
    count = len(cuda.devices())
    if number >= count:
        raise InvalidArgument(f"there is no {device!r}: this process sees {count} GPUs")
    return number


def slot_bytes(nbytes: int) -> int:
    return max(_ALIGNMENT, -nbytes % _ALIGNMENT + nbytes)


class Record(NamedTuple):
    """What a value of the ordinary stream says. ``payload`` are the driver's handles."""

    metadata: dict[str, Any]
    text: bytes
    payload: bytes

    @property
    def number(self) -> int:
        """The count of the array that it leads to."""
        return int(self.metadata["generation"])

    def next(self, nbytes: int) -> Record:
        """Of the next array."""
        number = self.number + 1
        slot = number % SLOTS
        metadata = {**self.metadata, "slot": slot, "generation": number, "offset": slot * slot_bytes(nbytes)}
        return Record(metadata, json.dumps(metadata, separators=(",", ":")).encode(), self.payload)

    def pack(self) -> np.void:
        raw = self.payload + len(self.text).to_bytes(4, "little") + self.text
        if len(raw) > _RECORD_BYTES:
            raise InvalidArgument("a shape of so many dimensions is not for a stream on a GPU")
        return np.void(raw.ljust(_RECORD_BYTES, b"\0"))


def unpack(raw: bytes) -> Record:
    """Raises Corrupt; Undecodable for what a later version may mean."""
    size = int.from_bytes(raw[PAYLOAD_BYTES : PAYLOAD_BYTES + 4], "little")
    text, payload = raw[PAYLOAD_BYTES + 4 : PAYLOAD_BYTES + 4 + size], raw[:PAYLOAD_BYTES]
    metadata = parse_metadata(text)
    check_handle(metadata, memoryview(payload))
    if metadata["slot"] >= SLOTS:
        raise Corrupt("a stream on a GPU has three slots")
    return Record(metadata, text, payload)


class Memory:
    """The allocation that the slots are in, as this process has it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._allocation: Any = None
        self._id = ""

    def create(self, name: str, shape: Shape, dtype: np.dtype[Any], device: int, exporter: int) -> Record:
        """Three slots of zeros. Raises NoSpace, DeviceFailed."""
        nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
        allocation = cuda.backend().CudaAllocation.create(device, SLOTS * slot_bytes(nbytes), f"stream {name}")
        for slot in range(SLOTS):
            view_slot(allocation, slot, shape, dtype).zero()
        text = allocation.metadata(describe(dtype), shape, 0, exporter)
        record = Record(json.loads(text), text, allocation.payload())
        self._allocation, self._id = allocation, record.metadata["allocation"]
        return record

    def open(self, record: Record) -> Any:
        """Raises NoDevice, DeviceFailed, Corrupt."""
        with self._lock:
            if self._allocation is None or self._id != record.metadata["allocation"]:
                self._allocation = cuda.backend().CudaAllocation.open(record.text, record.payload)
                self._id = record.metadata["allocation"]
            if self._allocation.nbytes < SLOTS * slot_bytes(record.metadata["bytes"]):
                raise Corrupt("a stream on a GPU is said to be larger than its memory")
            return self._allocation

    def close(self) -> None:
        self._allocation = None


def view_slot(allocation: Any, slot: int, shape: Shape, dtype: np.dtype[Any]) -> Any:
    """One value's place."""
    nbytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    data = allocation.data + slot * slot_bytes(nbytes)
    return cuda.backend().CudaArray.view(data, describe(dtype), shape, None, allocation.device, allocation)
