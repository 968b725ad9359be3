# SPDX-License-Identifier: Apache-2.0
"""What Producer and Consumer share: opening, closing, looking, crossing to other processes by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, SupportsIndex

from . import _exit
from ._scope import ClosedAtExit
from .codec import Context
from .codecs.cuda import CudaEnd, check_device
from .codecs.image import check_encoding
from .registry import Registry, default
from .sizes import parse_size

if TYPE_CHECKING:
    from . import _native


class Handle(ClosedAtExit):
    """One end of a queue. May be shared by threads, and pickled: whoever unpickles it attaches by the queue's name."""

    _native: _native.Producer | _native.Consumer
    _registry: Registry
    _context: Context
    _cuda: CudaEnd
    _options: dict[str, Any]

    def _open(self, backend: Callable[..., Any], name: str, ring: dict[str, Any], codecs: dict[str, Any]) -> None:
        context = make_context(**codecs)
        arena = codecs.get("cuda_capacity")
        arena_bytes = 0 if arena is None else parse_size(arena)
        self._registry = codecs.get("registry") or default
        self._native = backend(name, **ring)
        self._cuda = CudaEnd(self._native, arena_bytes)
        self._context = replace(context, cuda=self._cuda)
        self._options = {**ring, **codecs}
        _exit.close_at_exit(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.name, self._options)

    @property
    def name(self) -> str:
        return self._native.name

    @property
    def capacity(self) -> int:
        """Bytes of the ring; 0 as long as nobody has named a capacity."""
        return self._native.capacity

    @property
    def closed(self) -> bool:
        return self._native.closed

    def close(self) -> None:
        """End this handle; who waits on it in another thread gets Closed. Idempotent. Leases stay valid."""
        self._native.close()
        self._cuda.close()

    def size(self) -> int:
        """Objects that wait in the ring; exact when nobody works on it."""
        return self._native.size()

    def stat(self) -> dict[str, int]:
        """The whole queue: capacity and used (bytes), producers, consumers, and the counters that the README explains:
        pushed, pushed_bytes, aborted, popped, popped_bytes, dropped, redelivered, waits, recovered.

        Each is right; together they may be of different moments.
        """
        return self._native.stat()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {'closed' if self.closed else 'open'}>"


def make_context(
    registry: Registry | None = None,
    pickle: bool = False,
    image_encoding: str = "raw",
    image_quality: int | None = None,
    device: str | None = None,
    cuda_capacity: str | SupportsIndex | None = None,
) -> Context:
    """What encodes and decodes the objects of a handle. Raises InvalidArgument."""
    check_encoding(image_encoding, image_quality)
    return Context(registry or default, bool(pickle), image_encoding, image_quality, to_host=check_device(device))


def _reopen(cls: type[Handle], name: str, options: dict[str, Any]) -> Handle:
    return cls(name, **options)  # type: ignore[call-arg]
