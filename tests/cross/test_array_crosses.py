# SPDX-License-Identifier: Apache-2.0
"""A quick sample of what `make cross` does with streams and tensors: every pair of implementations."""

from __future__ import annotations

import pytest

from . import array_crosses as crosses
from .test_crosses import CHAIN, PAIRS
from .world import World


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_what_one_writes_another_reads_whole_and_in_order(world: World, source: str, target: str) -> None:
    crosses.values(world, source, target, 200)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_each_wakes_the_other_and_no_value_is_lost(world: World, source: str, target: str) -> None:
    crosses.turns(world, source, target, 200)


@pytest.mark.parametrize(("source", "target"), CHAIN)
def test_after_a_killed_writer_the_last_whole_value_stands_and_others_write_on(
    world: World, source: str, target: str
) -> None:
    crosses.dead_writer(world, source, target)


@pytest.mark.parametrize(("source", "target"), CHAIN)
def test_locks_of_killed_holders_are_taken_by_others(world: World, source: str, target: str) -> None:
    crosses.dead_locks(world, source, target)


@pytest.mark.parametrize(("source", "target"), CHAIN)
def test_beside_writers_that_are_killed_a_reader_meets_whole_values_only(
    world: World, source: str, target: str
) -> None:
    crosses.killed_writers(world, source, target, 3)
