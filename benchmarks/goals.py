# SPDX-License-Identifier: Apache-2.0
"""The figures to reach: ratios within one run, and which of them a run has met."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

# A figure in each round by case, contender and figure; [] if it was not measured.
Rounds = Callable[[str, str, str], list[float]]


@dataclass(frozen=True)
class Goal:
    """At least (or at most) ``factor`` times the figure of ``of``; without ``of``, so much itself.

    ``plus_ns`` and the figure of ``plus_of`` come on top of that.
    """

    factor: float
    of: str | None = None
    at_most: bool = False
    unit: str = ""  # of a goal without ``of``
    plus_ns: float = 0.0
    plus_of: str | None = None

    @property
    def refers_to(self) -> set[str]:
        return {name for name in (self.of, self.plus_of) if name is not None}

    def ratio(self, rounds: Rounds, case: str, contender: str, figure: str) -> float | None:
        """What stands where ``factor`` does, as it was measured: the median of the ratios within each round.

        Not the ratio of the medians: a machine that changes between two rounds changes for all who take part in one.
        """
        mine = rounds(case, contender, figure)
        theirs = [1.0] * len(mine) if self.of is None else rounds(case, self.of, figure)
        on_top = [0.0] * len(mine) if self.plus_of is None else rounds(case, self.plus_of, figure)
        ratios = [
            (my - plus - self.plus_ns) / their for my, their, plus in zip(mine, theirs, on_top, strict=False) if their
        ]
        return statistics.median(ratios) if ratios else None

    def met(self, ratio: float) -> bool:
        return ratio <= self.factor if self.at_most else ratio >= self.factor

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        text = f"{sign} {self.factor:g}{self.unit}" if self.of is None else f"{sign} {self.factor:g} x {self.of}"
        text += f" + {self.plus_of}" if self.plus_of is not None else ""
        return text + (f" + {self.plus_ns:g} ns" if self.plus_ns else "")


def _most(factor: float, of: str | None = None, unit: str = "") -> Goal:
    return Goal(factor, of, at_most=True, unit=unit)


LARGE = "C++ 512 KiB-5 MiB 1x1"
PYTHON_LARGE = "Python NumPy 512 KiB-5 MiB 1x1"

# By case, contender and figure.
GOALS: dict[tuple[str, str, str], tuple[Goal, ...]] = {
    ("C++ 64 B 1x1", "shmlane", "objects_per_s"): (Goal(5, "boost"),),
    ("C++ 64 B 1x1", "shmlane batches of 64", "objects_per_s"): (Goal(10, "boost"),),
    ("C++ 64 B 2x2", "shmlane", "objects_per_s"): (Goal(1.5, "boost"),),
    ("C++ 4 KiB 1x1", "shmlane", "bytes_per_s"): (Goal(4, "boost"), Goal(0.95, "one-copy")),
    ("C++ 64 KiB 1x1", "shmlane", "bytes_per_s"): (Goal(4, "boost"), Goal(0.95, "one-copy")),
    (LARGE, "shmlane", "bytes_per_s"): (Goal(2.2, "boost"), Goal(0.95, "one-copy")),
    (LARGE, "shmlane in place", "bytes_per_s"): (Goal(0.95, "one-copy in place"),),
    (LARGE, "stdio", "bytes_per_s"): (Goal(0.9, "pipe"),),
    ("C++ latency, spinning", "shmlane", "p50_ns"): (_most(3, "cache-line"),),
    ("C++ latency, busy ping-pong", "shmlane", "p50_ns"): (_most(8, "cache-line"),),
    ("C++ idle for a second", "shmlane", "cpu_percent"): (_most(0.5, unit=" % CPU"),),
    ("C++ latency, waking a sleeper", "shmlane", "p50_ns"): (_most(1.1, "semaphore"),),
    ("Python bytes 64 B 1x1", "shmlane", "objects_per_s"): (Goal(2.5, "pyzmq"), Goal(25, "mp.Queue")),
    ("Python bytes 64 B 1x1", "shmlane batches of 64", "objects_per_s"): (Goal(5, "pyzmq"),),
    ("Python NumPy 64 B 1x1", "shmlane popped", "objects_per_s"): (Goal(8, "faster-fifo"),),
    ("Python NumPy 64 KiB 1x1", "shmlane leased", "bytes_per_s"): (Goal(4, "faster-fifo"),),
    (PYTHON_LARGE, "shmlane leased", "bytes_per_s"): (Goal(5, "faster-fifo"), Goal(0.9, "C++ leased")),
    (PYTHON_LARGE, "shmlane popped", "bytes_per_s"): (Goal(3, "faster-fifo"), Goal(0.9, "C++ popped")),
    ("Python latency, busy ping-pong", "shmlane", "p50_ns"): (_most(2000, unit=" ns"),),
    ("stream: C++ 64 B", "write", "objects_per_s"): (Goal(1 / 12, "locked-add"),),
    ("stream: C++ 64 B", "read", "objects_per_s"): (Goal(1 / 8, "locked-add"),),
    ("stream: C++ write of 1 MiB, what a reader leaves", "write", "share"): (Goal(0.95),),
    ("tensor: attach to 1 GiB", "attach", "p50_ns"): (_most(50_000, unit=" ns"),),
    ("stream: Python write + read 100x100", "read(out=)", "p50_ns"): (_most(1 / 0.8, "two copies"),),
    ("stream: Python write + read 100x100", "read()", "p50_ns"): (_most(1 / 0.8, "two copies"),),
    **{
        (f"stream: Python write + read {side}x{side}", "read(out=)", "p50_ns"): (_most(1 / 0.9, "two copies"),)
        for side in (1000, 10_000)
    },
    **{
        (f"stream: Python matrix x vector {side}", "streams", "p50_ns"): (_most(1 / 0.9, "plain"),)
        for side in (100, 1000, 10_000)
    },
    # Of a round two copies in, two out, and 2 µs; figures are of half a round, as is `copies`.
    ("stream: Python ping-pong 64 KiB, spinning", "stream", "p50_ns"): (Goal(2, "copies", at_most=True, plus_ns=2000),),
    ("stream: Python ping-pong 64 KiB, woken from sleep", "stream", "p50_ns"): (
        Goal(1.15, "semaphore", at_most=True, plus_of="copies"),
    ),
    **{
        (f"pipes: {pair} 512 KiB-5 MiB 1x1", "shmlane", "bytes_per_s"): (Goal(factor, "stdio"),)
        for pair, factor in (("C++ to C++", 3.4), ("Python to Python", 2), ("Python to C++", 2))
    },
    **{
        ("growth: C++ 64 B 1x1", f"shmlane {what}", "objects_per_s"): (Goal(0.9, "shmlane"),)
        for what in ("64 idle participants", "after 100 million")
    },
    **{
        (f"{way} {size} 1x1", "shmlane", "bytes_per_s"): (Goal(0.9, "C++ to C++"),)
        for way in ("Python to C++", "C++ to Python")
        for size in ("64 KiB", "1 MiB", "512 KiB-5 MiB")
    },
}
