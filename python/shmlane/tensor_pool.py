# SPDX-License-Identifier: Apache-2.0
"""TensorPool: tensors of one shape and dtype, handed out again without making segments anew."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np

from ._scope import ClosedAtExit
from .errors import Closed, InvalidArgument
from .tensor import Tensor, create_shared_tensor

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class TensorPool(ClosedAtExit):
    """Tensors named ``prefix.0``, ``prefix.1`` and so on, made when none is free. Others attach to one by its name. May
    be shared by threads; leaving a ``with``, or ``close``, removes them all.
    """

    def __init__(
        self,
        prefix: str,
        shape: SupportsIndex | Iterable[SupportsIndex],
        dtype: DTypeLike = np.float32,
        *,
        mode: int = 0o600,
    ) -> None:
        self._prefix, self._shape, self._dtype, self._mode = prefix, shape, dtype, mode
        self._lock = threading.Lock()
        self._all: list[Tensor] = []
        self._free: list[Tensor] = []
        self._closed = False

    def take(self) -> Tensor:
        """A tensor of this caller's own, with whatever its last user left in it. Raises what creating one raises."""
        with self._lock:
            if self._closed:
                raise Closed(f"the pool {self._prefix!r} is closed; make a new one")
            if self._free:
                return self._free.pop()
            name = f"{self._prefix}.{len(self._all)}"
            tensor = create_shared_tensor(name, shape=self._shape, dtype=self._dtype, mode=self._mode)
            self._all.append(tensor)
            return tensor

    def give_back(self, tensor: Tensor) -> None:
        """The next ``take`` may have it. Raises InvalidArgument for what was not taken here. Does nothing after
        ``close``.
        """
        with self._lock:
            if self._closed:
                return
            if not any(tensor is one for one in self._all) or any(tensor is one for one in self._free):
                raise InvalidArgument(f"{tensor!r} was not taken from the pool {self._prefix!r}")
            self._free.append(tensor)

    @contextmanager
    def taken(self) -> Iterator[Tensor]:
        """A tensor for a ``with``."""
        tensor = self.take()
        try:
            yield tensor
        finally:
            self.give_back(tensor)

    def close(self) -> None:
        """Remove all tensors of the pool, also those that were taken; their arrays stay. Idempotent."""
        with self._lock:
            self._closed = True
            tensors, self._all, self._free = self._all, [], []
        for tensor in tensors:
            tensor.delete()

    def __repr__(self) -> str:
        return f"<TensorPool {self._prefix!r} {len(self._all)} tensors, {len(self._free)} free>"
