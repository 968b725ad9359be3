# SPDX-License-Identifier: Apache-2.0
"""shmlane doctor: every left-over and every obstacle is made for real, found, and mended where it is nobody's."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shmlane import Consumer, Producer, doctor
from shmlane.doctor import Finding, leftovers, machine

COMMAND = [sys.executable, "-m", "shmlane", "doctor"]
SHARED_MEMORY = Path("/dev/shm")
MAGIC = b"shmlane\0"


def die_in(name: str, work: Callable[[], Any]) -> int:
    """A forked process does ``work`` and dies by SIGKILL; its pid."""
    child = os.fork()
    if child == 0:
        kept = work()
        os.kill(os.getpid(), signal.SIGKILL)
        del kept
    os.waitpid(child, 0)
    return child


@contextmanager
def stopped(work: Callable[[], Any]) -> Iterator[int]:
    """A forked process that did ``work`` and is stopped; it is killed at the end."""
    child = os.fork()
    if child == 0:
        kept = work()
        os.kill(os.getpid(), signal.SIGSTOP)
        del kept
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    yield child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def look(name: str) -> list[Finding]:
    return doctor.examine([name])


def only(name: str) -> Finding:
    (finding,) = look(name)
    return finding


def files_of(name: str) -> list[str]:
    return sorted(path.name for path in SHARED_MEMORY.iterdir() if name in path.name)


def clean(name: str) -> None:
    doctor.fix(look(name), force=True)


def push_and_keep(name: str, *objs: Any) -> Producer:
    tx = Producer(name, "64KiB", wait_for_consumer=None)
    tx.push_many(objs)
    return tx


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


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, True),
        ({"etc/logind.conf": "[Login]\n#RemoveIPC=no\n"}, True),
        ({"etc/logind.conf": "[Login]\nRemoveIPC=no\n"}, False),
        ({"usr/logind.conf": "[Login]\nRemoveIPC=no\n", "etc/logind.conf": "[Login]\nKillUserProcesses=no\n"}, True),
        ({"etc/logind.conf": "[Login]\nRemoveIPC=no\n", "usr/logind.conf.d/a.conf": "[Login]\nRemoveIPC=yes\n"}, True),
        ({"usr/logind.conf.d/a.conf": "[Login]\nRemoveIPC=yes\n", "etc/logind.conf.d/a.conf": ""}, True),
        ({"etc/logind.conf.d/z.conf": "[Login]\nRemoveIPC=off\n", "usr/logind.conf.d/a.conf": "rubbish"}, False),
    ],
)
def test_remove_ipc_is_read_as_systemd_reads_it(files: dict[str, str], expected: bool, tmp_path: Path) -> None:
    for relative, contents in files.items():
        path = tmp_path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents)
    folders = [tmp_path / "usr", tmp_path / "etc"]
    assert machine.remove_ipc(folders) is expected
    (finding,) = machine.check_logind(folders, uid=1000)
    assert finding.severity == ("warning" if expected else "ok")
    (finding,) = machine.check_logind(folders, uid=0)
    assert finding.severity == "ok"


def run(*arguments: str, prefix: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    if prefix:
        command = ["bash", "-c", f'{prefix}; exec "$@"', "bash", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **options)


def test_the_whole_machine_is_looked_at_and_nothing_is_changed(name: str) -> None:
    die_in(name, lambda: push_and_keep(name))
    before = files_of(name)
    done = run("--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["healthy"] is False
    assert {"backend", "memory", "limits", "membarrier"} <= {finding["topic"] for finding in report["findings"]}
    (finding,) = [finding for finding in report["findings"] if finding["segment"] == name]
    assert finding["fixable"]
    assert files_of(name) == before
    shown = run()
    assert shown.returncode == 1
    assert f"warning  {name}: all 1 participant in it died" in shown.stdout
    clean(name)


def test_the_command_mends_and_its_status_says_whether_all_is_well(name: str) -> None:
    die_in(name, lambda: push_and_keep(name, b"x"))
    done = run(name, "--fix")
    assert done.returncode == 1
    assert "--force" in done.stdout
    done = run(name, "--fix", "--force")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 fixed; all is well")
    assert run(name, "--force").returncode == 2


def test_a_small_limit_is_a_warning() -> None:
    findings = json.loads(run("--json", prefix="ulimit -n 64; ulimit -f 1000").stdout)["findings"]
    limits = [finding for finding in findings if finding["topic"] == "limits"]
    assert [finding["severity"] for finding in limits] == ["warning", "warning"]


def test_a_small_shared_memory_is_a_warning_that_names_docker_s_option(tmp_path: Path) -> None:
    mounted = "unshare --mount --map-root-user bash -c 'mount -t tmpfs -o size=8m none /dev/shm && exec \"$@\"' bash"
    done = subprocess.run(
        f"{mounted} {' '.join(COMMAND)} --json", shell=True, capture_output=True, text=True, timeout=100, check=False
    )
    if not done.stdout:
        pytest.skip(f"no name spaces here: {done.stderr}")
    (memory,) = [finding for finding in json.loads(done.stdout)["findings"] if finding["topic"] == "memory"]
    assert memory["severity"] == "warning"
    assert "--shm-size" in memory["todo"]


BROKEN = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "shmlane._native": raise ImportError("undefined symbol: x", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["shmlane", *sys.argv[1:]]
from shmlane.cli import main
main()
"""


def test_it_works_when_the_extension_is_what_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHMLANE_BACKEND", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "doctor", "--json"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert findings[0]["severity"] == "error"
    assert "undefined symbol: x" in findings[0]["what"]
    assert "memory" in {finding["topic"] for finding in findings}
    for command in (["ls"], ["doctor", "x"]):
        done = subprocess.run([sys.executable, "-c", BROKEN, *command], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (1, "shmlane: undefined symbol: x\n")


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
