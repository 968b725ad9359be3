# SPDX-License-Identifier: Apache-2.0
"""Files in /dev/shm that a death left behind and that belong to no segment: semaphores, halves of semaphores."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from .finding import Finding
from .processes import in_use

_SEMAPHORE = re.compile(r"sem\.shmlane\.(?P<name>.+)\.(?P<id>[0-9a-f]{16})\.(?:items|space)", re.DOTALL)
_TEMPORARY = re.compile(r"sem\.([A-Za-z0-9]{6})")
_SIZES = (0, 32)  # before and after it is written
_SECONDS_OF_A_CREATION = 5


def check_semaphores(files: Sequence[Path], segment_id: Callable[[str], int | None]) -> Iterator[Finding]:
    """Semaphores whose segment is gone.

    ``files`` were listed before ``segment_id`` is asked: a segment has its id before it has semaphores, and no other
    one ever gets that id, so what does not fit now never will. ``segment_id`` gives 0 if there is no such segment, None
    if that cannot be known.
    """
    for path in files:
        match = _SEMAPHORE.fullmatch(path.name)
        if match is None:
            continue
        found = segment_id(match["name"])
        if found is not None and found != int(match["id"], 16):
            what = f"the semaphore {path.name} belongs to a segment that is gone"
            yield Finding("warning", "semaphore", what, _by_hand(path), match["name"], partial(_unlink, path))


def check_temporaries(files: Sequence[Path]) -> Iterator[Finding]:
    """What glibc's sem_open leaves if its process dies in it: a semaphore under a random name of six characters."""
    for path in files:
        if (match := _TEMPORARY.fullmatch(path.name)) and is_temporary(path):
            what = f"{path.name} is what a process left that died while it made a semaphore"
            finding = Finding("warning", "semaphore", what, _by_hand(path), remedy=partial(_unlink_temporary, path))
            if _word(match[1]):
                finding.what += ", or a semaphore of another program that nobody has open"
                finding.severity, finding.needs_force = "note", True
            yield finding


def is_temporary(path: Path) -> bool:
    """Whether a file is such a left-over, as far as it shows: ours, old enough, never used, open nowhere."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size not in _SIZES:
            return False
        if os.getuid() not in (0, status.st_uid) or time.time() - status.st_ctime < _SECONDS_OF_A_CREATION:
            return False
        # The value, and the number of those who wait: shmlane's semaphores begin with 0.
        fresh = not any(path.read_bytes()[:8])
    except OSError:
        return False
    # With a second name, which is the semaphore's own, it may well be in use, but not by this one.
    return status.st_nlink == 2 or (fresh and not in_use((status.st_dev, status.st_ino)))


def _word(random: str) -> bool:
    """Whether six characters look chosen rather than drawn: one in ninety drawn ones do, and stay."""
    return random.isdigit() or (random.isalpha() and (random.islower() or random.isupper()))


def _by_hand(path: Path) -> str:
    return f"rm {path}"


def _unlink(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True


def _unlink_temporary(path: Path) -> bool:
    return is_temporary(path) and _unlink(path)
