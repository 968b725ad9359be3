# SPDX-License-Identifier: Apache-2.0
"""The pure backend: the wire format in Python, NumPy and the system's libraries, name by name as in ``_native.pyi``."""

from .consumer import Consumer
from .frame import make_frame, parse_frame
from .holds import Lease, Reservation
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
from .wire import VERSION as WIRE_VERSION

__all__ = [
    "WIRE_VERSION",
    "Consumer",
    "Lease",
    "Producer",
    "Reservation",
    "StdioReader",
    "StdioWriter",
    "has_membarrier",
    "inspect_segment",
    "list_segments",
    "make_frame",
    "parse_frame",
    "reap_segment",
    "remove_remains",
    "remove_segment",
]
