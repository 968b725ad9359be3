# SPDX-License-Identifier: Apache-2.0
"""Queues of typed objects between the processes of one machine, through shared memory.

with Producer("frames") as tx:  # one process
    tx.push(array)
for obj in Consumer("frames"):  # another one
    ...
"""

from . import _backend, errors, registry
from ._log import enable_logging, set_log_level
from .aio import AsyncConsumer, AsyncProducer
from .codecs import AsImage
from .dropin import Queue
from .errors import Closed, Corrupt, Empty, Error, Full, InvalidArgument, NoConsumers, TooLarge, UnsupportedType
from .lease import Lease
from .queue import Consumer, Producer
from .registry import RawObject, Registry
from .reservation import Reservation
from .stdio import StdioConsumer, StdioProducer

__all__ = [
    "AsImage",
    "AsyncConsumer",
    "AsyncProducer",
    "Closed",
    "Consumer",
    "Corrupt",
    "Empty",
    "Error",
    "Full",
    "InvalidArgument",
    "Lease",
    "NoConsumers",
    "Producer",
    "Queue",
    "RawObject",
    "Registry",
    "Reservation",
    "StdioConsumer",
    "StdioProducer",
    "TooLarge",
    "UnsupportedType",
    "enable_logging",
    "errors",
    "registry",
    "set_log_level",
]


if not _backend.is_command():
    _backend.active  # noqa: B018  (without a backend this import fails, and says why)


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("shmlane")
    raise AttributeError(f"module 'shmlane' has no attribute {name!r}")
