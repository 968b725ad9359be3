# SPDX-License-Identifier: Apache-2.0
"""iceoryx2: publish and subscribe without overflow; its subscriber polls, because receiving does not block."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import iceoryx2 as iox

from peer import Count, Peer, Receiver, Sender, Setup

_MOST_SLOTS = 1024


def _prefix(setup: Setup) -> str:
    return f"{setup.name}_"


def _root(setup: Setup) -> Path:
    return Path(tempfile.gettempdir()) / f"{setup.name}-iceoryx2"


def _service(setup: Setup) -> Any:
    iox.set_log_level(iox.LogLevel.Error)
    # A place of its own for all its files, because it leaves them behind when its processes are killed.
    config = iox.config.default()
    config.global_cfg.prefix = iox.FileName.new(_prefix(setup))
    config.global_cfg.root_path = iox.Path.new(f"{_root(setup)}/")
    node = iox.NodeBuilder.new().config(config).create(iox.ServiceType.Ipc)
    builder = node.service_builder(iox.ServiceName.new(setup.name)).publish_subscribe(iox.Slice[ctypes.c_uint8])
    service = (
        builder.subscriber_max_buffer_size(min(_MOST_SLOTS, setup.slots))
        .enable_safe_overflow(False)
        .max_publishers(setup.producers)
        .max_subscribers(setup.consumers)
        .open_or_create()
    )
    return node, service


class _Sender(Sender):
    def __init__(self, setup: Setup) -> None:
        self._node, service = _service(setup)
        self._publisher = (
            service.publisher_builder()
            .initial_max_slice_len(setup.most)
            .backpressure_strategy(iox.BackpressureStrategy.RetryUntilDelivered)
            .create()
        )
        # Whoever subscribes later does not get what was published before.
        while service.dynamic_config.number_of_subscribers < setup.consumers:
            time.sleep(0.001)
        self.push = self._push_array if setup.numpy else self._push_bytes

    def _push_bytes(self, obj: bytes) -> None:
        place = self._publisher.loan_slice_uninit(len(obj))
        ctypes.memmove(place.payload_ptr, obj, len(obj))
        place.assume_init().send()

    def _push_array(self, obj: Any) -> None:
        place = self._publisher.loan_slice_uninit(obj.nbytes)
        ctypes.memmove(place.payload_ptr, obj.ctypes.data, obj.nbytes)
        place.assume_init().send()


class _Receiver(Receiver):
    def __init__(self, setup: Setup) -> None:
        self._node, service = _service(setup)
        self._receive = service.subscriber_builder().buffer_size(min(_MOST_SLOTS, setup.slots)).create().receive

    def _next(self) -> Any:
        receive = self._receive
        while (sample := receive()) is None:
            pass
        return sample

    def pop(self) -> Any:
        return bytes(self._next().payload().as_memory_view())

    def drain(self, count: Count) -> None:
        while True:
            sample = self._next()
            count(sample.payload().as_memory_view())
            sample.delete()


class Iceoryx2(Peer):
    def remove(self) -> None:
        shutil.rmtree(_root(self.setup), ignore_errors=True)
        for path in Path("/dev/shm").glob(f"{_prefix(self.setup)}*"):
            path.unlink(missing_ok=True)

    def sender(self, index: int) -> Sender:
        return _Sender(self.setup)

    def receiver(self, index: int) -> Receiver:
        return _Receiver(self.setup)
