# SPDX-License-Identifier: Apache-2.0
"""shmlane doctor on files in shared memory that belong to no segment, or to none of this release."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from doctoring import SHARED_MEMORY, clean, files_of, look, only, push_and_keep

from shmlane import Consumer, Producer, doctor
from shmlane.doctor import leftovers


def test_semaphores_without_their_segment_are_removed(name: str) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None):
        own = files_of(name)
        lost = SHARED_MEMORY / f"sem.shmlane.{name}.0123456789abcdef.items"
        lost.write_bytes(bytes(32))
        (finding,) = [finding for finding in look(name) if finding.topic == "semaphore"]
        assert (finding.severity, finding.fixable) == ("warning", True)
        assert lost.name in finding.what
        doctor.fix([finding])
        assert files_of(name) == own
    clean(name)
    lost.write_bytes(bytes(32))  # no segment at all
    doctor.fix(look(name))
    assert files_of(name) == []


def test_a_foreign_file_under_our_prefix_is_told_and_never_removed(name: str) -> None:
    path = SHARED_MEMORY / f"shmlane.{name}"
    path.write_bytes(b"something else" * 10_000)
    finding = only(name)
    assert (finding.severity, finding.topic) == ("warning", "foreign")
    clean(name)
    assert path.exists()
    path.unlink()


@pytest.mark.parametrize(("offset", "word"), [(8, "version"), (16, "layout")])
def test_a_segment_of_another_release_is_told_and_never_removed(name: str, offset: int, word: str) -> None:
    push_and_keep(name).close()
    path = SHARED_MEMORY / f"shmlane.{name}"
    whole = path.read_bytes()
    path.write_bytes(whole[:offset] + b"\x09" + whole[offset + 1 :])
    finding = only(name)
    assert finding.severity == "warning"
    assert word in finding.what
    clean(name)
    assert path.exists()
    path.write_bytes(whole)
    clean(name)


@pytest.fixture
def old_file() -> Iterator[Callable[..., Path]]:
    """Makes files that seem to be as old as a left-over must be."""
    made: list[Path] = []

    def make(name: str, contents: bytes = bytes(32)) -> Path:
        made.append(SHARED_MEMORY / name)
        made[-1].write_bytes(contents)
        return made[-1]

    yield make
    for path in made:
        path.unlink(missing_ok=True)


def fresh_semaphore() -> bytes:
    """What glibc writes into the file of a new semaphore, before it gives it its name."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sem_open.restype = ctypes.c_void_p
    name = f"test-{os.getpid()}-fresh"
    assert libc.sem_open(f"/{name}".encode(), os.O_CREAT | os.O_EXCL, 0o600, 0)
    path = SHARED_MEMORY / f"sem.{name}"
    contents = path.read_bytes()
    path.unlink()
    return contents


def test_what_a_death_in_sem_open_leaves_is_removed(old_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_SECONDS_OF_A_CREATION", 0)
    drawn, empty, word = old_file("sem.aZ3kQ9", fresh_semaphore()), old_file("sem.bZ3kQ9", b""), old_file("sem.worker")
    kept = [old_file("sem.cZ3kQ9", bytes(31)), old_file("sem.dZ3kQ9", b"\1" + bytes(31)), old_file("sem.eZ3kQ9x")]
    with old_file("sem.fZ3kQ9").open("rb"):
        findings = list(leftovers.check_temporaries([drawn, empty, word, *kept, SHARED_MEMORY / "sem.fZ3kQ9"]))
    assert [(finding.severity, finding.fixable) for finding in findings] == [
        ("warning", True),
        ("warning", True),
        ("note", False),
    ]
    doctor.fix(findings)
    assert [path.exists() for path in (drawn, empty, word)] == [False, False, True]


def test_a_second_name_of_a_semaphore_in_use_is_removed_and_the_semaphore_stays(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_SECONDS_OF_A_CREATION", 0)
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        (items,) = [path for path in SHARED_MEMORY.iterdir() if name in path.name and path.name.endswith(".items")]
        second = SHARED_MEMORY / "sem.gZ3kQ9"
        os.link(items, second)
        findings = list(leftovers.check_temporaries([second]))
        doctor.fix(findings)
        assert [finding.outcome for finding in findings] == ["fixed"]
        assert items.exists()
        tx.push(b"x")
        assert rx.pop() == b"x"


def test_a_semaphore_that_is_just_being_made_is_left_alone(old_file: Any) -> None:
    assert list(leftovers.check_temporaries([old_file("sem.hZ3kQ9")])) == []
