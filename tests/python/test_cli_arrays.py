# SPDX-License-Identifier: Apache-2.0
"""What the command and the doctor show of streams and tensors, whichever backend looks."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import workers
from conftest import BACKENDS
from PIL import Image
from test_cli import run

from shmlane import doctor, stream, tensor

PATIENCE = 60.0


@pytest.fixture(params=BACKENDS)
def looker(request: pytest.FixtureRequest) -> ModuleType:
    """The backend that looks; the arrays are of the one that has them."""
    return importlib.import_module(BACKENDS[request.param])


@pytest.fixture
def arrays(name: str) -> Iterator[tuple[stream.Stream, tensor.Tensor]]:
    with stream.stream(name + "s", (2, 3)) as s, tensor.create_shared_tensor(name + "t", np.zeros((4, 5))) as t:
        s.write(np.ones((2, 3), np.float32))
        yield s, t


def test_every_backend_finds_the_same_facts(arrays: tuple[stream.Stream, tensor.Tensor], looker: ModuleType) -> None:
    s, t = arrays
    with s.locked(), t.read_locked():
        found = looker.inspect_segment(s.name)
        assert (found["kind"], found["dtype"], tuple(found["shape"])) == ("stream", "<f4", (2, 3))
        assert (found["nbytes"], found["slots"], found["count"], found["pushed_bytes"]) == (24, s.slots, 1, 24)
        assert abs(found["write_time"] - time.time()) < PATIENCE
        (mine,) = found["participants"]
        assert (mine["id"], mine["locks"], mine["pid"]) == (found["writer"], ["write"], os.getpid())
        other = looker.inspect_segment(t.name)
        assert (other["kind"], other["dtype"], tuple(other["shape"])) == ("tensor", "<f8", (4, 5))
        assert other["participants"][0]["locks"] == ["read"]
    assert looker.inspect_segment(s.name)["participants"][0]["locks"] == []


def test_the_dead_are_reaped_by_the_doctor_of_every_backend(name: str, looker: ModuleType) -> None:
    with stream.stream(name, 1) as s:
        process = get_context("spawn").Process(target=workers.hold_stream, args=(name,))
        process.start()
        while s.count == 0:
            time.sleep(0.01)
        process.kill()
        process.join()
        dead = [one for one in looker.inspect_segment(name)["participants"] if not one["alive"]]
        assert [one["locks"] for one in dead] == [["write"]]
        assert looker.reap_segment(name) == 1
        assert len(looker.inspect_segment(name)["participants"]) == 1
        assert s.acquire(PATIENCE)
        assert not looker.remove_remains(name)


def test_ls_and_stat_show_streams_and_tensors(arrays: tuple[stream.Stream, tensor.Tensor]) -> None:
    s, t = arrays
    lines = {line.split()[0]: line for line in run("ls").stdout.splitlines()}
    assert "stream" in lines[s.name]
    assert "tensor" in lines[t.name]
    shown = run("stat", s.name).stdout
    assert "<f4 (2, 3)" in shown
    assert f"by {os.getpid()}" in shown
    assert "<f8 (4, 5)" in run("stat", t.name).stdout
    assert json.loads(run("stat", s.name, "--json").stdout)["count"] == 1


def test_top_shows_streams_and_tensors(arrays: tuple[stream.Stream, tensor.Tensor]) -> None:
    s, t = arrays
    rows = {line.split()[0]: line.split() for line in run("top", "--once", "-i", "0.05").stdout.splitlines() if line}
    assert rows[s.name][1] == "1"
    assert rows[t.name][1] == "-"


def test_rm_removes_a_stream_that_nobody_uses(name: str) -> None:
    stream.create(name, 1).close()
    assert run("rm", name).returncode == 0
    assert name not in stream.list_streams()


def test_watch_prints_rate_age_and_numbers(name: str) -> None:
    with stream.stream(name, 3) as s:
        assert "never written" in run("watch", name, "-n", "1", "-i", "0.01").stdout
        s.write([1, 2, 6])
        done = run("watch", name, "-n", "2", "-i", "0.01")
        assert [line.split()[:3] for line in done.stdout.splitlines()] == [[name, "count", "1"]] * 2
        assert "min 1  max 6  mean 3" in done.stdout
        (look,) = map(json.loads, run("watch", name, "--json", "-n", "1", "-i", "0.01").stdout.splitlines())
        assert (look["count"], look["min"], look["max"], look["mean"], look["rate"]) == (1, 1.0, 6.0, 3.0, 0.0)
        assert look["age"] > 0


def test_watch_writes_pictures(name: str, tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    with stream.stream(name, (4, 6, 3), np.uint8) as s:
        value = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
        s.write(value)
        assert run("watch", name, "--image", str(path)).returncode == 0
        assert np.array_equal(np.asarray(Image.open(path)), value)
    with stream.stream(name, (2, 2)) as s:
        s.write([[-1, 0], [0.5, 1]])
        assert run("watch", name, "--image", str(path)).returncode == 0
        assert np.asarray(Image.open(path)).tolist() == [[0, 128], [191, 255]]
    with stream.stream(name, 5):
        done = run("watch", name, "--image", str(path))
        assert done.returncode == 1
        assert "no picture" in done.stderr


def test_watch_says_that_there_is_no_such_stream(name: str) -> None:
    done = run("watch", name)
    assert done.returncode == 1
    assert name in done.stderr


def test_the_doctor_knows_streams_in_use_unused_and_held_by_who_is_stopped(name: str) -> None:
    s = stream.create(name, 1)
    try:
        assert _findings(name) == [("ok", "segment")]
        process = get_context("spawn").Process(target=workers.hold_stream, args=(name,))
        process.start()
        while s.count == 0:
            time.sleep(0.01)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        while "T (stopped)" not in Path(f"/proc/{process.pid}/status").read_text():
            time.sleep(0.01)
        assert ("error", "lock") in _findings(name)
        process.kill()
        process.join()
        assert ("warning", "participant") in _findings(name)
        s.close()
        assert ("note", "segment") in _findings(name)
    finally:
        stream.unlink(name)


def _findings(name: str) -> list[tuple[str, str]]:
    return [(one.severity, one.topic) for one in doctor.examine([name]) if one.segment == name]
