# SPDX-License-Identifier: Apache-2.0
"""Arrays in the memory of GPUs: what a consumer gets for one, and how other libraries use it.

``DeviceArray`` has ``__cuda_array_interface__`` (version 3) and ``__dlpack__``, so torch, CuPy, Numba and JAX take it
as it is. Without a GPU, a driver or a build with CUDA, whatever needs one raises NoDevice and says what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

import numpy as np

from . import _backend
from .codec import Undecodable
from .errors import InvalidArgument, NoDevice, UnsupportedType

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Device", "DeviceArray", "asarray", "available", "devices", "empty", "free_unused", "why_unavailable"]

_CUDA = 2  # DLPack's kDLCUDA
_CUDA_MANAGED = 13
_LEGACY_STREAM = 1  # the default stream, in both protocols


class Device(NamedTuple):
    """A GPU that this process can use; ``cuda:0`` is the first of ``devices()``."""

    name: str
    uuid: str


def backend() -> Any:
    """The active backend, if it has arrays of GPUs. Raises NoDevice."""
    active: Any = _backend.active
    if hasattr(active, "CudaArray"):
        return active
    if active.__name__.endswith("_pure"):
        raise NoDevice("the pure backend has no arrays of GPUs: use SHMLANE_BACKEND=native")
    raise NoDevice(
        "shmlane was built without CUDA: install the CUDA toolkit (cuda.h is enough; set CUDA_HOME) and build it again "
        "with --config-settings=cmake.define.SHMLANE_CUDA=ON"
    )


def why_unavailable() -> str:
    """What is missing for arrays of GPUs, or an empty text."""
    try:
        return str(backend().cuda_why_unavailable())
    except NoDevice as error:
        return str(error)


def available() -> bool:
    """Whether this process can use a GPU."""
    return not why_unavailable()


def devices() -> list[Device]:
    """The GPUs that this process can use. Raises NoDevice."""
    return [Device(*found) for found in backend().cuda_devices()]


def free_unused() -> None:
    """Give back to the driver what this process has exported and uses no more.

    Only what is shared by legacy handles stays with the process, for the next use of the same queue or stream: another
    process may have it open, and the driver forbids to free it then. Call this when none has. Raises NoDevice.
    """
    backend().cuda_free_unused()


def device_number(device: Any) -> int:
    """The number in 2, "cuda:2", "cuda", or what has it as ``index`` or ``id``. Raises InvalidArgument."""
    if isinstance(device, str):
        kind, _, number = device.partition(":")
        if kind == "cuda" and (not number or number.isdecimal()):
            return int(number or 0)
    candidates: list[Any] = [device, getattr(device, "index", None), getattr(device, "id", None)]
    for candidate in candidates:
        if isinstance(candidate, (int, np.integer)) and candidate >= 0:
            return int(candidate)
    raise InvalidArgument(f"{device!r} is no device: give a number, or a text like 'cuda:0'")


def stream_number(stream: Any) -> int:
    """The address of a CUDA stream of torch, CuPy, cuda.core or a number; the default stream for None."""
    if stream is None:
        return _LEGACY_STREAM
    if hasattr(stream, "__cuda_stream__"):
        return int(stream.__cuda_stream__()[1])
    number = getattr(stream, "cuda_stream", getattr(stream, "ptr", stream))
    if not isinstance(number, (int, np.integer)) or number < 0:
        raise InvalidArgument(f"{stream!r} is no CUDA stream: give one of torch or CuPy, or its address")
    return int(number)


class DeviceArray:
    """An array in a GPU's memory.

    One that was popped is this process's own, writable, and complete. One of a lease is another process's memory, to be
    read only; when the last reference to it goes, work on the CUDA streams that it was handed to is waited for, and
    then its place in the ring is given back.
    """

    __slots__ = ("__weakref__", "_native", "_writable")

    def __init__(self, native: Any, writable: bool = True) -> None:
        self._native = native
        self._writable = writable

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._native.shape
        return shape

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes."""
        strides: tuple[int, ...] = self._native.strides
        return strides

    @property
    def dtype(self) -> np.dtype[Any]:
        """Raises UnsupportedType for one that needs a package which is not installed."""
        from .codecs.ndarray import parse_dtype  # whose package stands on this module

        try:
            return parse_dtype(json.loads(self._native.dtype))
        except Undecodable as error:
            raise UnsupportedType(str(error)) from None

    @property
    def nbytes(self) -> int:
        return int(self._native.nbytes)

    @property
    def device(self) -> str:
        """For instance "cuda:0"."""
        return f"cuda:{self._native.device}"

    @property
    def writable(self) -> bool:
        return self._writable

    def to_numpy(self, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """A copy in the host's memory, in a new array or in ``out``. Raises InvalidArgument."""
        dtype = self.dtype
        if out is None:
            out = np.empty(self.shape, dtype)
        elif out.shape != self.shape or out.dtype != dtype or not out.flags.c_contiguous or not out.flags.writeable:
            raise InvalidArgument(f"the array to copy to is not a writable one of {dtype} {self.shape} in C order")
        self._native.copy_to_host(out.reshape(-1).view(np.uint8))
        return out

    def copy_from(self, source: Any) -> None:
        """Replace the items by those of an array of the same shape and dtype, on a GPU or in the host's memory."""
        if not self._writable:
            raise InvalidArgument("this array is another process's, to be read only")
        if is_cuda(source):
            self._native.copy_from(borrowed(source))
            return
        array = np.asarray(source, order="C")  # of no dimensions, too
        if array.shape != self.shape or array.dtype != self.dtype:
            raise InvalidArgument(f"expected {self.dtype} {self.shape}, got {array.dtype} {array.shape}")
        self._native.copy_from_host(array.reshape(-1).view(np.uint8))

    def used_on(self, stream: Any = None) -> None:
        """Say that work on that CUDA stream uses the array: needed only if neither protocol was told of the stream."""
        self._native.used_on(stream_number(stream))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        self._native.used_on(_LEGACY_STREAM)
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._native.data if self.nbytes else 0, not self._writable),
            "strides": None if self._native.contiguous else self.strides,
            "version": 3,
            "stream": None,  # it is complete
        }

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        if copy or (dl_device is not None and tuple(map(int, dl_device)) != self.__dlpack_device__()):
            raise BufferError("this array is handed over where it lies only: see to_numpy")
        if stream != -1:
            self._native.used_on(stream_number(stream))
        return self._native.dlpack(max_version is not None and max_version[0] >= 1, not self._writable)

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CUDA, int(self._native.device)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        raise TypeError("an array of a GPU does not become one of NumPy by itself: call to_numpy()")

    def __repr__(self) -> str:
        return f"<DeviceArray {json.loads(self._native.dtype)} {self.shape} on {self.device}>"


def empty(
    shape: SupportsIndex | Iterable[SupportsIndex], dtype: DTypeLike = np.float32, device: Any = 0
) -> DeviceArray:
    """An uninitialised array of this process. Raises NoDevice, NoSpace."""
    lengths = (int(shape),) if isinstance(shape, SupportsIndex) else tuple(map(int, shape))
    return DeviceArray(backend().CudaArray.empty(dtype_text(dtype), lengths, device_number(device)))


def asarray(source: Any, device: Any = 0) -> DeviceArray:
    """A copy of any array, of the host or of a GPU, on a device. Raises NoDevice, NoSpace, UnsupportedType."""
    native = borrowed(source) if is_cuda(source) else None
    if native is None:
        source = np.asarray(source)
    out = DeviceArray(
        backend().CudaArray.empty(
            dtype_text(source.dtype) if native is None else native.dtype,
            source.shape if native is None else native.shape,
            device_number(device),
        )
    )
    out.copy_from(source)
    return out


def dtype_text(dtype: DTypeLike) -> bytes:
    """A dtype as the backend takes it. Raises UnsupportedType."""
    from .codecs.ndarray import describe_dtype

    return json.dumps(describe_dtype(np.dtype(dtype))).encode()


def is_cuda(obj: Any) -> bool:
    """Whether an object is an array in a GPU's memory, by either protocol."""
    if isinstance(obj, (DeviceArray, np.ndarray)):
        return isinstance(obj, DeviceArray)
    device = getattr(obj, "__dlpack_device__", None)
    if device is None:
        return hasattr(obj, "__cuda_array_interface__")
    try:
        return int(device()[0]) in (_CUDA, _CUDA_MANAGED)
    except (AttributeError, TypeError, RuntimeError, BufferError):
        return False


def borrowed(obj: Any) -> Any:
    """The backend's view of an array of a GPU, which keeps it; what it was filled by is over for work on our own CUDA
    stream. Raises UnsupportedType, NoDevice."""
    if isinstance(obj, DeviceArray):
        return obj._native
    native = backend()
    try:
        if hasattr(obj, "__dlpack__"):
            stream = native.cuda_stream(int(obj.__dlpack_device__()[1]))
            return native.CudaArray.from_dlpack(obj.__dlpack__(stream=stream))
        return _from_interface(native, obj)
    except (TypeError, ValueError, RuntimeError, BufferError, AttributeError, KeyError) as error:
        if isinstance(error, (UnsupportedType, NoDevice)):
            raise
        raise UnsupportedType(f"this {type(obj).__name__} does not share its GPU memory: {error}") from None


def _from_interface(native: Any, obj: Any) -> Any:
    interface = obj.__cuda_array_interface__
    if interface.get("mask") is not None:
        raise UnsupportedType("a masked array would lose its mask")
    dtype = np.dtype(interface["typestr"])
    if dtype.kind == "V" and interface.get("descr"):
        dtype = np.dtype([tuple(field) for field in interface["descr"]])
    data, strides = interface["data"][0], interface.get("strides")
    array = native.CudaArray.view(data, dtype_text(dtype), tuple(interface["shape"]), strides, -1, obj)
    # Before version 3 nobody said what filled it: the default stream, then.
    stream = interface.get("stream", _LEGACY_STREAM if interface.get("version", 0) < 3 else None)
    if stream is not None:
        native.cuda_own_stream_waits(array.device, stream)
    return array
