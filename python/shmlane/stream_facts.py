# SPDX-License-Identifier: Apache-2.0
"""What a stream's handle knows and tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .array_kind import ArrayHandle, Shape, describe
from .errors import Closed

if TYPE_CHECKING:
    import numpy as np


class StreamFacts(ArrayHandle):
    """The facts of a handle. All but name, ``closed`` and ``repr`` raise Closed after its end."""

    _options: dict[str, Any]
    _dtype: np.dtype[Any]
    _shape: Shape
    _title: str

    @property
    def shape(self) -> Shape:
        self._check()
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        self._check()
        return self._dtype

    @property
    def size(self) -> int:
        """Bytes of the array."""
        self._check()
        return int(self._native.nbytes)

    @property
    def slots(self) -> int:
        """Values that the segment has room for."""
        self._check()
        return int(self._native.slots)

    @property
    def owner(self) -> bool:
        """Whether this handle created the stream."""
        self._check()
        return bool(self._native.owner)

    @property
    def count(self) -> int:
        """Values written so far, since the stream was created."""
        return int(self._native.count)

    @property
    def missed(self) -> int:
        """Values that this handle's reads have skipped."""
        self._check()
        return int(self._native.missed)

    @property
    def last_read(self) -> int:
        """The count of the value that this handle read last; at first, of the one that was there when it was opened."""
        self._check()
        return int(self._native.last_read)

    @property
    def write_time(self) -> float:
        """UNIX seconds of the last write; 0 before the first one."""
        return float(self._native.stat()["write_time"])

    @property
    def age(self) -> float | None:
        """Seconds since the last write; None before the first one."""
        stat = self._native.stat()
        return float(stat["age"]) if stat["write_time"] else None

    @property
    def write_sequence(self) -> int:
        """Twice the count; odd while a value is being written, or if its writer died and nobody wrote since."""
        return int(self._native.stat()["write_sequence"])

    @property
    def writer_alive(self) -> bool:
        """Whether the handle that wrote last is still open."""
        return bool(self._native.stat()["writer_alive"])

    @property
    def gpu_device(self) -> str | None:
        """None: the values are in the CPU's memory."""
        self._check()
        return None

    @property
    def gpu_enabled(self) -> bool:
        self._check()
        return False

    @property
    def cpu_mirror(self) -> bool:
        """Whether the values are in the CPU's memory."""
        self._check()
        return True

    def describe(self) -> str:
        """All there is to know, one line a field."""
        stat = self._native.stat()
        writer = f"process {stat['writer_pid']}" if stat["writer_pid"] else "none, or it has left"
        facts = {
            "name": self.name,
            "shape": self.shape,
            "dtype": self.dtype,
            "size": f"{self.size} bytes",
            "slots": self.slots,
            "owner": self.owner,
            "count": self.count,
            "write_sequence": self.write_sequence,
            "age": "never written" if self.age is None else f"{stat['age']:.6f} s",
            "writer": writer if stat["writer_alive"] or not stat["writer_pid"] else f"{writer}, dead",
            "missed": self.missed,
            "gpu_enabled": self.gpu_enabled,
        }
        return "\n".join(f"{key:<15} {value}" for key, value in facts.items())

    def to_config(self) -> dict[str, Any]:
        """A plain dict, also for JSON, from which ``create_from_config`` makes such a stream."""
        self._check()
        return {
            "name": self.name,
            "shape": list(self._shape),
            "dtype": describe(self._dtype).decode(),
            "slots": self.slots,
            "auto_unlink": bool(self._options.get("auto_unlink", False)),
        }

    @property
    def closed(self) -> bool:
        return bool(self._native.closed)

    def _check(self) -> None:
        if self._native.closed:
            raise Closed(
                f"the handle of {self._title} is closed; open it again with shmlane.stream.open({self.name!r})"
            )

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self._dtype} {self._shape}"
        return f"<Stream {self.name!r} {state}>"
