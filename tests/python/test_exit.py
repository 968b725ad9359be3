# SPDX-License-Identifier: Apache-2.0
"""Processes that end with handles open, and logging."""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
from typing import Any

import pytest
import workers
from conftest import left_over

import shmlane
from shmlane import Consumer, Producer


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
@pytest.mark.parametrize("way", ["return", "exit", "error"])
def test_a_child_that_leaves_its_handles_open_leaves_nothing(name: str, method: str, way: str) -> None:
    context = multiprocessing.get_context(method)
    child = context.Process(target=workers.open_and_leave, args=(name, way))
    child.start()
    child.join()
    assert child.exitcode == (1 if way == "error" else 0)
    assert left_over(name) == []


@pytest.mark.parametrize("ending", ["", "sys.exit(1)", "raise ValueError", "os.kill(os.getpid(), 2)"])
def test_a_program_that_leaves_its_handles_open_leaves_nothing(name: str, ending: str) -> None:
    code = (
        "import os, sys, shmlane\n"
        f"tx = shmlane.Producer({name!r}); rx = shmlane.Consumer({name!r}); tx.push(b'x'); lease = rx.acquire()\n"
        f"view = lease.object\n{ending}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "shmlane" not in done.stderr
    assert left_over(name) == []


@pytest.mark.parametrize("wait", ["rx.pop", "rx.acquire", "lambda: rx.pop_many(5)", "lambda: tx.push(bytes(60_000))"])
def test_daemon_threads_that_wait_end_with_the_program_without_a_word(name: str, wait: str) -> None:
    code = (
        "import shmlane, threading, time\n"
        f"rx = shmlane.Consumer({name!r})\n"
        f"tx = shmlane.Producer({name!r}, '64KiB')\n"
        "place = tx.reserve(60_000)\n"
        f"for _ in range(4): threading.Thread(target={wait}, daemon=True).start()\n"
        "time.sleep(0.1)\n"
    )
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert left_over(name) == []


def test_a_forked_child_uses_what_it_inherited_as_a_participant_of_its_own(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        pid = os.fork()
        if pid == 0:
            tx.push("from the child")
            os._exit(0)
        assert rx.pop(30) == "from the child"
        assert os.waitpid(pid, 0)[1] == 0
        tx.push("from the parent")
        assert rx.pop(30) == "from the parent"
        tx.close()
        assert rx.pop(30) is None


def test_a_forked_child_that_ends_takes_nothing_of_its_parent_with_it(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push("mine")
        with rx.acquire() as lease, tx.reserve(4) as place:  # type: ignore[union-attr]
            child = multiprocessing.get_context("fork").Process(target=int)
            child.start()
            child.join()
            assert lease.object == "mine"
            place.array[:] = 5
            place.commit()
        assert rx.pop(30) == b"\5\5\5\5"


def test_handles_that_nobody_closes_end_when_they_die(name: str) -> None:
    tx = Producer(name)
    rx = Consumer(name)
    tx.push(1)
    del tx
    assert list(rx) == [1]
    del rx


@pytest.fixture
def clean_logger() -> Any:
    logger = logging.getLogger("shmlane")
    before = logger.level, list(logger.handlers)
    yield logger
    logger.level, logger.handlers = before
    shmlane._log._handler = None


def test_the_log_is_silent_until_asked(clean_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import logging, shmlane; logging.getLogger('shmlane').warning('quiet')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b""
    shmlane.enable_logging("debug")
    shmlane.enable_logging("info")
    clean_logger.info("loud")
    clean_logger.debug("quiet")
    shmlane.set_log_level(logging.ERROR)
    clean_logger.warning("quiet")
    written = capsys.readouterr().err
    assert written.count("loud") == 1
    assert "quiet" not in written
    with pytest.raises(ValueError, match="LOUDEST"):
        shmlane.set_log_level("loudest")


def test_what_the_core_says_goes_to_the_log(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push("kept")
        victim = multiprocessing.get_context("spawn").Process(target=workers.acquire_and_die, args=(name,))
        victim.start()
        victim.join()
        with caplog.at_level(logging.DEBUG, "shmlane"), Consumer(name) as rx:
            assert rx.pop() == "kept"
    assert f"process {victim.pid}" in caplog.text
