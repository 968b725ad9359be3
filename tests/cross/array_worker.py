# SPDX-License-Identifier: Apache-2.0
"""What the Python worker does with streams and tensors; arrays.cpp is its twin and takes the same words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import shmlane

PATIENCE = 60.0


def write(name: str, count: str) -> None:
    with shmlane.stream.open(name) as stream:
        for _ in range(int(count)):
            with stream.locked(PATIENCE):
                stream.write(np.full(stream.shape, stream.count + 1))


def read(name: str, until: str) -> None:
    with shmlane.stream.open(name) as stream:
        count = 0
        while count < int(until):
            value = stream.read_after(count, PATIENCE)
            assert stream.last_read > count
            count = stream.last_read
            assert (value == count).all()


def take_turns(mine: str, other: str, rounds: str, place: str) -> None:
    """``place``: "first" writes before it reads."""
    with shmlane.stream.open(mine) as out, shmlane.stream.open(other) as source:
        value = source.read()
        if place == "first":
            out.write(value)
        for turn in range(int(rounds)):
            source.read_after(turn, PATIENCE, value)
            assert source.last_read == turn + 1
            if place != "first" or turn + 1 < int(rounds):
                out.write(value)


def fill_half(hold: Callable[[], None], name: str) -> None:
    view = shmlane.stream.open(name).write_view()
    view.array[: len(view.array) // 2] = -1
    hold()


def hold_tensor(hold: Callable[[], None], name: str, way: str) -> None:
    tensor = shmlane.tensor.attach_shared_tensor(name)
    with tensor.read_locked(PATIENCE) if way == "read" else tensor.write_locked(PATIENCE):
        hold()


def lock_tensor(name: str) -> None:
    with shmlane.tensor.attach_shared_tensor(name) as tensor:
        with tensor.write_locked(PATIENCE) as array:
            array[0] += 1
        with tensor.read_locked(PATIENCE):
            pass


def run_arrays(words: list[str], hold: Callable[[], None]) -> bool:
    """False if these are words about something else."""
    match words:
        case ["write-stream", name, count]:
            write(name, count)
        case ["read-stream", name, until]:
            read(name, until)
        case ["take-turns", mine, other, rounds, place]:
            take_turns(mine, other, rounds, place)
        case ["fill-half", name]:
            fill_half(hold, name)
        case ["hold-tensor", name, way]:
            hold_tensor(hold, name, way)
        case ["lock-tensor", name]:
            lock_tensor(name)
        case _:
            return False
    return True
