# SPDX-License-Identifier: Apache-2.0
"""Segments: what nobody lives in any more, who died in one, and who stands in the way of the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from shmlane import errors
from shmlane.sizes import format_size

from .finding import Finding
from .machine import SHARED_MEMORY
from .processes import state_of, stopped_with

Segment = dict[str, Any]
Participant = dict[str, Any]

_PREFIX = "shmlane."
_LOOKS, _BETWEEN = 10, 0.1  # seconds: only who is stopped holds the creation lock for so long
_NEARLY_FULL = 0.9


def path_of(name: str) -> Path:
    return SHARED_MEMORY / (_PREFIX + name)


def names_among(files: list[Path]) -> list[str]:
    return [path.name.removeprefix(_PREFIX) for path in files if path.name.startswith(_PREFIX)]


def segment_id(backend: Any, name: str) -> int | None:
    """0 if there is no such segment, None if it cannot be read."""
    try:
        return int(backend.inspect_segment(name)["segment_id"])
    except errors.NotFound:
        return 0
    except errors.Error:
        return None


def check_segment(backend: Any, name: str) -> Iterator[Finding]:
    try:
        segment = _unlocked(backend, name)
    except errors.NotFound:
        return  # it went away meanwhile
    except (errors.Error, UnicodeEncodeError) as error:
        yield _unreadable(name, error)
        return
    living = [other for other in segment["participants"] if other["alive"]]
    dead = [other for other in segment["participants"] if not other["alive"]]
    if segment["locked"]:
        yield _creation_locked(name)
    elif segment["state"] in ("empty", "removed"):
        yield _half(backend, name, segment)
    elif not living:
        yield _stale(backend, name, segment, dead)
    else:
        found = [*_dead(backend, name, dead), *_in_the_way(name, segment, living)]
        yield from found
        if not found:
            yield Finding("ok", "segment", _inhabitants(segment, living), segment=name)


def _unlocked(backend: Any, name: str) -> Segment:
    """A look at a moment when nobody holds the creation lock, if there is one within a second."""
    for _ in range(_LOOKS):
        segment: Segment = backend.inspect_segment(name)
        if not segment["locked"]:
            break
        time.sleep(_BETWEEN)
    return segment


def _unreadable(name: str, error: Exception) -> Finding:
    path = path_of(name)
    if isinstance(error, errors.PermissionDenied):
        return Finding("note", "segment", str(error), segment=name)
    if isinstance(error, (errors.WrongVersion, errors.WrongLayout)):
        todo = f"if no program of that release runs any more: shmlane rm --force {name}"
        return Finding("warning", "segment", str(error), todo, name)
    if isinstance(error, (errors.Foreign, errors.InvalidName, UnicodeEncodeError)):
        return Finding("warning", "foreign", f"{path} is not a segment of shmlane", f"its maker knows; rm {path}", name)
    return Finding("error", "segment", str(error), f"shmlane rm --force {name}", name)


def _creation_locked(name: str) -> Finding:
    what = "somebody attaches, leaves or removes it and does not go on; nobody else can meanwhile"
    stopped = stopped_with(str(path_of(name)))
    todo = "look for a stopped process that uses it"
    if stopped:
        what += f": {_plural(len(stopped), 'stopped process', 'stopped processes')} {', '.join(map(str, stopped))}"
        todo = f"let it go on: kill -CONT {' '.join(map(str, stopped))}"
    return Finding("error", "segment", what, todo, name)


def _half(backend: Any, name: str, segment: Segment) -> Finding:
    died = "made" if segment["state"] == "empty" else "removed"
    what = f"only half {died}: who {died} it died; it takes {format_size(segment['size'])}"
    return Finding("warning", "segment", what, f"shmlane rm {name}", name, partial(backend.remove_remains, name))


def _stale(backend: Any, name: str, segment: Segment, dead: list[Participant]) -> Finding:
    if _keeps(segment):
        what = f"a {segment['kind']} that nobody uses at the moment, with {format_size(segment['size'])}"
        todo = f"it stays until somebody unlinks it: shmlane rm {name}"
        remove = partial(backend.remove_remains, name, True)
        return Finding("note", "segment", what, todo, name, remove, needs_force=True)
    objects = _objects(segment)
    contents = f"{_plural(objects, 'object')} in {format_size(segment['size'])}"
    force = partial(backend.remove_remains, name, True)
    rm = f"shmlane rm {name}"
    if not dead:
        what = f"left cleanly by its last participant with {contents}"
        todo = f"somebody may still come for it; else: {rm}"
        return Finding("note", "segment", what, todo, name, force, needs_force=True)
    what = f"all {_plural(len(dead), 'participant')} in it died; {contents}"
    if objects:
        todo = f"a new consumer gets the objects, a new producer discards them; or: {rm}"
        return Finding("warning", "segment", what, todo, name, force, needs_force=True)
    return Finding("warning", "segment", what, rm, name, partial(backend.remove_remains, name))


def _dead(backend: Any, name: str, dead: list[Participant]) -> Iterator[Finding]:
    for other in dead:
        holds = [f"a {hold['state']} frame of {format_size(hold['nbytes'])}" for hold in other["holds"]]
        holds += [f"the {_lock_name(lock)}" for lock in other["locks"]]
        what = f"{_who(other)} died and was not yet reaped; it held {', '.join(holds) or 'nothing'}"
        todo = "whoever waits in this segment next settles that"
        severity = "warning" if holds else "note"
        yield Finding(severity, "participant", what, todo, name, partial(_reap, backend, name))


def _reap(backend: Any, name: str) -> bool:
    try:
        backend.reap_segment(name)
        return all(other["alive"] for other in backend.inspect_segment(name)["participants"])
    except errors.NotFound:
        return True  # everybody left meanwhile


def _in_the_way(name: str, segment: Segment, living: list[Participant]) -> Iterator[Finding]:
    full = segment["capacity"] and segment["used"] >= _NEARLY_FULL * segment["capacity"]
    for other in living:
        if not other["locks"] and not other["at_tail"]:
            continue
        stopped = state_of(other["pid"], str(path_of(name))) in ("T", "t")
        go_on = f"let it go on: kill -CONT {other['pid']}"
        if other["locks"] and stopped:
            what = f"{_who(other)} is stopped and holds the {_lock_name(other['locks'][0])}: they all wait for it"
            yield Finding("error", "lock", what, go_on, name)
        elif other["at_tail"] and stopped:
            what = f"{_who(other)} is stopped and holds the oldest frame; a full ring will wait for it"
            yield Finding("error" if full else "warning", "participant", what, go_on, name)
        elif other["at_tail"] and full and segment["space_waiters"]:
            what = f"{_who(other)} holds the oldest frame while the ring is full and producers wait"
            yield Finding("note", "participant", what, "release leases and commit reservations sooner", name)


def _keeps(segment: Segment) -> bool:
    """Whether what is in it outlives those who made it: streams and tensors."""
    return segment["kind"] in ("stream", "tensor")


def _lock_name(lock: str) -> str:
    return f"{lock} lock" if lock in ("read", "write") else f"{lock}' lock"


def _inhabitants(segment: Segment, living: list[Participant]) -> str:
    if _keeps(segment):
        return f"a {segment['kind']}, {_plural(len(living), 'handle')}, {format_size(segment['size'])}"
    producers, consumers = (
        _plural(sum(role in other["roles"] for other in living), role) for role in ("producer", "consumer")
    )
    return f"{producers}, {consumers}, {_plural(segment['objects'], 'object')}, {format_size(segment['size'])}"


def _objects(segment: Segment) -> int:
    """Those that a consumer could still get: reservations of the dead are none, their leases are."""
    held = [hold["state"] for other in segment["participants"] for hold in other["holds"]]
    return int(segment["objects"]) - held.count("reserved") + held.count("leased")


def _who(other: Participant) -> str:
    return f"process {other['pid']} ({other['process'] or '?'})"


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
