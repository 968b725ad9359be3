# SPDX-License-Identifier: Apache-2.0

# ruff: noqa: A001 - the names are those that people know
"""Streams: the latest value of one named array, written by one at a time and read by anybody, at memory's speed.

with shmlane.stream.stream("pose", shape=6) as pose:  # creates it, removes it at the end
    pose.write(np.zeros(6, np.float32))
shmlane.stream.open("pose").read()  # in another process
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from . import _backend
from .array_kind import check_shape, describe, understand
from .errors import InvalidArgument
from .stream_gpu import GPU_SUPPORTED_DTYPES, GpuStream, create_gpu, gpu_available
from .stream_handle import Stream, open_stream

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "GPU_SUPPORTED_DTYPES",
    "GpuStream",
    "Stream",
    "create",
    "create_from_config",
    "gpu_available",
    "list_streams",
    "locked_many",
    "open",
    "stream",
    "unlink",
    "wait_any",
]


def create(
    name: str,
    shape: SupportsIndex | Iterable[SupportsIndex],
    dtype: DTypeLike = np.float32,
    *,
    slots: int = 0,
    mode: int = 0o600,
    auto_unlink: bool = False,
    spin: float | None = None,
    gpu_device: Any = None,
    cpu_mirror: bool | None = None,
) -> Stream:
    """Create a stream of zeros. It outlives this process until somebody unlinks it.

    slots: values that the segment has room for, 3 to 255; 0 takes as many as suit the size. More are for readers that
        take much longer for a copy than a writer.
    mode: permissions of the segment.
    auto_unlink: the stream goes when this handle closes.
    spin: seconds that waits of this handle spin before they sleep; None spins for a moment.
    gpu_device: for instance "cuda:0": the values live in that GPU's memory, as long as this handle; see GpuStream.
    cpu_mirror: of a stream on a GPU, True keeps a copy in the host's memory for processes without a GPU.

    Raises NoDevice, Exists, InvalidName, InvalidArgument, UnsupportedType, NoSpace, PermissionDenied, Foreign.
    """
    options: dict[str, Any] = {"slots": slots, "mode": mode, "auto_unlink": auto_unlink, "spin": spin}
    if gpu_device is not None:
        return create_gpu(name, shape, dtype, gpu_device, bool(cpu_mirror), options)
    if cpu_mirror is False:
        raise InvalidArgument("cpu_mirror=False: without gpu_device there is only the host's memory")
    native = _backend.active.Stream(name, dtype=describe(dtype), shape=check_shape(shape), **options)
    return Stream(native, options)


def open(name: str, *, spin: float | None = None, gpu_device: Any = None) -> Stream:
    """A handle of a stream that exists.

    Raises NotFound, WrongKind, PermissionDenied, Foreign, Corrupt, WrongVersion, WrongLayout, TooManyParticipants.
    """
    handle = open_stream(name, spin)
    try:
        if isinstance(handle, GpuStream):
            handle.find_memory(gpu_device)
        elif gpu_device is not None:
            raise InvalidArgument(f"stream {name!r} lives in the host's memory, not on {gpu_device!r}")
    except BaseException:
        handle.close()
        raise
    return handle


def unlink(name: str) -> None:
    """Remove a stream; silent if there is none. Raises WrongKind, PermissionDenied."""
    _backend.active.unlink_stream(name)


@contextmanager
def stream(
    name: str, shape: SupportsIndex | Iterable[SupportsIndex], dtype: DTypeLike = np.float32, **options: Any
) -> Iterator[Stream]:
    """Create a stream for a ``with``, whose end removes it. As ``create``."""
    handle = create(name, shape, dtype, **options)
    try:
        yield handle
    finally:
        handle.delete()


def create_from_config(config: dict[str, Any], **options: Any) -> Stream:
    """As ``create``, from what ``to_config`` gave; ``options`` override it."""
    arguments = {**config, **options}
    dtype = arguments.pop("dtype")
    if isinstance(dtype, str) and "dtype" not in options:
        dtype = understand(dtype.encode())
    return create(arguments.pop("name"), arguments.pop("shape"), dtype, **arguments)


def list_streams() -> list[str]:
    """Names of all streams that may be read, sorted."""
    names: list[str] = _backend.active.list_streams()
    return names


def wait_any(streams: Sequence[Stream], timeout: float | None = None) -> list[Stream]:
    """Wait until at least one of up to 128 streams has a value that its handle has not read; all that have, [] on
    time-out. Costs a thread for each while it waits, on Linux before 5.16.
    """
    found = _backend.active.wait_any([one._native for one in streams], timeout)
    return [streams[index] for index in found]


@contextmanager
def locked_many(streams: Iterable[Stream], timeout: float | None = None) -> Iterator[None]:
    """Hold the locks of several streams, taken in an order that is the same for everybody. Raises TimedOut."""
    end = None if timeout is None else time.monotonic() + timeout
    with ExitStack() as stack:
        for one in sorted(streams, key=lambda one: one.name.encode()):
            stack.enter_context(one.locked(None if end is None else max(0.0, end - time.monotonic())))
        yield
