# SPDX-License-Identifier: Apache-2.0
"""Accounts for every committed object: delivered once, or again as a declared redelivery, or counted as dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Totals:
    """What came of one round, or of several added up."""

    committed: int = 0
    lost: int = 0
    dropped: int = 0  # counted by the queue: they outlived max_attempts consumers
    duplicated: int = 0
    redelivered: int = 0
    faults: list[str] = field(default_factory=list)

    def add(self, other: Totals) -> None:
        for name in ("committed", "lost", "dropped", "duplicated", "redelivered", "faults"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Accounts:
    """The ledgers of one round's workers, as they end."""

    def __init__(self) -> None:
        self._produced: dict[int, tuple[int, int]] = {}
        self._consumed: list[tuple[np.ndarray, bool]] = []

    def producer(self, number: int, committed: int, started: int) -> None:
        """Objects below ``committed`` are committed; those from there to ``started`` may be."""
        self._produced[number] = (committed, started)

    def consumer(self, records: np.ndarray, orderly: bool) -> None:
        """``orderly``: it ended by itself, and so has no right to leave anything to others."""
        self._consumed.append((records, orderly))

    def settle(self, dropped: int) -> Totals:
        totals = Totals(dropped=dropped, committed=sum(committed for committed, _ in self._produced.values()))
        for records, _ in self._consumed:
            self._check_order(records, totals)
        records = np.concatenate([records for records, _ in self._consumed])
        orderly = np.concatenate([np.full(len(records), orderly) for records, orderly in self._consumed])
        order = np.lexsort((records["attempt"], records["sequence"], records["producer"]))
        records, orderly = records[order], orderly[order]
        again = (np.diff(records["producer"].astype(np.int64)) == 0) & (
            np.diff(records["sequence"].astype(np.int64)) == 0
        )
        # A second delivery must say so by its attempt, and whoever had the object before must have died.
        declared = (np.diff(records["attempt"].astype(np.int64)) > 0) & ~orderly[:-1]
        totals.duplicated = int((again & ~declared).sum())
        totals.redelivered = int((records["attempt"] > 0).sum())
        first = np.concatenate([[True], ~again]) if len(records) else np.zeros(0, bool)
        self._check_losses(records[first], totals)
        return totals

    def _check_losses(self, objects: np.ndarray, totals: Totals) -> None:
        """``objects``: each delivered one once, ordered by producer."""
        missing = 0
        for number, (committed, started) in self._produced.items():
            begin, end = np.searchsorted(objects["producer"], [number, number + 1])
            sequences = objects["sequence"][begin:end]
            missing += committed - int((sequences < committed).sum())
            if (sequences >= started).any():
                totals.faults.append(f"an object of producer {number} was delivered that it never began")
        if not set(np.unique(objects["producer"]).tolist()) <= self._produced.keys():
            totals.faults.append("an object of nobody was delivered")
        totals.lost = max(0, missing - totals.dropped)

    @staticmethod
    def _check_order(records: np.ndarray, totals: Totals) -> None:
        """What one consumer got of one producer comes in the order of the pushes, redelivered objects excepted."""
        fresh = records[records["attempt"] == 0]
        by_producer = fresh[np.argsort(fresh["producer"], kind="stable")]
        same = np.diff(by_producer["producer"].astype(np.int64)) == 0
        if (same & (np.diff(by_producer["sequence"].astype(np.int64)) <= 0)).any():
            totals.faults.append("a consumer saw the objects of one producer out of order")
