# SPDX-License-Identifier: Apache-2.0
"""The examples, run as examples/README.md says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CPP = Path(os.environ.get("SHMLANE_BUILD_DIR", ROOT / "build/release")) / "examples"
PYTHON = ROOT / "examples"


def command(name: str) -> list[str]:
    return [sys.executable, str(PYTHON / name)] if name.endswith(".py") else [str(CPP / name)]


def run_together(*names: str) -> str:
    """What the last of them prints; all must succeed."""
    others = [subprocess.Popen(command(name)) for name in names[:-1]]
    try:
        last = subprocess.run(command(names[-1]), stdout=subprocess.PIPE, check=True, text=True)
        assert [other.wait() for other in others] == [0] * len(others)
    finally:
        for other in others:
            other.kill()
            other.wait()
    names = ("numbers", "pictures", "camera", "state", "force", "weights", "pose")
    mine = tuple(f"shmlane.{name}" for name in names)
    assert [path for path in os.listdir("/dev/shm") if path.startswith(mine)] == []
    return last.stdout


def run_pipe(first: str, second: str) -> str:
    with subprocess.Popen(command(first), stdout=subprocess.PIPE) as producer:
        consumer = subprocess.run(command(second), stdin=producer.stdout, stdout=subprocess.PIPE, check=True, text=True)
    assert producer.returncode == 0
    return consumer.stdout


def test_a_python_producer_feeds_the_opencv_consumer() -> None:
    if not (CPP / "opencv_consumer").exists():
        pytest.skip("built without OpenCV")
    lines = run_together("python_producer.py", "opencv_consumer").splitlines()
    assert [line.split(":")[0] for line in lines] == ["320 x 240 GRAY"] * 3
    edges = [int(line.split(": ")[1].split()[0]) for line in lines]
    assert 0 < edges[0] < edges[1] < edges[2]


def test_the_cpp_producer_feeds_the_cpp_consumer() -> None:
    lines = run_together("producer", "consumer").splitlines()
    assert lines[:3] == [
        "text: five arrays follow",
        "ndarray: 100 items of dtype <f4",
        'json: {"array":1,"sum":4950.0}',
    ]
    assert len(lines) == 11


@pytest.mark.parametrize("consumer", ["consumer.py", "async_consumer.py"])
def test_the_cpp_producer_feeds_python_consumers(consumer: str) -> None:
    output = run_together("producer", consumer)
    assert "str five arrays follow\nndarray [[" in output
    assert output.count("ndarray") == 5
    assert "dict {'array': 5, 'sum': 124750.0}\n" in output


def test_python_writes_a_pipe_that_cpp_reads() -> None:
    lines = run_pipe("stdio_producer.py", "stdio_consumer").splitlines()
    assert lines[0] == '{"type":"text"}, 9 bytes'
    assert lines[-1] == '{"type":"ndarray","dtype":"<f4","shape":[1000000]}, 4000000 bytes'


def test_cpp_writes_a_pipe_that_python_reads() -> None:
    assert run_pipe("stdio_producer", "stdio_consumer.py").splitlines() == [
        "str some text",
        "dict {'primes': [2, 3, 5, 7]}",
        "ndarray [[1. 2. 3.]",
        " [4. 5. 6.]]",
    ]


def test_the_worker_pool_does_every_task_once() -> None:
    lines = run_together("worker_pool.py").splitlines()
    assert sorted(line.split(", by")[0] for line in lines) == sorted(
        f"task {number}: {number * 100_000}" for number in range(20)
    )


def test_the_viewer_and_the_logger_see_what_the_camera_writes() -> None:
    lines = run_together("stream_camera.py").splitlines()
    (logger,) = [line for line in lines if line.startswith("logger")]
    assert logger.endswith(f"the last one {999 % 256}")
    logged, missed = (int(word) for word in logger.replace(",", "").split()[1:4:2])
    assert 0 < logged + missed <= 1000
    assert any(line.startswith("viewer: picture ") for line in lines)


def test_the_control_loop_brings_the_plant_to_rest() -> None:
    assert "after 5000 steps the plant is at 0.000; " in run_together("stream_control.py").replace("-0.000", "0.000")


def test_four_workers_share_the_weights() -> None:
    assert run_together("tensor_weights.py").splitlines() == [
        f"worker {number}: {number * 256 * 512 // 2}" for number in range(4)
    ]


def test_the_cpp_stream_is_read_by_another_process() -> None:
    reader = subprocess.Popen([*command("stream"), "read"], stdout=subprocess.PIPE, text=True)
    try:
        subprocess.run([*command("stream"), "write"], check=True)
        output, _ = reader.communicate()
    finally:
        reader.kill()
        reader.wait()
    assert reader.returncode == 0
    assert output.splitlines()[-1].startswith("value ")
