# SPDX-License-Identifier: Apache-2.0
"""What a Python peer must offer to be measured: a Sender and a Receiver. Its twin is cpp/peer.hpp."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Count = Callable[[Any], None]


@dataclass(frozen=True)
class Setup:
    name: str  # unique to this run
    capacity: int = 32 << 20
    least: int = 64
    most: int = 64  # bytes of the largest payload
    producers: int = 1
    consumers: int = 1
    batch: int = 1  # objects per call, where the peer has batches
    numpy: bool = False  # payloads are arrays of bytes, otherwise bytes
    popped: bool = False  # take a copy of each object, otherwise look where it lies, if the peer can
    spin: bool = False  # ask again instead of sleeping, where the peer can
    sleep: bool = False  # sleep at once, where the peer spins first

    @property
    def slots(self) -> int:
        """How many of the largest objects the capacity holds."""
        return max(2, self.capacity // self.most)


def payloads(setup: Setup, seed: int) -> list[Any]:
    """Prepared payloads, each with its own bytes in memory of its own."""
    sizes = random.Random(seed)
    count = 8 if setup.most > 1 << 20 else 16
    made = [bytes([i + 1]) * sizes.randint(setup.least, setup.most) for i in range(count)]
    return [np.frombuffer(payload, np.uint8).copy() for payload in made] if setup.numpy else made


class Sender:
    """``push`` sends one object."""

    push: Callable[[Any], Any]

    def flood(self, objects: list[Any]) -> None:
        push = self.push
        for obj in itertools.cycle(objects):
            push(obj)


class Receiver:
    """``pop`` returns the next object, as something whose bytes can be read."""

    pop: Callable[[], Any]

    def drain(self, count: Count) -> None:
        pop = self.pop
        while True:
            count(pop())


class Peer:
    """Made in the process that starts the workers; they inherit it. ``create`` is not for the second of two hosts.

    ``index`` says which of the producers, or of the consumers, a worker is.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def create(self) -> None:
        pass

    def remove(self) -> None:
        pass

    def sender(self, index: int) -> Sender:
        """There is none of a peer that only receives."""
        raise NotImplementedError(f"{type(self).__name__} has no senders")

    def receiver(self, index: int) -> Receiver:
        """There is none of a peer whose workers work alone."""
        raise NotImplementedError(f"{type(self).__name__} has no receivers")
