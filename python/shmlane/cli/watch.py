# SPDX-License-Identifier: Apache-2.0
"""What top shows, as numbers: two looks at all segments, and what happened between them."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from shmlane import _backend

from .tables import Segment, living

RATES = ("pushed", "popped", "pushed_bytes", "popped_bytes", "waits")
"""The counters whose growth per second is shown."""

SORTS = ("name", "objects", "used", "in", "out", "drops")


@dataclass
class Row:
    """One segment: the last look, and growth per second of its counters, by participants' ids for them alone."""

    segment: Segment
    rates: dict[str, float]
    news: set[str] = field(default_factory=set)  # of "dropped" and "redelivered" those that grew
    of_participants: dict[int, dict[str, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.segment["name"])

    @property
    def share(self) -> float:
        """Of the capacity, what is used."""
        return float(self.segment["used"] / self.segment["capacity"]) if self.segment["capacity"] else 0.0

    @property
    def holder(self) -> dict[str, Any] | None:
        """The participant whose hold is the oldest frame in use: producers cannot pass it."""
        return next((other for other in self.segment["participants"] if other["at_tail"]), None)

    def as_dict(self) -> dict[str, Any]:
        rates = {f"{counter}_per_second": rate for counter, rate in self.rates.items()}
        holder = self.holder
        return {**self.segment, **rates, "tail_pid": holder["pid"] if holder else None}


class Watch:
    """Looks again and again, at all segments or at those of some names. At its first look a segment has rates of 0."""

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = names
        self._before: dict[int, Segment] = {}
        self._time = 0.0

    def look(self) -> list[Row]:
        every = _backend.active.list_segments()
        segments = [segment for segment in every if not self._names or segment["name"] in self._names]
        now = time.monotonic()
        seconds, self._time = now - self._time, now
        rows = [_row(segment, self._before.get(segment["segment_id"]), seconds) for segment in segments]
        self._before = {segment["segment_id"]: segment for segment in segments}
        return rows


def _row(segment: Segment, before: Segment | None, seconds: float) -> Row:
    known = {other["id"]: other["counters"] for other in (before or segment)["participants"]}
    return Row(
        segment,
        _growth(segment, before, seconds),
        {key for key in ("dropped", "redelivered") if before and segment[key] > before[key]},
        {other["id"]: _growth(other["counters"], known.get(other["id"]), seconds) for other in segment["participants"]},
    )


def _growth(now: dict[str, Any], before: dict[str, Any] | None, seconds: float) -> dict[str, float]:
    """Per second; each look reads the counters one after the other, so one may seem to shrink by a little."""
    return {key: max(0, now[key] - before[key]) / seconds if before else 0.0 for key in RATES}


def ordered(rows: list[Row], by: str) -> list[Row]:
    """The largest first, by name from A on."""
    keys = {
        "objects": lambda row: row.segment["objects"],
        "used": lambda row: row.share,
        "in": lambda row: row.rates["pushed"],
        "out": lambda row: row.rates["popped"],
        "drops": lambda row: row.segment["dropped"],
    }
    rows = sorted(rows, key=lambda row: row.name)
    return rows if by == "name" else sorted(rows, key=keys[by], reverse=True)


def population(segment: Segment) -> tuple[int, int]:
    return living(segment, "producer"), living(segment, "consumer")
