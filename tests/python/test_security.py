# SPDX-License-Identifier: Apache-2.0
"""What a second user may do to a queue, and what names that are no segments do to us."""

from __future__ import annotations

import grp
import os
import pickle
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import shmlane
from shmlane import Consumer, Producer, _backend, errors

SHARED_MEMORY = Path("/dev/shm")
AsNobody = Callable[..., str]


@pytest.fixture
def as_nobody() -> AsNobody:
    """as_nobody(code, *words, group="nogroup") runs Python as another user; returns what it prints, or its error."""
    if os.geteuid() != 0:
        pytest.skip("only root may become a second user")

    def run(code: str, *words: str, group: str = "nogroup") -> str:
        user = ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups"]
        command = [*user, sys.executable, "-c", f"import sys, shmlane\nname = sys.argv[1]\n{code}", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd="/")
        return done.stdout.strip() or done.stderr.strip().rsplit("\n", 1)[-1]

    try:
        if (answer := run("print('here')", "")) != "here":
            pytest.skip(f"a second user cannot run this Python: {answer}")
    except FileNotFoundError:
        pytest.skip("no way to become a second user: there is no setpriv")
    return run


def files(name: str) -> list[Path]:
    return [path for path in SHARED_MEMORY.iterdir() if name in path.name]


def modes(name: str) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in files(name)}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def primary_group(group: str) -> Iterator[None]:
    before = os.getegid()
    os.setegid(grp.getgrnam(group).gr_gid)
    try:
        yield
    finally:
        os.setegid(before)


# ---- A second user ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "shmlane.Producer(name)",
        "shmlane.Consumer(name)",
        "shmlane._backend.active.inspect_segment(name)",
        "shmlane._backend.active.remove_segment(name)",
        "shmlane._backend.active.remove_segment(name, True)",
    ],
)
def test_a_queue_is_its_owner_s_alone_and_the_refusal_says_what_to_do(
    name: str, as_nobody: AsNobody, code: str
) -> None:
    with Consumer(name) as rx, Producer(name) as tx:
        assert modes(name) == {0o600}
        answer = as_nobody(code, name)
        assert answer.startswith("shmlane.errors.PermissionDenied")
        assert "mode=" in answer
        tx.push("still here")
        assert rx.pop(30) == "still here"


PUSH_AND_POP = """
with shmlane.Producer(name, stale='keep') as tx, shmlane.Consumer(name + '-back') as rx:
    tx.push('from nobody')
    print(rx.pop(30))
"""


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_with_mode_666_everybody_pushes_and_pops(name: str, as_nobody: AsNobody, mask: int) -> None:
    back, options = f"{name}-back", {"mode": 0o666, "wait_for_consumer": None}
    with umask(mask), Consumer(name, mode=0o666) as rx, Producer(back, **options) as tx:
        assert modes(name) == {0o666}
        assert len(files(name)) == 6
        tx.push("to nobody")
        assert as_nobody(PUSH_AND_POP, name) == "to nobody"
        assert rx.pop(30) == "from nobody"
        assert rx.pop(30) is None


def test_with_mode_660_a_group_shares_the_queue_and_others_do_not(name: str, as_nobody: AsNobody) -> None:
    with primary_group("nogroup"), umask(0o077):
        rx = Consumer(name, mode=0o660)
        tx = Producer(f"{name}-back", mode=0o660, wait_for_consumer=None)
    assert modes(name) == {0o660}
    assert as_nobody("shmlane.Producer(name)", name, group="daemon").startswith("shmlane.errors.PermissionDenied")
    tx.push("to the group")
    assert as_nobody(PUSH_AND_POP, name) == "to the group"
    assert rx.pop(30) == "from nobody"
    tx.close()
    rx.close()


def test_what_a_second_user_leaves_last_stays_usable_for_its_owner_and_for_others(
    name: str, as_nobody: AsNobody
) -> None:
    Producer(name, mode=0o666, wait_for_consumer=None).close()
    take_all = "print(list(shmlane.Consumer(name)))"
    assert as_nobody(take_all, name) == "[]"
    assert as_nobody("shmlane.Producer(name, wait_for_consumer=None).push(1)", name) == ""
    assert as_nobody(take_all, name) == "[1]"
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push("mine")
        assert rx.pop(30) == "mine"


@pytest.mark.parametrize("state", ["crashed", "removed"])
def test_a_left_over_of_another_user_is_refused_by_who_cannot_remove_it(
    name: str, as_nobody: AsNobody, state: str
) -> None:
    code = f"import os, shmlane\ntx = shmlane.Producer({name!r}, mode=0o666)\nos._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    if state == "removed":
        with (SHARED_MEMORY / f"shmlane.{name}").open("r+b") as file:
            file.seek(32)
            file.write(struct.pack("<I", 3))
    for call in ("shmlane.Producer(name)", "shmlane._backend.active.remove_segment(name, True)"):
        answer = as_nobody(call, name)
        assert answer.startswith("shmlane.errors.PermissionDenied")
        assert "another user" in answer
    Consumer(name).close()  # the owner clears it away


# ---- Names that are not ours -----------------------------------------------------------------------------------------


def attempts(name: str) -> list[Callable[[], Any]]:
    return [
        lambda: Producer(name),
        lambda: Consumer(name),
        lambda: _backend.active.inspect_segment(name),
        lambda: _backend.active.remove_segment(name),
        lambda: _backend.active.remove_segment(name, True),
    ]


@pytest.mark.parametrize("target", ["file", "segment", "nothing"])
def test_a_link_under_a_segment_s_name_is_not_followed(name: str, tmp_path: Path, target: str) -> None:
    path = tmp_path / "precious"
    if target == "file":
        path.write_text("precious")
    elif target == "segment":
        path.write_bytes(bytes(1 << 20))
    link = SHARED_MEMORY / f"shmlane.{name}"
    link.symlink_to(path)
    before = path.read_bytes() if path.exists() else None
    try:
        for attempt in attempts(name):
            with pytest.raises(errors.Foreign):
                attempt()
        assert link.is_symlink()
        assert (path.read_bytes() if path.exists() else None) == before
    finally:
        link.unlink()


@pytest.mark.parametrize("target", ["file", "nothing"])
def test_a_link_under_a_semaphore_s_name_is_not_followed(name: str, tmp_path: Path, target: str) -> None:
    path = tmp_path / "precious"
    if target == "file":
        path.write_bytes(bytes(32))
        path.chmod(0o640)
    with Producer(name):
        semaphore = next(path for path in files(name) if path.name.endswith(".items"))
        semaphore.unlink()
        semaphore.symlink_to(path)
        with pytest.raises(errors.SystemError, match="semaphore"):
            Consumer(name)
        assert path.exists() == (target == "file")
        if path.exists():
            assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (bytes(32), 0o640)
        semaphore.unlink()
    Consumer(name).close()


@pytest.mark.parametrize("kind", ["text", "long text", "pipe", "folder"])
def test_what_is_no_segment_is_neither_used_nor_removed(name: str, kind: str) -> None:
    path = SHARED_MEMORY / f"shmlane.{name}"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"precious" * (1 if kind == "text" else 1 << 17))
    try:
        before = None if kind in ("pipe", "folder") else path.read_bytes()
        for attempt in attempts(name):
            with pytest.raises(errors.Foreign):
                attempt()
        assert path.exists()
        assert before is None or path.read_bytes() == before
    finally:
        path.rmdir() if kind == "folder" else path.unlink()


def test_a_mode_in_a_header_that_others_wrote_makes_no_file_that_runs_as_its_owner(name: str) -> None:
    with Producer(name, mode=0o666):
        with (SHARED_MEMORY / f"shmlane.{name}").open("r+b") as file:
            file.seek(68)
            file.write(struct.pack("<I", 0o6777))
        for path in files(name):
            if path.name.startswith("sem."):
                path.unlink()
        with Consumer(name):
            assert all(mode & 0o7000 == 0 for mode in modes(name))


# ---- Pickles ---------------------------------------------------------------------------------------------------------


class Trap:
    sprung = False

    def __reduce__(self) -> tuple[Any, ...]:
        return Trap.spring, ()

    @staticmethod
    def spring() -> None:
        Trap.sprung = True


def test_a_pickle_crosses_a_queue_only_if_both_sides_ask(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trap, "sprung", False)
    with Consumer(name) as rx, Producer(name) as plain, Producer(name, pickle=True) as pickling:
        with pytest.raises(errors.UnsupportedType, match="pickle=True"):
            plain.push(Trap())
        pickling.push(Trap())
        raw = rx.pop(30)
        assert isinstance(raw, shmlane.RawObject)
        pickling.push(Trap())
        with rx.acquire(30) as lease:  # type: ignore[union-attr]
            assert isinstance(lease.object, shmlane.RawObject)
        # Bytes that are a pickle stay bytes, whoever asked for what.
        plain.push(pickle.dumps(Trap()))
        with Consumer(name, pickle=True) as asking:
            assert isinstance(asking.pop(30), bytes)
            assert not Trap.sprung
            pickling.push(Trap())
            asking.pop(30)
            assert Trap.sprung
