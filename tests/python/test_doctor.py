# SPDX-License-Identifier: Apache-2.0
"""shmlane doctor: every left-over and every obstacle is made for real, found, and mended where it is nobody's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from doctoring import MAGIC, SHARED_MEMORY, clean, die_in, files_of, look, only, push_and_keep, stopped

from shmlane import Consumer, Producer, doctor


def test_a_segment_in_which_all_is_well_is_fine(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        tx.push(b"x")
        finding = only(name)
        assert (finding.severity, finding.needs_action, finding.fixable) == ("ok", False, False)
        assert finding.what.startswith("1 producer, 1 consumer, 1 object, ")
        assert rx.pop() == b"x"


def test_a_segment_in_which_everybody_died_is_removed_if_nothing_is_in_it(name: str) -> None:
    die_in(name, lambda: push_and_keep(name))
    finding = only(name)
    assert (finding.severity, finding.fixable) == ("warning", True)
    assert "all 1 participant in it died; 0 objects" in finding.what
    doctor.fix([finding])
    assert finding.outcome == "fixed"
    assert not finding.needs_action
    assert files_of(name) == []


def test_objects_of_a_crash_are_thrown_away_only_with_force(name: str) -> None:
    die_in(name, lambda: push_and_keep(name, b"x", b"y"))
    finding = only(name)
    assert (finding.severity, finding.fixable, finding.needs_force) == ("warning", False, True)
    assert "2 objects" in finding.what
    doctor.fix([finding])
    assert (finding.outcome, finding.needs_action) == ("", True)
    assert len(files_of(name)) == 3
    doctor.fix([finding], force=True)
    assert finding.outcome == "fixed"
    assert files_of(name) == []


def test_a_reservation_of_the_dead_is_no_object_and_a_lease_is_one(name: str) -> None:
    die_in(name, lambda: (tx := push_and_keep(name), tx.reserve(100)))
    assert "; 0 objects" in only(name).what
    clean(name)
    die_in(name, lambda: (push_and_keep(name, b"x"), Consumer(name).acquire()))
    assert "; 1 object " in only(name).what
    clean(name)


def test_what_was_left_cleanly_is_no_fault_and_stays_without_force(name: str) -> None:
    push_and_keep(name, b"x").close()
    finding = only(name)
    assert (finding.severity, finding.needs_action, finding.needs_force) == ("note", False, True)
    doctor.fix([finding])
    with Consumer(name) as rx:
        assert list(rx) == [b"x"]
    push_and_keep(name, b"x").close()
    clean(name)
    assert files_of(name) == []


def test_a_segment_whose_maker_died_is_removed(name: str) -> None:
    path = SHARED_MEMORY / f"shmlane.{name}"
    for contents in (b"", bytes(73728), MAGIC + bytes(73720)):
        path.write_bytes(contents)
        if contents.startswith(MAGIC):  # a header without its state
            path.write_bytes(MAGIC + (1).to_bytes(4, "little") * 2 + LAYOUT + bytes(73728 - 24))
        finding = only(name)
        assert (finding.severity, finding.fixable) == ("warning", True)
        assert "half made" in finding.what
        doctor.fix([finding])
        assert files_of(name) == []


LAYOUT = int(json.loads((Path(__file__).parents[2] / "wire-format/layout.json").read_text())["layout"], 0).to_bytes(
    8, "little"
)


def test_a_segment_whose_remover_died_is_removed(name: str) -> None:
    push_and_keep(name, b"x").close()
    with (SHARED_MEMORY / f"shmlane.{name}").open("r+b") as file:
        file.seek(32)
        file.write((3).to_bytes(4, "little"))
    assert "half removed" in only(name).what
    doctor.fix(look(name))
    assert files_of(name) == []


def test_what_changed_after_the_look_is_left_alone(name: str) -> None:
    die_in(name, lambda: push_and_keep(name))
    findings = look(name)
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        doctor.fix(findings, force=True)
        assert "changed meanwhile" in findings[0].outcome
        tx.push(b"x")
        assert rx.pop() == b"x"


def test_the_dead_in_a_living_segment_are_reaped(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        tx.push(b"x")
        pid = die_in(name, lambda: (lease := Consumer(name).acquire(), Producer(name).reserve(10), lease))
        findings = look(name)
        assert [finding.severity for finding in findings] == ["warning", "warning"]
        assert {finding.topic for finding in findings} == {"participant"}
        assert f"process {pid} " in findings[0].what
        assert "it held a leased frame of 1 B" in findings[0].what
        assert "it held a reserved frame of 10 B" in findings[1].what
        doctor.fix(findings)
        assert [finding.outcome for finding in findings] == ["fixed", "fixed"]
        assert only(name).severity == "ok"
        assert rx.stat()["redelivered"] == 1
        assert tx.stat()["consumers"] == 1
        with rx.acquire() as lease:  # type: ignore[union-attr]
            assert lease.attempt == 1


def test_a_dead_participant_that_held_nothing_is_only_a_note(name: str) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None):
        die_in(name, lambda: push_and_keep(name))
        finding = only(name)
        assert (finding.severity, finding.fixable) == ("note", True)
        assert "held nothing" in finding.what
        doctor.fix([finding])
        assert only(name).severity == "ok"
    clean(name)


def test_who_is_stopped_and_holds_the_oldest_frame_is_named(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        tx.push_many([b"x", bytes(40_000)])
        with stopped(lambda: Consumer(name).acquire()) as pid:
            finding = only(name)
            assert (finding.severity, finding.topic) == ("warning", "participant")
            assert f"process {pid} " in finding.what
            assert "is stopped and holds the oldest frame" in finding.what
            assert finding.todo == f"let it go on: kill -CONT {pid}"
            tx.push(bytes(20_000), 1)
            assert only(name).severity == "error"  # now the ring is full
        assert sorted(map(len, rx.pop_many(3))) == [20_000, 40_000]
        assert rx.pop() == b"x"


def set_lock(name: str, offset: int, holder: int) -> None:
    with (SHARED_MEMORY / f"shmlane.{name}").open("r+b") as file:
        file.seek(69632 + offset)
        file.write(holder.to_bytes(8, "little"))


@pytest.mark.parametrize(("offset", "side"), [(0, "producers"), (128, "consumers")])
def test_who_is_stopped_and_holds_a_lock_is_an_error(name: str, backend: ModuleType, offset: int, side: str) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None):
        with stopped(lambda: Producer(name)) as pid:
            (other,) = [other for other in backend.inspect_segment(name)["participants"] if other["pid"] == pid]
            set_lock(name, offset, other["id"])
            finding = only(name)
            assert (finding.severity, finding.topic) == ("error", "lock")
            assert f"process {pid} " in finding.what
            assert f"the {side}' lock" in finding.what
            assert f"kill -CONT {pid}" in finding.todo
        (finding,) = look(name)
        assert f"the {side}' lock" in finding.what  # it died with it
        doctor.fix([finding])
        assert finding.outcome == "fixed"
        assert backend.inspect_segment(name)["recovered"] == 1
    clean(name)


def test_who_is_stopped_while_it_attaches_is_found(name: str) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None):
        with stopped(lambda: hold_creation_lock(name)) as pid:
            finding = only(name)
            assert finding.severity == "error"
            assert f"stopped process {pid}" in finding.what
            assert f"kill -CONT {pid}" in finding.todo
        assert only(name).severity == "ok"
    clean(name)


def hold_creation_lock(name: str) -> Any:
    import fcntl
    import struct

    file = (SHARED_MEMORY / f"shmlane.{name}").open("r+b")
    fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 1 << 62, 1, 0))  # F_OFD_SETLK
    return file


def test_a_segment_that_is_being_used_hard_is_never_called_wrong(name: str) -> None:
    worker = (
        "import sys, shmlane\n"
        "tx, rx = shmlane.Producer(sys.argv[1], '64KiB'), shmlane.Consumer(sys.argv[1])\n"
        "while True:\n    tx.push(b'x' * 100)\n    rx.pop()\n"
    )
    with Consumer(name, "64KiB") as rx:
        child = subprocess.Popen([sys.executable, "-c", worker, name])
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert {finding.severity for finding in look(name)} <= {"ok", "note"}
        child.kill()
        child.wait()
        doctor.fix(look(name))
        assert only(name).severity == "ok"
        while rx.size():
            rx.pop()
