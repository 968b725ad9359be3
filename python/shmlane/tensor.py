# SPDX-License-Identifier: Apache-2.0

# ruff: noqa: A001 - `list` is the name that people know
"""Tensors: named arrays in shared memory, created once and attached without a copy in any number of processes.

with shmlane.tensor.create_shared_tensor("weights", data) as weights:  # removes it at the end
    weights.array[0] = 1.0
shmlane.tensor.attach_shared_tensor("weights").array  # in another process: the same memory
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from . import _backend, _exit
from .array_kind import ArrayHandle, Shape, check_shape, describe, refuse_gpu, understand
from .codecs.ndarray import as_array
from .errors import Closed, Error, InvalidArgument, TimedOut, WrongType

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Tensor", "attach_shared_tensor", "cleanup", "create_shared_tensor", "list", "list_tensors"]


class Tensor(ArrayHandle):
    """A handle of a tensor; ``create_shared_tensor`` and ``attach_shared_tensor`` make them. May be shared by threads,
    and pickled: whoever unpickles it attaches by the name. Leaving a ``with`` closes it, and removes the tensor if this
    handle created it.

    Nothing orders what several write into it, but for ``read_locked`` and ``write_locked``, for those who use them.
    """

    def __init__(self, native: Any, writable: bool) -> None:
        self._native = native
        self._writable = writable
        self._title = f"tensor {native.name!r}"
        self._array: NDArray[Any] | None = np.ndarray(
            native.shape, understand(native.dtype), memoryview(native.memory())
        )
        _exit.close_at_exit(self)

    @property
    def array(self) -> NDArray[Any]:
        """The array in place, 64-byte aligned, read-only if so attached; it may outlive this handle. Raises Closed."""
        if self._array is None:
            raise Closed(
                f"the handle of {self._title} is closed; attach again with "
                f"shmlane.tensor.attach_shared_tensor({self.name!r})"
            )
        return self._array

    @property
    def shape(self) -> Shape:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return self.array.nbytes

    @property
    def writable(self) -> bool:
        return self._writable

    @property
    def owner(self) -> bool:
        """Whether this handle created the tensor."""
        return bool(self._native.owner)

    @property
    def closed(self) -> bool:
        return self._array is None

    @contextmanager
    def read_locked(self, timeout: float | None = None) -> Iterator[NDArray[Any]]:
        """Many may hold this lock at a time, but none beside a writer. Not to be taken again by who holds it already.

        The death of its holder gives it back, as with ``write_locked``. Raises TimedOut.
        """
        array = self.array
        if not self._native.lock_shared(timeout):
            raise self._locked_out(timeout)
        try:
            yield array
        finally:
            self._native.unlock_shared()

    @contextmanager
    def write_locked(self, timeout: float | None = None) -> Iterator[NDArray[Any]]:
        """Nobody else holds a lock of the tensor meanwhile; the same thread may take it again. Raises TimedOut."""
        array = self.array
        if not self._native.lock(timeout):
            raise self._locked_out(timeout)
        try:
            yield array
        finally:
            self._native.unlock()

    def _locked_out(self, timeout: float | None) -> TimedOut:
        return TimedOut(f"{self._title}: its lock was not to be had within {timeout} s")

    def close(self) -> None:
        """End this handle; arrays of it stay, and so does the tensor. Idempotent."""
        self._array = None
        self._native.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.closed and self.owner:
            self.unlink()
        super().__exit__(kind, error, traceback)

    def __reduce__(self) -> tuple[Any, ...]:
        return attach_shared_tensor, (self.name, None, None, self._writable)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        array = self.array if dtype is None else self.array.astype(dtype, copy=False)
        return array.copy() if copy else array

    def __buffer__(self, flags: int, /) -> memoryview:
        return self.array.data

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    def __repr__(self) -> str:
        state = "closed" if self._array is None else f"{self._array.dtype} {self._array.shape}"
        return f"<Tensor {self.name!r} {state}>"


def create_shared_tensor(
    name: str,
    data: Any = None,
    *,
    shape: SupportsIndex | Iterable[SupportsIndex] | None = None,
    dtype: DTypeLike | None = None,
    mode: int = 0o600,
    auto_unlink: bool = False,
    gpu_device: Any = None,
) -> Tensor:
    """Create a tensor that holds a copy of ``data``, or zeros of a shape and dtype (float32). Who attaches finds all of
    that, or no tensor. It stays until somebody unlinks it, or with ``auto_unlink`` until this handle closes.

    Raises Exists, InvalidName, InvalidArgument, UnsupportedType, NoSpace, PermissionDenied, Foreign.
    """
    refuse_gpu(gpu_device)
    if (data is None) == (shape is None):
        raise InvalidArgument(f"tensor {name!r}: give either data or a shape")
    source = None if data is None else as_array(data)
    if source is not None and dtype is not None:
        source = source.astype(dtype)
    kind = source.dtype if source is not None else np.dtype(np.float32 if dtype is None else dtype)
    lengths = source.shape if source is not None else check_shape(shape)  # type: ignore[arg-type]
    items = None if source is None else np.asarray(source, order="C")
    made = _backend.active.Tensor(
        name, dtype=describe(kind), shape=lengths, data=items, mode=mode, auto_unlink=auto_unlink
    )
    return Tensor(made, writable=True)


def attach_shared_tensor(
    name: str,
    shape: SupportsIndex | Iterable[SupportsIndex] | None = None,
    dtype: DTypeLike | None = None,
    writable: bool = True,
) -> Tensor:
    """A handle of a tensor that exists. Copies and touches nothing; a shape and dtype that are given are compared.

    Raises NotFound, WrongKind, WrongType (another shape or dtype), PermissionDenied, Foreign, Corrupt, WrongVersion,
    WrongLayout, TooManyParticipants.
    """
    kind = None if dtype is None else np.dtype(dtype)
    lengths = None if shape is None else check_shape(shape)
    tensor = Tensor(_backend.active.Tensor(name, writable=writable), writable)
    found = tensor.array
    if (kind is not None and found.dtype != kind) or (lengths is not None and found.shape != lengths):
        tensor.close()
        wanted = " ".join(str(one) for one in (kind, lengths) if one is not None)
        raise WrongType(f"tensor {name!r} is {found.dtype} {found.shape}, not {wanted}")
    return tensor


def list_tensors() -> builtins.list[str]:
    """Names of all tensors that may be read, sorted."""
    names: builtins.list[str] = _backend.active.list_tensors()
    return names


list = list_tensors


def cleanup(*names: str) -> builtins.list[str]:
    """Remove the tensors of these names, whoever uses them; without a name, all that nobody uses. Returns which went.

    Raises WrongKind, PermissionDenied.
    """
    if names:
        return [name for name in names if _backend.active.unlink_tensor(name)]
    gone = []
    for name in list_tensors():
        with suppress(Error):  # it went away meanwhile, or is another user's
            if _backend.active.remove_segment(name):
                gone.append(name)
    return gone
