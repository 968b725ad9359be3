# SPDX-License-Identifier: Apache-2.0
"""Looks at all that shmlane has on this machine, says what is wrong, and mends what is surely nobody's.

``shmlane doctor`` is a thin face over this.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from shmlane import _backend

from .finding import SEVERITIES, Finding
from .leftovers import check_semaphores, check_temporaries
from .machine import SHARED_MEMORY, check_backend, check_limits, check_logind, check_membarrier, check_memory
from .segments import check_segment, names_among, segment_id

__all__ = ["SEVERITIES", "Finding", "examine", "fix"]


def examine(names: Collection[str] = ()) -> list[Finding]:
    """What there is to say, without changing anything; works also if no backend does.

    With ``names`` only what belongs to the segments of these names. Then it raises ImportError without a backend.
    """
    files = _shared_files()
    if names:
        return list(_check_segments(_backend.active, files, names))
    backend: Any = None
    problem = ""
    try:
        backend = _backend.active
    except ImportError as error:
        problem = str(error)
    findings = [*check_backend(backend, problem), *_check_machine(backend)]
    if backend is not None:
        findings += _check_segments(backend, files)
    return [*findings, *check_temporaries(files)]


def fix(findings: list[Finding], force: bool = False) -> None:
    """Mend what is surely nobody's; with ``force`` also what throws away objects in which nobody has a part.

    Never touches a segment in which somebody lives, but for settling what the dead in it held.
    """
    for finding in findings:
        finding.fix(force)


def _check_machine(backend: Any) -> Iterator[Finding]:
    yield from check_memory()
    yield from check_limits()
    if backend is not None:
        yield from check_membarrier(backend)
    yield from check_logind()


def _check_segments(backend: Any, files: list[Path], names: Collection[str] = ()) -> Iterator[Finding]:
    for name in names or names_among(files):
        yield from check_segment(backend, name)
    semaphores = check_semaphores(files, partial(segment_id, backend))
    yield from (finding for finding in semaphores if not names or finding.segment in names)


def _shared_files() -> list[Path]:
    try:
        return sorted(SHARED_MEMORY / name for name in os.listdir(SHARED_MEMORY))
    except OSError:
        return []  # which check_memory tells
