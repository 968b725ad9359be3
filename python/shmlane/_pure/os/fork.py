# SPDX-License-Identifier: Apache-2.0
"""Tells objects that hold kernel state of their own that they now live in a forked child."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

generation = 0
"""Grows in the child of every fork; an object that remembers another number belongs to an ancestor."""


class ForkAware(Protocol):
    def in_forked_child(self) -> None: ...


_watching: WeakSet[ForkAware] = WeakSet()


def watch_forks(one: ForkAware) -> None:
    """Have ``one.in_forked_child()`` called in the child of every fork, before anything else runs there."""
    _watching.add(one)


def _in_child() -> None:
    global generation
    generation += 1
    for one in list(_watching):
        one.in_forked_child()


os.register_at_fork(after_in_child=_in_child)
