# SPDX-License-Identifier: Apache-2.0
"""Queues of typed objects between the processes of one machine, through shared memory.

with Producer("frames") as tx:  # one process
    tx.push(array)
for obj in Consumer("frames"):  # another one
    ...
"""

from . import _backend, cuda, errors, registry, stream, tensor
from ._log import enable_logging, set_log_level
from .aio import AsyncConsumer, AsyncProducer
from .codecs import AsImage
from .dropin import Queue
from .errors import (
    Closed,
    Corrupt,
    DeviceFailed,
    Empty,
    Error,
    Exists,
    ExporterGone,
    Full,
    InvalidArgument,
    NoConsumers,
    NoDevice,
    NotFound,
    Removed,
    TimedOut,
    TooLarge,
    Unlocked,
    UnsupportedType,
)
from .lease import Lease
from .queue import Consumer, Producer
from .registry import RawObject, Registry
from .reservation import Reservation
from .stdio import StdioConsumer, StdioProducer
from .stream import Stream
from .tensor import Tensor
from .tensor_pool import TensorPool

__all__ = [
    "AsImage",
    "AsyncConsumer",
    "AsyncProducer",
    "Closed",
    "Consumer",
    "Corrupt",
    "DeviceFailed",
    "Empty",
    "Error",
    "Exists",
    "ExporterGone",
    "Full",
    "InvalidArgument",
    "Lease",
    "NoConsumers",
    "NoDevice",
    "NotFound",
    "Producer",
    "Queue",
    "RawObject",
    "Registry",
    "Removed",
    "Reservation",
    "StdioConsumer",
    "StdioProducer",
    "Stream",
    "Tensor",
    "TensorPool",
    "TimedOut",
    "TooLarge",
    "Unlocked",
    "UnsupportedType",
    "cuda",
    "enable_logging",
    "errors",
    "registry",
    "set_log_level",
    "stream",
    "tensor",
]


if not _backend.is_command():
    _backend.active  # noqa: B018  (without a backend this import fails, and says why)


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("shmlane")
    raise AttributeError(f"module 'shmlane' has no attribute {name!r}")
