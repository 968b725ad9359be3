# SPDX-License-Identifier: Apache-2.0
"""A short soak of each language, and the accounts that it trusts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from ..implementations import ALL, ROOT
from .accounts import Accounts, Totals
from .ledger import RECORD


@pytest.mark.parametrize("who", [*([one] for one in ALL), ALL], ids=" and ".join)
def test_participants_killed_at_random_hang_nobody_and_lose_nothing(who: Sequence[str]) -> None:
    seconds = "10" if len(who) == 1 else "4"
    command = [sys.executable, "-m", "tests.soak.soak", "--seconds", seconds, "--languages", *who]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_writers_of_streams_killed_at_random_leave_whole_values_and_others_write_on() -> None:
    command = [sys.executable, "-m", "tests.soak.torn", "--seconds", "6"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def settle(deliveries: list[list[tuple[int, int, int]]], dead: int = 0, dropped: int = 0) -> Totals:
    """One list of (producer, sequence, attempt) per consumer, of which the first ``dead`` were killed."""
    accounts = Accounts()
    accounts.producer(1, 3, 4)
    accounts.producer(2, 0, 1)
    for number, records in enumerate(deliveries):
        accounts.consumer(np.array([(*record, 0) for record in records], RECORD), number >= dead)
    return accounts.settle(dropped)


def test_what_was_delivered_once_settles() -> None:
    totals = settle([[(1, 0, 0), (1, 2, 0)], [(1, 1, 0)]])
    assert totals == Totals(committed=3)


def test_what_may_be_committed_may_arrive_or_not() -> None:
    assert settle([[(1, 0, 0), (1, 1, 0), (2, 0, 0), (1, 2, 0), (1, 3, 0)]]) == Totals(committed=3)


def test_a_redelivery_after_a_death_is_declared() -> None:
    totals = settle([[(1, 0, 0), (1, 1, 0)], [(1, 2, 0), (1, 1, 1)]], dead=1)
    assert totals == Totals(committed=3, redelivered=1)


@pytest.mark.parametrize("again", [(1, 1, 0), (1, 1, 1)])
def test_a_second_delivery_without_a_death_is_a_duplicate(again: tuple[int, int, int]) -> None:
    assert settle([[(1, 0, 0), (1, 1, 0)], [(1, 2, 0), again]]).duplicated == 1


def test_a_second_delivery_that_does_not_say_so_is_a_duplicate() -> None:
    assert settle([[(1, 0, 0), (1, 1, 0)], [(1, 1, 0), (1, 2, 0)]], dead=1).duplicated == 1


def test_what_never_came_is_lost_unless_it_was_dropped() -> None:
    assert settle([[(1, 0, 0), (1, 1, 0)]]).lost == 1
    assert settle([[(1, 0, 0), (1, 1, 0)]], dropped=1).lost == 0


@pytest.mark.parametrize(
    ("deliveries", "fault"),
    [
        ([(1, 1, 0), (1, 0, 0), (1, 2, 0)], "out of order"),
        ([(1, 0, 0), (1, 1, 0), (1, 2, 0), (1, 4, 0)], "never began"),
        ([(1, 0, 0), (1, 1, 0), (1, 2, 0), (3, 0, 0)], "of nobody"),
    ],
)
def test_what_cannot_be_is_a_fault(deliveries: list[tuple[int, int, int]], fault: str) -> None:
    (found,) = settle([deliveries]).faults
    assert fault in found
