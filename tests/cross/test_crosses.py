# SPDX-License-Identifier: Apache-2.0
"""A quick sample of what `make cross` does: every pair of implementations, every case."""

from __future__ import annotations

import itertools

import pytest

from ..implementations import ALL
from . import crosses
from .world import World

PAIRS = list(itertools.product(ALL, ALL))
CHAIN = list(zip(ALL, (*ALL[1:], ALL[0]), strict=True))
"""Pairs in which each implementation is a source once and a target once."""


@pytest.mark.parametrize(("source", "target"), CHAIN)
def test_an_object_is_the_same_after_the_way_there_and_back(world: World, source: str, target: str) -> None:
    crosses.objects(world, source, target)


@pytest.mark.parametrize(("source", "target"), CHAIN)
def test_an_object_is_the_same_after_the_way_through_pipes(world: World, source: str, target: str) -> None:
    crosses.streams(world, source, target, huge=False)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_object_arrives_exactly_once_and_in_its_producers_order(world: World, source: str, target: str) -> None:
    crosses.integrity(world, [source] * 2, [target] * 2, 5_000)


@pytest.mark.parametrize("shape", crosses.SHAPES, ids=lambda shape: f"{shape[0]} to {shape[1]}")
def test_any_number_of_producers_feeds_any_number_of_consumers(world: World, shape: tuple[int, int]) -> None:
    source, target = ALL[0], ALL[1]
    crosses.integrity(world, [source] * shape[0], [target] * shape[1], 30_000)


def test_producers_and_consumers_of_all_implementations_share_one_ring(world: World) -> None:
    crosses.mixed(world, ALL, 10_000)


@pytest.mark.parametrize(("source", "target"), CHAIN)
def test_objects_as_large_as_a_quarter_of_the_ring_arrive(world: World, source: str, target: str) -> None:
    crosses.large_objects(world, source, target)


@pytest.mark.parametrize(("source", "target"), CHAIN)
def test_what_is_not_dropped_arrives_in_order(world: World, source: str, target: str) -> None:
    crosses.dropping(world, source, target)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_what_a_killed_producer_committed_arrives_before_the_end(world: World, source: str, target: str) -> None:
    crosses.dead_producer(world, source, target)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_what_a_killed_consumer_held_comes_again(world: World, source: str, target: str) -> None:
    crosses.dead_consumer(world, source, target)
