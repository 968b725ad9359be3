# SPDX-License-Identifier: Apache-2.0
"""The pure backend: the wire format in Python, NumPy and the system's libraries, name by name as in ``_native.pyi``."""

from .arrays import list_streams, list_tensors, unlink_stream, unlink_tensor
from .consumer import Consumer
from .frame import make_frame, parse_frame
from .holds import Lease, LeaseHandle, Reservation
from .inspect import (
    has_membarrier,
    inspect_segment,
    list_segments,
    reap_segment,
    remove_remains,
    remove_segment,
)
from .producer import Producer
from .stdio import StdioReader, StdioWriter
from .stream import Stream, WriteView, wait_any
from .tensor import Tensor
from .wire import VERSION as WIRE_VERSION

__all__ = [
    "WIRE_VERSION",
    "Consumer",
    "Lease",
    "LeaseHandle",
    "Producer",
    "Reservation",
    "StdioReader",
    "StdioWriter",
    "Stream",
    "Tensor",
    "WriteView",
    "has_membarrier",
    "inspect_segment",
    "list_segments",
    "list_streams",
    "list_tensors",
    "make_frame",
    "parse_frame",
    "reap_segment",
    "remove_remains",
    "remove_segment",
    "unlink_stream",
    "unlink_tensor",
    "wait_any",
]
