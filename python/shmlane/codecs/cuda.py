# SPDX-License-Identifier: Apache-2.0
"""Codec of cuda: a handle of an array in a GPU's memory crosses, never the data (SPEC section 12)."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

from shmlane import _exit
from shmlane.codec import Codec, Context, Encoded, Metadata, Take, Undecodable, is_count, metadata_bytes
from shmlane.cuda import DeviceArray, backend, borrowed, is_cuda
from shmlane.errors import Corrupt, Full, InvalidArgument, NoDevice, UnsupportedType

from .ndarray import parse_dtype, parse_shape

PAYLOAD_BYTES = 128
_FORMAT = 1
_BOUNDS = {"exporter": 2**48, "slot": 2**32}
_MAX_DIMENSIONS = 64
_LIMIT = 2**63

__all__ = ["CUDA", "CudaEnd", "PendingSlot", "is_cuda"]


class _Leaving:
    """The end of the process, after which exporters that were closed with arrays in flight keep no queue."""

    begun = False

    def close(self) -> None:
        self.begun = True
        backend().cuda_leave_queues()


_leaving = _Leaving()


class CudaEnd:
    """What a handle has for arrays of GPUs: an arena to export from, or what it has opened of others. Thread-safe."""

    def __init__(self, native: Any, capacity: int = 0) -> None:
        self._native = native
        self._capacity = capacity
        self._made: Any = None
        self._lock = threading.Lock()

    def exporter(self) -> Any:
        """Made at first use. Raises NoDevice."""
        with self._lock:
            if self._made is None:
                self._made = backend().CudaExporter(self._native, self._capacity)
                _exit.close_at_exit(_leaving)
            return self._made

    def importer(self) -> Any:
        """Made at first use. Raises NoDevice."""
        with self._lock:
            if self._made is None:
                self._made = backend().CudaImporter(self._native)
            return self._made

    def reserve(self, device: int, nbytes: int, timeout: float | None) -> Any:
        """A slot of the arena. Raises Full, NoDevice, DeviceFailed, NoSpace, TooLarge."""
        slot = self.exporter().reserve(device, nbytes, timeout)
        if slot is None:
            full = Full(f"no room in the arena of cuda:{device} for {nbytes} bytes: consumers hold it")
            full.arena = True
            raise full
        return slot

    def wait_consumed(self, timeout: float | None) -> bool:
        return self._made is None or bool(self._made.wait_consumed(timeout))

    def close(self) -> None:
        """What was pushed stays in memory until it is consumed, or the process ends."""
        made, self._made = self._made, None
        del made
        if _leaving.begun:
            _leaving.close()


class PendingSlot:
    """An array on its way into the arena. Its metadata and payload are written when it gets there."""

    def __init__(self, array: Any, end: CudaEnd) -> None:
        self._array = array
        self._end = end
        self.metadata: Metadata = {"type": "cuda"}
        self.payload = bytearray(PAYLOAD_BYTES)

    def place(self, timeout: float | None) -> Any:
        """Take room in the arena and copy the array there. Raises Full, NoDevice, DeviceFailed, NoSpace, TooLarge."""
        array = self._array
        slot = self._end.reserve(array.device, array.nbytes, timeout)
        text = slot.metadata(array.dtype, array.shape)
        native = backend()
        target = native.CudaArray.view(slot.data, array.dtype, array.shape, None, slot.device, slot)
        # Complete at return: only who pushed knows on which CUDA streams the array changes next.
        target.copy_from(array)
        slot.ready()
        self.metadata.update(json.loads(text))
        self.payload[:] = slot.payload()
        return slot


def _encode(obj: Any, context: Context) -> Encoded:
    if context.cuda is None:
        raise UnsupportedType(
            f"this {type(obj).__name__} is in a GPU's memory, which crosses rings of shared memory only: "
            "copy it to the host first"
        )
    pending = PendingSlot(borrowed(obj), context.cuda)
    return Encoded(pending.metadata, (pending.payload,), PAYLOAD_BYTES, (pending,))


def _decode(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> Any:
    if context.cuda is None:
        check_handle(metadata, payload)
        raise Undecodable("handles to memory of GPUs mean nothing outside of their queue")
    try:
        context.cuda.importer()  # which checks by itself, and faster
    except NoDevice:
        check_handle(metadata, payload)
        raise
    text = metadata_bytes(metadata)
    try:
        if take is Take.VIEW and not context.to_host:
            return DeviceArray(context.cuda.importer().view(text, payload), writable=False)
        array = DeviceArray(context.cuda.importer().copy(text, payload))
    except UnsupportedType as error:
        raise Undecodable(str(error)) from None
    return array.to_numpy() if context.to_host else array


def check_handle(metadata: Metadata, payload: memoryview) -> None:
    """Whether a handle may be given to the driver (W-140 to W-142). Raises Corrupt; Undecodable for a later kind."""
    _require(is_count(metadata.get("format")), metadata, "format")
    if metadata["format"] != _FORMAT:
        raise Undecodable("this version knows no such format of handles")
    _require(isinstance(metadata.get("memory"), str), metadata, "memory")
    if metadata["memory"] not in ("ipc", "fd"):
        raise Undecodable("this version knows no such way to share memory")
    for key in ("exporter", "pid", "slot", "generation", "offset", "bytes"):
        _require(_is_below(metadata.get(key), _BOUNDS.get(key, _LIMIT)), metadata, key)
    for key, digits in (("device", 32), ("allocation", 16)):
        text = metadata.get(key)
        _require(isinstance(text, str) and re.fullmatch(f"[0-9a-f]{{{digits}}}", text) is not None, metadata, key)
    itemsize, shape = parse_dtype(metadata.get("dtype")).itemsize, parse_shape(metadata.get("shape"))
    strides: Any = metadata.get("strides")
    _require(len(shape) <= _MAX_DIMENSIONS and all(length < _LIMIT for length in shape), metadata, "shape")
    _require(isinstance(strides, list) and len(strides) == len(shape), metadata, "strides")
    _require(all(_is_below(stride, _LIMIT) for stride in strides), metadata, "strides")
    end = itemsize + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    _require(0 in shape or end <= metadata["bytes"], metadata, "bytes")
    _require(payload.nbytes == PAYLOAD_BYTES, metadata, "payload")


def _is_below(value: Any, limit: int) -> bool:
    return is_count(value) and value < limit


def _require(right: bool, metadata: Metadata, key: str) -> None:
    if not right:
        raise Corrupt(f"an array of a GPU whose {key} cannot be true: {str(metadata)[:300]}")


def check_device(device: Any) -> bool:
    """Whether arrays of GPUs are wanted in the host's memory. Raises InvalidArgument."""
    if device in (None, "cuda", "cpu"):
        return bool(device == "cpu")
    raise InvalidArgument(f"device={device!r}: arrays of GPUs stay where they are (None), or come to the host ('cpu')")


CUDA = Codec("cuda", _encode, _decode)
