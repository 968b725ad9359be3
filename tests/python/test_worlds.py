# SPDX-License-Identifier: Apache-2.0
"""Participants in worlds of their own: PID namespaces, and daemons that close what they do not know."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from shmlane import Consumer, Producer
from shmlane.errors import Empty

Start = Callable[..., "subprocess.Popen[str]"]

HOLD = """
import os, sys, shmlane
rx = shmlane.Consumer(sys.argv[1])
lease = rx.acquire()
print(os.getpid(), lease.object, lease.attempt, flush=True)
sys.stdin.readline()
lease.release()
rx.close()
"""

DAEMON = """
import os, sys, tempfile, time, shmlane
{opening}
os.closerange(3, 256)
logs = [tempfile.TemporaryFile() for _ in range(8)]  # one of them has the number that the segment's file had
print("closed", flush=True)
sys.stdin.readline()
{use}
for log in logs:
    log.write(b"x")
    log.flush()
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """start(code, *words, by=[...]) runs Python code with pipes to it; nothing of it outlives the test."""
    children: list[subprocess.Popen[str]] = []

    def run(code: str, *words: str, by: list[str] | None = None) -> subprocess.Popen[str]:
        command = [*(by or []), sys.executable, "-c", code, *words]
        children.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return children[-1]

    yield run
    for child in children:
        child.kill()
        child.communicate()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def go_on(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


@pytest.fixture(scope="module")
def own_namespace() -> list[str]:
    command = ["unshare", "--pid", "--fork", "--kill-child"]
    try:
        probe = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no PID namespace of our own: there is no unshare")
    if probe.returncode != 0:
        pytest.skip(f"no PID namespace of our own: {probe.stderr.strip()}")
    return command


def test_of_two_participants_with_pid_1_only_the_dead_one_is_dead(
    name: str, start: Start, own_namespace: list[str]
) -> None:
    with Consumer(name) as rx, Producer(name) as tx:
        tx.push("of the dead")
        dies = start(HOLD, name, by=own_namespace)
        assert line(dies) == "1 of the dead 0"
        tx.push("of the living")
        lives = start(HOLD, name, by=own_namespace)
        assert line(lives) == "1 of the living 0"
        dies.kill()
        with rx.acquire(30) as lease:  # type: ignore[union-attr]
            assert (lease.object, lease.attempt) == ("of the dead", 1)
        with pytest.raises(Empty):
            rx.pop(0.3)
        assert rx.stat()["consumers"] == 2
        go_on(lives)
        assert lives.wait() == 0
        assert rx.stat()["consumers"] == 1


def test_from_inside_of_a_namespace_those_outside_live_as_long_as_they_do(
    name: str, start: Start, own_namespace: list[str]
) -> None:
    pop = "import sys, shmlane\nfor obj in shmlane.Consumer(sys.argv[1]): print(obj, flush=True)"
    with Producer(name) as tx:
        inside = start(pop, name, by=own_namespace)
        tx.push("first")
        assert line(inside) == "first"
        producer = start("import sys, shmlane\nshmlane.Producer(sys.argv[1]).push(2)\nsys.stdin.readline()", name)
        assert line(inside) == "2"
        producer.kill()
        producer.wait()
        # Longer than the slice after which the inside looks for the dead.
        with pytest.raises(subprocess.TimeoutExpired):
            inside.wait(0.4)
        tx.push("third")
        assert line(inside) == "third"
    assert inside.wait() == 0


def test_a_daemon_that_closed_all_descriptors_is_told_so_by_its_next_wait(name: str, start: Start) -> None:
    daemon = start(
        DAEMON.format(
            opening="rx = shmlane.Consumer(sys.argv[1])",
            use="try:\n    rx.pop()\nexcept shmlane.errors.Evicted as error:\n    print(error, flush=True)\nrx.close()",
        ),
        name,
    )
    assert line(daemon) == "closed"
    go_on(daemon)
    assert "descriptors were closed" in line(daemon)
    assert daemon.wait() == 0
    Consumer(name).close()


def test_a_daemon_that_closed_all_descriptors_takes_nothing_from_the_living(name: str, start: Start) -> None:
    use = "try:\n    rx.pop(1)\nexcept shmlane.Error as error:\n    print(type(error).__name__, flush=True)\n"
    with Producer(name) as tx, Consumer(name) as other:
        tx.push("held")
        with other.acquire() as lease:  # type: ignore[union-attr]
            daemon = start(DAEMON.format(opening="rx = shmlane.Consumer(sys.argv[1])", use=use + "del rx"), name)
            assert line(daemon) == "closed"
            go_on(daemon)
            assert line(daemon) == "Evicted"
            assert daemon.wait() == 0
            assert lease.object == "held"
            assert tx.stat()["redelivered"] == 0
        tx.push("more")
        assert other.pop(30) == "more"


def test_the_others_go_on_without_a_daemon_that_closed_its_descriptors(name: str, start: Start) -> None:
    use = "try:\n    tx.push('late')\nexcept shmlane.errors.Evicted:\n    print('evicted', flush=True)\ntx.close()"
    with Consumer(name) as rx:
        daemon = start(DAEMON.format(opening="tx = shmlane.Producer(sys.argv[1]); tx.push('in time')", use=use), name)
        assert rx.pop(30) == "in time"
        assert line(daemon) == "closed"
        assert rx.pop(30) is None
        go_on(daemon)
        assert line(daemon) == "evicted"
        assert daemon.wait() == 0


def test_a_fork_of_a_daemon_that_closed_its_descriptors_leaves_its_files_alone(name: str, start: Start) -> None:
    use = """
pid = os.fork()
if pid == 0:
    try:
        tx.push('x')
    except shmlane.Error:
        for log in logs:
            log.write(b"child")
            log.flush()
        os._exit(0)
    os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
assert all(log.seek(0) == 0 and log.read() == b"child" for log in logs)
"""
    with Consumer(name):
        daemon = start(DAEMON.format(opening="tx = shmlane.Producer(sys.argv[1])", use=use), name)
        assert line(daemon) == "closed"
        go_on(daemon)
        assert daemon.wait() == 0
