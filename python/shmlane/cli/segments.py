# SPDX-License-Identifier: Apache-2.0
"""The commands ls, stat and rm: segments seen from outside."""

import sys
import time
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from shmlane import _backend
from shmlane.errors import Error, InvalidArgument
from shmlane.sizes import format_size

from . import warn
from .describe import printable
from .tables import Segment, age, array_of, console, holds, is_array, living, table_of, used, write_json

_AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]


def ls(
    as_json: _AsJson = False,
    interval: Annotated[
        float | None, typer.Option(help="Watch for so many seconds, and show rates.", metavar="SECONDS")
    ] = None,
) -> None:
    """List the segments that you may read."""
    if interval is not None and not 0 < interval <= 3600:
        raise InvalidArgument("--interval is between 0 and 3600 seconds")
    segments = _backend.active.list_segments()
    if interval is not None:
        segments = _with_rates(segments, interval)
    if as_json:
        write_json(segments)
        return
    rates = ("OBJECTS/S", "RATE") if interval is not None else ()
    table = table_of("NAME", "KIND", "CAPACITY", "USED", "OBJECTS", "PRODUCERS", "CONSUMERS", *rates, "AGE")
    for segment in segments:
        table.add_row(*map(Text, _row(segment)))
    console().print(table)


def _row(segment: Segment) -> list[str]:
    row = [printable(segment["name"]), segment["kind"], format_size(segment["capacity"]), used(segment)]
    if is_array(segment):
        row += [str(segment["count"]) if segment["kind"] == "stream" else "-", "-", "-"]
    else:
        row += [str(segment["objects"]), *(str(living(segment, role)) for role in ("producer", "consumer"))]
    if "objects_per_second" in segment:
        row += [f"{segment['objects_per_second']:.1f}", format_size(int(segment["bytes_per_second"])) + "/s"]
    return [*row, age(segment["created"])]


def _with_rates(before: list[Segment], interval: float) -> list[Segment]:
    """The segments that are there after ``interval`` seconds, with rates of those that were there before, too."""
    start = time.monotonic()
    time.sleep(interval)
    after = _backend.active.list_segments()
    seconds = time.monotonic() - start
    known = {(segment["name"], segment["created"]): segment for segment in before}
    for segment in after:
        first = known.get((segment["name"], segment["created"]), segment)
        counter = "pushed" if segment["kind"] == "stream" else "popped"
        segment["objects_per_second"] = max(0, segment[counter] - first[counter]) / seconds
        segment["bytes_per_second"] = max(0, segment[counter + "_bytes"] - first[counter + "_bytes"]) / seconds
    return after


def stat(name: Annotated[str, typer.Argument(help="Name of the segment.")], as_json: _AsJson = False) -> None:
    """Show all there is to know about one segment."""
    segment = _backend.active.inspect_segment(name)
    if as_json:
        write_json(segment)
        return
    out = console()
    facts = Table.grid(padding=(0, 2))
    for key, value in (_array_facts(segment) if is_array(segment) else _facts(segment)).items():
        facts.add_row(Text(key), Text(value))
    out.print(facts)
    if segment["participants"]:
        work = () if is_array(segment) else ("PUSHED", "POPPED")
        table = table_of("PID", "PROCESS", "ROLES", "ALIVE", "SINCE", *work, "HOLDS")
        for participant in segment["participants"]:
            table.add_row(*map(Text, _participant(participant, bool(work))))
        out.print(table)


def _head(segment: Segment) -> dict[str, str]:
    facts = {"name": printable(segment["name"])}
    facts |= {key: str(segment[key]) for key in ("kind", "version", "state")}
    return facts | {"mode": f"{segment['mode']:04o}", "size": format_size(segment["size"])}


def _array_facts(segment: Segment) -> dict[str, str]:
    facts = _head(segment) | {"array": array_of(segment), "bytes": format_size(segment["nbytes"])}
    if segment["kind"] == "stream":
        writer = next((str(one["pid"]) for one in segment["participants"] if one["id"] == segment["writer"]), "")
        written = f"{max(0.0, time.time() - segment['write_time']):.3f} s ago"
        facts |= {
            "slots": str(segment["slots"]),
            "count": str(segment["count"]),
            "written": f"{written}, by {writer or 'one that has left'}" if segment["write_time"] else "never",
        }
    return facts | {"age": age(segment["created"]), "recovered": str(segment["recovered"])}


def _facts(segment: Segment) -> dict[str, str]:
    facts = _head(segment) | {
        "capacity": format_size(segment["capacity"]),
        "used": used(segment),
        "age": age(segment["created"]),
        "asleep": f"{segment['space_waiters']} producers, {segment['items_waiters']} consumers",
    }
    for key in ("objects", "pushed", "aborted", "popped", "dropped", "redelivered", "waits", "recovered"):
        facts[key] = str(segment[key])
    for key in ("pushed", "popped"):
        facts[key] += f" ({format_size(segment[key + '_bytes'])})"
    return facts


def _participant(participant: Segment, works: bool) -> list[str]:
    row = [
        str(participant["pid"]),
        printable(participant["process"]),
        ", ".join(participant["roles"]) or "-",
        "yes" if participant["alive"] else "dead",
        age(participant["attached"]),
    ]
    if works:
        row += [str(participant["counters"][key]) for key in ("pushed", "popped")]
    return [*row, holds(participant)]


def rm(
    names: Annotated[list[str], typer.Argument(help="Names of segments.", metavar="NAME...")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask, even if somebody lives in it.")] = False,
) -> None:
    """Remove segments. Who lives in one goes on, but newcomers get a new one."""
    failed = False
    for name in names:
        try:
            removed = _backend.active.remove_segment(name, force) or (
                _confirm(name) and _backend.active.remove_segment(name, True)
            )
        except Error as error:
            warn(str(error))
            removed = False
        failed = failed or not removed
    if failed:
        raise typer.Exit(1)


def _confirm(name: str) -> bool:
    if not sys.stdin.isatty():
        warn(f"somebody lives in {printable(name)!r}; it was not removed: use --force")
        return False
    return typer.confirm(f"Somebody lives in {printable(name)!r}. Remove it?", err=True)
