# SPDX-License-Identifier: Apache-2.0
"""Other processes, as /proc shows them: who is stopped, and who has a file open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def state_of(pid: int, path: str) -> str | None:
    """The letter of the process's state (R, S, D, T, Z ...), if it is the one that has ``path`` open.

    None if that cannot be said: the number belongs to another PID namespace, or the process to another user.
    """
    try:
        if path not in {os.readlink(link) for link in (_PROC / str(pid) / "fd").iterdir()}:
            return None
        return _state(pid)
    except OSError:
        return None


def stopped_with(path: str) -> list[int]:
    """Stopped processes that have ``path`` open, among those that we may look at."""
    return [pid for pid in _pids() if state_of(pid, path) in ("T", "t")]


def in_use(identity: tuple[int, int]) -> bool:
    """Whether a process that we may look at has the file with that device and inode open or mapped."""
    return any(identity in _files_of(pid) for pid in _pids())


def _state(pid: int) -> str:
    # The name stands in parentheses and may contain some itself.
    return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _files_of(pid: int) -> Iterator[tuple[int, int]]:
    try:
        for link in (_PROC / str(pid) / "fd").iterdir():
            status = link.stat()
            yield status.st_dev, status.st_ino
        for line in (_PROC / str(pid) / "maps").read_text(errors="replace").splitlines():
            device, inode = line.split()[3:5]
            major, _, minor = device.partition(":")
            yield os.makedev(int(major, 16), int(minor, 16)), int(inode)
    except OSError:
        return
