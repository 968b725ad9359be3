# SPDX-License-Identifier: Apache-2.0
"""Each object exactly once, every byte right, each producer's order kept: any producers to any consumers."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import shmlane

from .worker import STAMP

OBJECTS = 100_000
RING = 4 << 20
LONGEST = 600  # bytes; several laps of the ring
PAIRS = list(itertools.product(["python", "cpp"], repeat=2))
SHAPES = [(1, 1), (4, 4), (1, 4), (4, 1), (8, 3)]


def transfer(
    queue: str, start: Callable[..., subprocess.Popen[bytes]], producers: list[str], consumers: list[str], logs: Path
) -> list[np.ndarray]:
    """Run the workers over one queue; returns the stamps that each consumer saw, in its order."""
    share = OBJECTS // len(producers)
    # These handles take and push nothing: they lay the ring out and keep the stream open until all producers are done.
    with shmlane.Consumer(queue, RING), shmlane.Producer(queue) as keeper:
        takers = [start(language, "consume", queue, LONGEST, logs / str(i)) for i, language in enumerate(consumers)]
        makers = [start(language, "produce", queue, i, share, LONGEST) for i, language in enumerate(producers)]
        assert [worker.wait() for worker in makers] == [0] * len(makers)
        keeper.close()
        assert [worker.wait() for worker in takers] == [0] * len(takers)
    return [np.fromfile(logs / str(i), STAMP) for i in range(len(consumers))]


def check(seen: list[np.ndarray], producers: int) -> None:
    everything = np.concatenate(seen)
    for producer in range(producers):
        arrived = everything["sequence"][everything["producer"] == producer]
        assert np.array_equal(np.sort(arrived), np.arange(OBJECTS // producers, dtype=np.uint64))
        for one in seen:
            order = one["sequence"][one["producer"] == producer].astype(np.int64)
            assert (np.diff(order) > 0).all()
    assert len(everything) == OBJECTS // producers * producers


@pytest.mark.parametrize(("makers", "takers"), SHAPES, ids=lambda n: str(n))
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_object_arrives_exactly_once_and_in_its_producers_order(
    source: str,
    target: str,
    makers: int,
    takers: int,
    queue_name: str,
    start: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
) -> None:
    check(transfer(queue_name, start, [source] * makers, [target] * takers, tmp_path), makers)


def test_producers_and_consumers_of_both_languages_share_one_ring(
    queue_name: str, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    mixed = ["python", "cpp", "python", "cpp"]
    check(transfer(queue_name, start, mixed, mixed, tmp_path), len(mixed))
