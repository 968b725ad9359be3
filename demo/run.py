# SPDX-License-Identifier: Apache-2.0
"""Photographs, arrays, dicts and text from Python to C++ and back, as fast as they go: ``make demo``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lanes
from objects import Item, make_items, originals, size_of
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sheet import write_sheet

import peer

SHEET = Path(__file__).parents[1] / "build/demo/contact-sheet.png"
WITH_EDGES = "shmlane, edges in C++"
WITHOUT_WORK = "shmlane, transfer only"
PEER = "multiprocessing.Queue, transfer only"


@dataclass
class Totals:
    """Sums over one run, taken as the answers come. Times are in nanoseconds of the monotonic clock."""

    objects: int = 0
    bytes_there: int = 0
    bytes_back: int = 0
    latency_ns: int = 0
    first_ns: int = 0
    last_ns: int = 0
    images: dict[int, Image.Image] = field(default_factory=dict)

    def add(self, answer: dict[str, Any], sizes: list[int]) -> None:
        self.first_ns = self.first_ns or answer["sent"]
        self.last_ns = time.monotonic_ns()
        self.objects += 1
        self.latency_ns += answer["received"] - answer["sent"]
        self.bytes_there += sizes[answer["index"]]
        if isinstance(answer.get("image"), Image.Image):
            self.images.setdefault(answer["index"], answer["image"])
        self.bytes_back += size_of(answer)

    @property
    def seconds(self) -> float:
        return max(1, self.last_ns - self.first_ns) / 1e9

    @property
    def gigabytes(self) -> float:
        return (self.bytes_there + self.bytes_back) / 1e9


def collect(answers: Iterator[dict[str, Any]], title: str, seconds: float, items: list[Item]) -> Totals:
    totals = Totals()
    sizes = [size_of(item) for item in items]
    columns = (
        TextColumn(f"{title:<37}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[facts]}"),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task(title, total=seconds, facts="")
        for answer in answers:
            totals.add(answer, sizes)
            facts = f"{totals.objects} objects, {totals.gigabytes / totals.seconds:.2f} GB/s"
            progress.update(bar, completed=min(seconds, totals.seconds), facts=facts)
        progress.update(bar, completed=seconds)
    return totals


def make_table(runs: dict[str, Totals]) -> Table:
    table = Table("", "objects", "GB", "GB/s", "mean latency", title="Python to C++ and back")
    for column in table.columns[1:]:
        column.justify = "right"
    for title, totals in runs.items():
        latency = totals.latency_ns / max(1, totals.objects) / 1e6
        speed = totals.gigabytes / totals.seconds
        table.add_row(title, f"{totals.objects:,}", f"{totals.gigabytes:.2f}", f"{speed:.2f}", f"{latency:.2f} ms")
    return table


NOTES = (
    "GB are pixels, items and text, there and back. Latency is one way: from the call that sends an object until the "
    f"other process has it, with at most {lanes.OBJECTS_WAITING} objects waiting in each queue.",
    "Transfer only: the other process sends one channel of each photograph, and everything else as it is, straight "
    "back. For shmlane it is the C++ program, for multiprocessing.Queue a Python process that does nothing else.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of the run with edges; the others take half of it")
    seconds = parser.parse_args().seconds
    console = Console()
    items = make_items()
    half = seconds / 2
    runs = {
        WITH_EDGES: collect(lanes.run(seconds, work=True), WITH_EDGES, seconds, items),
        WITHOUT_WORK: collect(lanes.run(half, work=False), WITHOUT_WORK, half, items),
        PEER: collect(peer.run(half), PEER, half, items),
    }
    found = runs[WITH_EDGES].images
    write_sheet([(image, found[index]) for index, image in originals(items).items() if index in found], SHEET)
    console.print(make_table(runs), *NOTES, f"Originals beside their edges: {SHEET}", sep="\n", highlight=False)
    left = lanes.left_over()
    if left:
        raise SystemExit(f"left in /dev/shm: {', '.join(left)}")
    console.print("Nothing is left in /dev/shm.")


if __name__ == "__main__":
    main()
