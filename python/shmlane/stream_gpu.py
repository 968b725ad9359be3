# SPDX-License-Identifier: Apache-2.0
"""Streams whose values live in a GPU's memory (SPEC section 12.1).

Such a stream is an ordinary one whose value says where the newest array lies: in one of three slots of an allocation
that the creator owns and everybody opens. So locks, waiting, deaths of writers and the judgement whether a copy is
whole are the ordinary stream's, and what is new is the allocation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _backend, cuda
from .array_kind import Shape, check_shape, describe, matching, understand
from .errors import Corrupt, DeviceFailed, ExporterGone, InvalidArgument, NoDevice
from .stream_gpu_memory import (
    GPU_SUPPORTED_DTYPES,
    MIRROR,
    RECORD,
    SLOTS,
    Memory,
    Record,
    check_device,
    check_dtype,
    record_dtype,
    unpack,
    view_slot,
)
from .stream_handle import Stream

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["GPU_SUPPORTED_DTYPES", "GpuStream", "create_gpu", "gpu_available"]

_MAKING = 1.0  # seconds that a creator may need for its memory
_DYING, _LOOKS = 0.1, 20  # seconds, and how often one looks within them
_TRIES = 16  # of a copy that is outrun, before the lock is taken for one


def gpu_available() -> bool:
    """Whether this process can use a GPU."""
    return cuda.available()


def create_gpu(name: str, shape: Any, dtype: DTypeLike, device: Any, mirror: bool, options: dict[str, Any]) -> Stream:
    """What stream.create does for a GPU."""
    lengths, kind, number = check_shape(shape), check_dtype(dtype), check_device(device)
    record = describe(record_dtype(lengths, kind, mirror))
    native = _backend.active.Stream(name, dtype=record, shape=(), **options)
    handle = GpuStream(native, options)
    try:
        handle.make_memory(lengths, kind, number)
    except BaseException:
        handle.delete()
        raise
    return handle


class GpuStream(Stream):
    """A stream whose values live on a GPU: ``read`` gives a DeviceArray, ``write`` takes arrays of host and GPU alike.

    The memory is the creator's: it lives as long as the handle that created the stream. With ``cpu_mirror`` each write
    also goes to the host's memory, and a process without a GPU reads that. Without, it can look and lock only.
    """

    _before = 1  # the ordinary stream's first value only says where the memory is

    def __init__(self, native: Any, options: dict[str, Any]) -> None:
        super().__init__(native, options)
        self._memory = Memory()
        self._mirror = MIRROR in (self._dtype.names or ())
        self._array: tuple[Shape, np.dtype[Any]] = ((), np.dtype(np.float32))

    # ---- Where it lies

    def make_memory(self, shape: Shape, dtype: np.dtype[Any], device: int) -> None:
        """By the creator."""
        self._array = shape, dtype
        record = self._memory.create(self.name, shape, dtype, device, self._native.participant)
        with super().write_view() as value:
            value[RECORD] = record.pack()
            if self._mirror:
                value[MIRROR] = 0

    def find_memory(self, device: Any = None) -> None:
        """By who opens. Raises InvalidArgument if the values live on another device, Corrupt."""
        metadata = self._record().metadata
        self._array = tuple(metadata["shape"]), understand(json.dumps(metadata["dtype"]).encode())
        if device is not None and cuda.devices()[check_device(device)].uuid != metadata["device"]:
            raise InvalidArgument(f"{self._title} lives on {self.gpu_device}, not on {device!r}")

    def _record(self) -> Record:
        self._await_memory()
        return unpack(np.asarray(self._native.read())[RECORD].tobytes())

    def _await_memory(self) -> None:
        if not self._native.count and not self._native.wait_after(0, _MAKING):
            raise Corrupt(f"{self._title}: its creator died before it had memory; remove it with shmlane.stream.unlink")

    def _open(self, record: Record) -> Any:
        """The allocation. Raises ExporterGone, NoDevice, DeviceFailed."""
        try:
            cuda.backend()  # asked first: a backend without GPUs cannot say who lives
            if self._creator_lives(record):
                return self._memory.open(record)
        except DeviceFailed:
            if self._creator_stays(record):
                raise
        except NoDevice as error:
            raise NoDevice(
                f"{self._title} lives in a GPU's memory, which this process cannot use ({error}); read it in one that "
                "can, or create it with cpu_mirror=True"
            ) from None
        raise ExporterGone(
            f"{self._title}: the handle that created it, in process {record.metadata['pid']}, is gone, and its GPU "
            "memory with it; create it anew, or with cpu_mirror=True"
        )

    def _creator_lives(self, record: Record) -> bool:
        return bool(self._native.is_alive(record.metadata["exporter"]))

    def _creator_stays(self, record: Record) -> bool:
        """Of a process that dies, the driver's handles may go before the others can see it."""
        for _ in range(_LOOKS):
            if not self._creator_lives(record):
                return False
            time.sleep(_DYING / _LOOKS)
        return True

    def _place(self, record: Record) -> Any:
        return view_slot(self._open(record), record.metadata["slot"], *self._array)

    # ---- Reading

    def read(self, out: Any = None, *, safe: bool = True) -> Any:
        """A consistent copy of the newest value: a DeviceArray; in a process without that GPU, an array of NumPy, if
        there is a mirror. Or into ``out``, an array of NumPy or of a GPU.

        ``safe=False``, while this thread holds the lock: a read-only view of the live memory. Raises NoDevice,
        ExporterGone, InvalidArgument, Unlocked, Removed, Closed.
        """
        if not safe:
            self._live()
            return cuda.DeviceArray(self._place(self._record()), writable=False)
        if self._mirror and (isinstance(out, np.ndarray) or not self._reachable()):
            return self._read_mirror(out)
        target = self._target(out)
        if not any(self._try_read(target) for _ in range(_TRIES)):
            with self.locked():
                self._try_read(target)
        if isinstance(out, np.ndarray):
            return cuda.DeviceArray(target).to_numpy(out)
        return cuda.DeviceArray(target) if out is None else out

    def _reachable(self) -> bool:
        try:
            self._open(self._record())
        except (NoDevice, ExporterGone):
            return False
        return True

    def _read_mirror(self, out: Any) -> NDArray[Any]:
        self._await_memory()
        mirror = np.asarray(self._native.read())[MIRROR]
        if out is None:
            return np.array(mirror)
        self._check_like(out)
        np.copyto(out, mirror)
        return out  # type: ignore[no-any-return]

    def _target(self, out: Any) -> Any:
        shape, dtype = self._array
        if out is None or isinstance(out, np.ndarray):
            if out is not None:
                self._check_like(out)
            return cuda.backend().CudaArray.empty(describe(dtype), shape, self._open(self._record()).device)
        target = cuda.borrowed(out)
        self._check_device_array(target)
        if not target.contiguous:
            raise InvalidArgument(f"{self._title}: out must be contiguous")
        return target

    def _check_like(self, out: NDArray[Any]) -> None:
        shape, dtype = self._array
        if out.shape != shape or out.dtype != dtype or not out.flags.writeable:
            raise InvalidArgument(f"{self._title}: expected a writable {dtype} {shape}, got {out.dtype} {out.shape}")

    def _check_device_array(self, array: Any) -> None:
        shape, dtype = self._array
        found = json.loads(array.dtype)
        if array.shape != shape or found != dtype.str:
            raise InvalidArgument(f"{self._title}: expected shape {shape} of {dtype.str}, got {array.shape} of {found}")

    def _try_read(self, target: Any) -> bool:
        """Whether what was copied is one value: its slot was not written again meanwhile (W-151)."""
        record = self._record()
        target.copy_from(self._place(record))
        self._open(record)
        return self.count - record.number < SLOTS - 1

    # ---- Writing

    def write(self, value: Any, timeout: float | None = None) -> None:
        """As of any stream; ``value`` may be an array of the host or of a GPU. Complete at return."""
        if cuda.is_cuda(value):
            source = cuda.borrowed(value)
            self._check_device_array(source)
            with self._next(timeout) as (slot, record):
                slot.copy_from(source)
                self._mirror_from(slot, record)
            return
        array = np.ascontiguousarray(matching(value, *self._array, self._title)).reshape(self._array[0])
        with self._next(timeout) as (slot, record):
            slot.copy_from_host(array.reshape(-1).view(np.uint8))
            if self._mirror:
                record[MIRROR] = array

    def _mirror_from(self, slot: Any, record: Any) -> None:
        if self._mirror:
            slot.copy_to_host(record[MIRROR].reshape(-1).view(np.uint8))

    @contextmanager
    def _next(self, timeout: float | None) -> Iterator[tuple[Any, Any]]:
        """The next value's slot, and the ordinary stream's next value, under the lock; published at the end."""
        with self.locked(timeout):
            if super().write_sequence % 2:
                time.sleep(_DYING)  # of who died in mid-write the GPU may still fill the slot (W-150)
            with super().write_view() as value:
                record = self._record().next(self.size)
                yield self._place(record), value
                value[RECORD] = record.pack()

    @contextmanager
    def write_view(  # type: ignore[override]
        self, keep: bool = False, timeout: float | None = None, *, stream: Any = None
    ) -> Iterator[cuda.DeviceArray]:
        """As of any stream: a DeviceArray to fill. Its end waits for what the CUDA stream ``stream`` (by default the
        default stream) was given by then, and publishes."""
        with self._next(timeout) as (slot, record):
            if keep:
                slot.copy_from(self._place(self._record()))
            yield cuda.DeviceArray(slot)
            cuda.backend().cuda_synchronise(slot.device, cuda.stream_number(stream))
            self._mirror_from(slot, record)

    def clear(self, timeout: float | None = None) -> None:
        """All zeros; counts as a write. Raises TimedOut."""
        with self._next(timeout) as (slot, record):
            slot.zero()
            self._mirror_from(slot, record)

    # ---- Waiting, and facts

    def wait_after(self, count: int, timeout: float | None = None) -> None:
        """As of any stream."""
        super().wait_after(count + self._before, timeout)

    @property
    def count(self) -> int:
        """Values written so far, since the stream was created."""
        return max(0, super().count - self._before)

    @property
    def last_read(self) -> int:
        """The count of the value that this handle read last."""
        return max(0, super().last_read - self._before)

    @property
    def write_sequence(self) -> int:
        """Twice the count; odd while a value is being written, or if its writer died and nobody wrote since."""
        return max(0, super().write_sequence - 2 * self._before)

    @property
    def write_time(self) -> float:
        """UNIX seconds of the last write; 0 before the first one."""
        return super().write_time if self.count else 0.0

    @property
    def age(self) -> float | None:
        """Seconds since the last write; None before the first one."""
        return super().age if self.count else None

    @property
    def shape(self) -> Shape:
        self._check()
        return self._array[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        self._check()
        return self._array[1]

    @property
    def size(self) -> int:
        """Bytes of the array."""
        shape, dtype = self._array
        return int(np.prod(shape, dtype=object)) * dtype.itemsize

    @property
    def gpu_device(self) -> str:
        """For instance "cuda:0"; the GPU's UUID where this process cannot use it."""
        uuid: str = self._record().metadata["device"]
        seen = [device.uuid for device in cuda.devices()] if cuda.available() else []
        return f"cuda:{seen.index(uuid)}" if uuid in seen else uuid

    @property
    def gpu_enabled(self) -> bool:
        self._check()
        return True

    @property
    def cpu_mirror(self) -> bool:
        self._check()
        return self._mirror

    def to_config(self) -> dict[str, Any]:
        """A plain dict, also for JSON, from which ``create_from_config`` makes such a stream."""
        shape, dtype = list(self.shape), describe(self.dtype).decode()
        return {**super().to_config(), "shape": shape, "dtype": dtype, **self._gpu_config()}

    def _gpu_config(self) -> dict[str, Any]:
        return {"gpu_device": self.gpu_device, "cpu_mirror": self._mirror}

    def close(self) -> None:
        super().close()
        self._memory.close()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        value = self.read()
        array = value if isinstance(value, np.ndarray) else value.to_numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __buffer__(self, flags: int, /) -> memoryview:
        return self.__array__().data

    def __dlpack__(self, **options: Any) -> Any:
        return self.read().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.read().__dlpack_device__()
