# SPDX-License-Identifier: Apache-2.0
"""The backends' waits, signals, errors, and log."""

import itertools
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from shmlane import _backend, errors

pytestmark = pytest.mark.usefixtures("backend")

BYTES = b'{"type":"bytes"}'
_numbers = itertools.count()


@pytest.fixture
def name() -> Iterator[str]:
    unique = f"test-backend-waits-{os.getpid()}-{next(_numbers)}"
    yield unique
    with suppress(errors.NotFound):
        _backend.active.remove_segment(unique, force=True)


@pytest.fixture
def ends(name: str) -> Iterator[tuple[Any, Any]]:
    producer = _backend.active.Producer(name, capacity=1 << 20)
    consumer = _backend.active.Consumer(name)
    yield producer, consumer
    producer.close()
    consumer.close()


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python programs and waits until they say "ready"."""
    children: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        child = subprocess.Popen([sys.executable, "-c", *arguments], stdout=pipe, stderr=pipe, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield run
    for child in children:
        child.kill()
        child.communicate()


def fill(producer: Any) -> None:
    with suppress(errors.Full):
        while True:
            producer.push_plain(bytes(100_000), 0)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it; the time limit of the test is the watchdog."""
    while not condition():
        time.sleep(0.01)


def in_thread(function: Callable[..., Any], *arguments: Any) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function(*arguments))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def waits(name: str) -> int:
    return int(_backend.active.inspect_segment(name)["waits"])


PROGRAMS = {
    "pop": "c.pop_plain()",
    "pop many": "c.pop_plain_many(3)",
    "acquire": "c.acquire()",
    "wait": "c.wait()",
    "push": "p.push_plain(bytes(1000))",
    "push many": "p.push_plain_many([bytes(1000)])",
    "push parts": "p.push(b'{}', [bytes(1000)])",
    "reserve": "p.reserve(b'{}', 1000)",
}
PRELUDE = """
import sys
from shmlane._backend import active as backend
name = sys.argv[1]
p = backend.Producer(name, capacity=4096)
c = backend.Consumer(name)
"""
FILL = "while p.push_plain_many([bytes(100)] * 8, 0) == 8: pass\n"


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_ctrl_c_ends_every_wait(name: str, start: Any, program: str) -> None:
    source = PRELUDE + (FILL if program.startswith("p.") else "") + f"print('ready', flush=True)\n{program}\n"
    child = start(source, name)
    until(lambda: waits(name) > 0)
    interrupt(child)


@pytest.mark.parametrize(
    "program", ["backend.StdioReader(r, 1 << 30).read()", "backend.StdioWriter(w).write(b'{}', [bytes(1 << 24)])"]
)
def test_ctrl_c_ends_a_wait_for_a_pipe(start: Any, program: str) -> None:
    prelude = "import os\nfrom shmlane._backend import active as backend\n"
    child = start(f"{prelude}r, w = os.pipe()\nprint('ready', flush=True)\n{program}")
    until(lambda: _sleeps_in_pipe(child.pid))
    interrupt(child)


def interrupt(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate()
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert child.returncode == -signal.SIGINT


def _sleeps_in_pipe(pid: int) -> bool:
    with open(f"/proc/{pid}/wchan") as file:
        return "pipe" in file.read()


@pytest.mark.parametrize("method", ["pop_plain", "acquire", "wait"])
def test_a_wait_lets_other_threads_of_python_run(ends: Any, method: str) -> None:
    producer, consumer = ends
    thread, results = in_thread(getattr(consumer, method))
    until(lambda: consumer.stat()["waits"] > 0)
    producer.push_plain(b"x")
    thread.join()
    assert len(results) == 1
    assert not isinstance(results[0], Exception)


def test_a_push_that_waits_lets_other_threads_of_python_run(ends: Any) -> None:
    producer, consumer = ends
    fill(producer)
    thread, results = in_thread(producer.push_plain, bytes(100_000))
    until(lambda: producer.stat()["waits"] > 0)
    consumer.pop_plain()
    thread.join()
    assert results == [True]


def test_an_object_without_other_references_survives_a_push_that_waits(ends: Any) -> None:
    producer, consumer = ends
    fill(producer)
    thread, results = in_thread(lambda: producer.push_plain(np.full(100_000, 7, np.uint8)))
    until(lambda: producer.stat()["waits"] > 0)
    while type(obj := consumer.pop_plain()) is bytes:
        pass
    thread.join()
    assert results == [True]
    assert (obj == 7).all()


@pytest.mark.parametrize("end", [0, 1], ids=["producer", "consumer"])
def test_cancel_wait_ends_a_wait_of_another_thread(ends: Any, end: int) -> None:
    handle = ends[end]
    if end == 0:
        fill(handle)
    before = handle.stat()["waits"]
    thread, results = in_thread(handle.wait)
    until(lambda: handle.stat()["waits"] > before)
    while thread.is_alive():
        handle.cancel_wait()
        time.sleep(0.01)
    assert results == [False]


def test_close_ends_a_wait_of_another_thread_with_closed(ends: Any) -> None:
    _, consumer = ends
    thread, results = in_thread(consumer.pop_plain)
    until(lambda: _backend.active.inspect_segment(consumer.name)["waits"] > 0)
    consumer.close()
    thread.join()
    assert [type(result) for result in results] == [errors.Closed]


def test_a_daemon_thread_in_a_wait_does_not_break_the_end_of_the_process(name: str) -> None:
    source = PRELUDE + "import threading, time\nthreading.Thread(target=c.pop_plain, daemon=True).start()\n"
    source += "while not c.stat()['waits']: time.sleep(0.01)\n"
    done = subprocess.run([sys.executable, "-c", source, name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_end_of_stream_is_none_or_an_empty_batch(ends: Any) -> None:
    producer, consumer = ends
    producer.push_plain(b"last")
    producer.close()
    assert consumer.pop_plain() == b"last"
    assert consumer.pop_plain() is None
    assert consumer.acquire() is None
    assert consumer.pop_plain_many(5) == []
    assert consumer.wait() is True


def test_time_outs_are_seconds_and_none_is_for_ever(ends: Any) -> None:
    producer, consumer = ends
    for timeout in (0, -1, -math.inf, 0.0, 0.01, np.float32(0.01)):
        with pytest.raises(errors.Empty):
            consumer.pop_plain(timeout)
        with pytest.raises(errors.Empty):
            consumer.acquire(timeout=timeout)
        with pytest.raises(errors.Empty):
            consumer.pop_plain_many(1, timeout)
        assert consumer.wait(timeout) is False
    for timeout in (None, math.inf, 1e300, 10**12, True):
        producer.push_plain(b"x", timeout)
        assert consumer.pop_plain(timeout) == b"x"


@pytest.mark.parametrize(("timeout", "error"), [(math.nan, errors.InvalidArgument), ("1", TypeError), ([], TypeError)])
def test_a_time_out_that_is_none_is_refused(ends: Any, timeout: Any, error: type[Exception]) -> None:
    producer, consumer = ends
    for call in (consumer.pop_plain, consumer.acquire, consumer.wait, producer.wait):
        with pytest.raises(error):
            call(timeout)
    with pytest.raises(error):
        producer.push_plain(b"x", timeout)
    assert producer.size() == 0


def test_raw_methods_check_their_arguments(ends: Any) -> None:
    producer, consumer = ends
    assert producer.push_plain(obj=b"x", timeout=0)
    assert consumer.pop_plain(timeout=0) == b"x"
    for wrong in (
        lambda: producer.push_plain(),
        lambda: producer.push_plain(timeout=0),
        lambda: producer.push_plain(b"x", 0, 0),
        lambda: producer.push_plain(b"x", obj=b"y"),
        lambda: producer.push_plain(b"x", tmeout=0),
        lambda: consumer.pop_plain(0, 0),
        lambda: _backend.active.Producer.push_plain(consumer, b"x"),
    ):
        with pytest.raises((TypeError, AttributeError)):
            wrong()
    with pytest.raises(errors.Closed, match="never initialised"):
        _backend.active.Consumer.pop_plain(_backend.active.Consumer.__new__(_backend.active.Consumer))


def test_errors_are_the_classes_of_shmlane_errors(name: str) -> None:
    for wrong, error in [
        (lambda: _backend.active.Producer(""), errors.InvalidName),
        (lambda: _backend.active.Producer("a/b"), errors.InvalidName),
        (lambda: _backend.active.Consumer("\ud800"), errors.InvalidName),
        (lambda: _backend.active.Producer(name, capacity=-1), errors.InvalidArgument),
        (lambda: _backend.active.Producer(name, capacity=2**70), errors.InvalidArgument),
        (lambda: _backend.active.Producer(name, policy="wait"), errors.InvalidArgument),
        (lambda: _backend.active.Producer(name, stale="never"), errors.InvalidArgument),
        (lambda: _backend.active.Producer(name, mode=0o1777), errors.InvalidArgument),
        (lambda: _backend.active.Consumer(name, max_attempts=0), errors.InvalidArgument),
        (lambda: _backend.active.Consumer(name, on_death="retry"), errors.InvalidArgument),
        (lambda: _backend.active.inspect_segment(name), errors.NotFound),
        (lambda: _backend.active.remove_segment(name), errors.NotFound),
        (lambda: _backend.active.Producer(name, capacity=1.5), TypeError),
    ]:
        with pytest.raises(error):
            wrong()
    producer = _backend.active.Producer(name, capacity=4096, wait_for_consumer=0.01)
    with pytest.raises(errors.NoConsumers):
        producer.push_plain(b"x")
    with pytest.raises(errors.CapacityMismatch):
        _backend.active.Consumer(name, capacity=8192)
    with pytest.raises(errors.TooLarge):
        producer.push_plain(bytes(5000))
    producer.close()
    assert producer.closed
    with pytest.raises(errors.Closed):
        producer.push_plain(b"x")


def test_full_names_who_holds_the_oldest_frame(ends: Any) -> None:
    producer, consumer = ends
    producer.push_plain(b"held")
    lease = consumer.acquire()
    fill(producer)
    with pytest.raises(errors.Full, match=rf"process {os.getpid()} .*lease"):
        producer.push_plain(bytes(100_000), 0.01)
    assert bytes(lease) == b"held"


def test_what_the_core_says_goes_to_logging(name: str, caplog: pytest.LogCaptureFixture) -> None:
    source = PRELUDE + "p.push_plain(b'lost')\nimport os\nos._exit(0)\n"
    subprocess.run([sys.executable, "-c", source, name], check=True)
    with caplog.at_level(logging.INFO, logger="shmlane"):
        producer = _backend.active.Producer(name)
        until(lambda: bool(caplog.records))
    assert caplog.records[0].name == "shmlane"
    assert "1 objects in it are discarded" in caplog.records[0].getMessage()
    assert producer.size() == 0
