# SPDX-License-Identifier: Apache-2.0
"""The command top: all segments, live."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.control import Control
from rich.text import Text

from shmlane.errors import InvalidArgument

from .keyboard import Keyboard
from .tables import console
from .top_view import details, heading, keys, overview
from .watch import SORTS, Row, Watch, ordered

_HINT = "q quit  s sort  p pause  Enter details  ? keys"
_FIRST_LOOK = 0.2  # seconds until the screen has rates


def top(
    names: Annotated[list[str] | None, typer.Argument(help="Show these segments only.", metavar="NAME")] = None,
    interval: Annotated[float, typer.Option("--interval", "-i", help="Look so often.", metavar="SECONDS")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one text after one interval, and end.")] = False,
    count: Annotated[
        int | None, typer.Option("--count", "-n", help="Print so many texts, one after each interval.", min=1)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON per interval, with all that stat knows and the rates.")
    ] = False,
) -> None:
    """Watch all segments, live.

    It shows rates, depth, who sleeps, what was dropped or redelivered, and who holds the oldest frame. On a terminal
    it is live, and ? shows the keys. Otherwise, or with --once or --count, it prints text and ends.
    """
    if not 0.05 <= interval <= 3600:
        raise InvalidArgument("--interval is between 0.05 and 3600 seconds")
    if once or count or as_json or not sys.stdout.isatty():
        _print(Watch(names or ()), interval, count or 1, as_json)
    else:
        _live(Watch(names or ()), interval, Console())


def _print(watch: Watch, interval: float, count: int, as_json: bool) -> None:
    watch.look()
    for _ in range(count):
        time.sleep(interval)
        rows = ordered(watch.look(), "name")
        if as_json:
            print(json.dumps([row.as_dict() for row in rows], ensure_ascii=False), flush=True)
        else:
            console().print(heading(rows, interval), overview(rows))


@dataclass
class Screen:
    """What the user sees and has chosen."""

    interval: float
    rows: list[Row] = field(default_factory=list)
    selected: str | None = None
    sort: str = "name"
    paused: bool = False
    page: str = "segments"  # or "details", "keys"

    def show(self, rows: list[Row]) -> None:
        self.rows = ordered(rows, self.sort)
        names = [row.name for row in self.rows]
        if self.page == "segments" and self.selected not in names:
            self.selected = names[0] if names else None

    def press(self, key: str) -> bool:
        """False if that was the last key."""
        if key == "q":
            return False
        if key in ("up", "down"):
            self._move(-1 if key == "up" else 1)
        elif key == "enter":
            self.page = "details" if self.page == "segments" and self.selected else "segments"
        elif key == "escape":
            self.page = "segments"
        elif key == "?":
            self.page = "segments" if self.page == "keys" else "keys"
        elif key == "p":
            self.paused = not self.paused
        elif key == "s":
            self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]
            self.show(self.rows)
        return True

    def _move(self, step: int) -> None:
        names = [row.name for row in self.rows]
        if names:
            at = names.index(self.selected) + step if self.selected in names else 0
            self.selected = names[min(max(at, 0), len(names) - 1)]

    def render(self, height: int) -> RenderableType:
        body = keys() if self.page == "keys" else self._details() if self.page == "details" else self._table(height)
        title = heading(self.rows, self.interval, self.paused, self.sort)
        return Group(title, Text(_HINT, "dim"), "", body)

    def _details(self) -> RenderableType:
        row = next((row for row in self.rows if row.name == self.selected), None)
        return details(row) if row else Text(f"{self.selected} is gone.", "dim")

    def _table(self, height: int) -> RenderableType:
        """As many rows as there is room for, the selected one among them."""
        room = max(1, height - 4)
        names = [row.name for row in self.rows]
        at = names.index(self.selected) if self.selected in names else 0
        first = min(max(0, at - room // 2), max(0, len(names) - room))
        return overview(self.rows[first : first + room], self.selected)


def _live(watch: Watch, interval: float, out: Console) -> None:
    watch.look()
    screen = Screen(interval)
    with Keyboard() as keyboard, out.screen(hide_cursor=True) as terminal:
        due = time.monotonic() + min(interval, _FIRST_LOOK)
        while True:
            key = keyboard.read(max(0.0, due - time.monotonic()))
            if key is not None and not screen.press(key):
                return
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                if not screen.paused:
                    screen.show(watch.look())
            out.control(Control.home())
            terminal.update(screen.render(out.height))
