# SPDX-License-Identifier: Apache-2.0
"""`make test-cuda`: the tests of arrays of GPUs on a real device, and figures; where there is none, says so.

Works offline. Without a device it ends well, and names the tests that were left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import shmlane
from shmlane import Consumer, Producer, cuda, stream

MIB = 1 << 20
PATIENCE = 120.0
TESTS = "tests/cuda"


def median(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


def answer(name: str, ways: list[str], rounds: int) -> None:
    """The other process: takes each array and answers with a byte."""
    with Consumer(name) as rx, Producer(name + "-back", "64KiB") as back:
        for way in ways:
            for _ in range(rounds):
                if way == "lease":
                    lease = rx.acquire(PATIENCE)
                    assert lease is not None
                    assert lease.object.nbytes
                    lease.release()
                else:
                    rx.pop(PATIENCE)
                back.push(b"x", PATIENCE)


def crossing(name: str, nbytes: int, rounds: int = 30) -> dict[str, float]:
    """Seconds one way (half of a round): of an array in the arena that is leased, of a foreign one that is popped."""
    ways = ["lease", "pop"]
    child = multiprocessing.get_context("spawn").Process(target=answer, args=(name, ways, rounds))
    child.start()
    found = {}
    with Producer(name, "64KiB") as tx, Consumer(name + "-back") as back:
        foreign = cuda.asarray(np.zeros(nbytes, np.uint8))
        for way in ways:
            times = []
            for _ in range(rounds):
                if way == "lease":
                    reservation = tx.reserve_cuda(nbytes, np.uint8, timeout=PATIENCE)
                    begin = time.perf_counter()
                    reservation.commit()
                else:
                    begin = time.perf_counter()
                    tx.push(foreign, PATIENCE)
                back.pop(PATIENCE)
                times.append((time.perf_counter() - begin) / 2)
            found[way] = median(times)
    child.join()
    return found


def device_copy(nbytes: int, rounds: int = 30) -> float:
    """Seconds of one plain copy on the device."""
    source, target = cuda.empty(nbytes, np.uint8), cuda.empty(nbytes, np.uint8)
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        target.copy_from(source)
        times.append(time.perf_counter() - begin)
    return median(times)


def figures() -> None:
    name = f"test-cuda-{os.getpid()}"
    print("\n=== figures (medians; one run on this machine)")
    for size in (1 * MIB, 256 * MIB):
        found, copy = crossing(f"{name}-{size}", size), device_copy(size)
        print(f"{size // MIB:4d} MiB: in the arena, leased {found['lease'] * 1e6:8.1f} us one way (goal <= 20)")
        print(
            f"          foreign, popped {found['pop'] * 1e6:8.1f} us one way = two copies and a handle; one plain copy "
            f"on the device {copy * 1e6:.1f} us; ratio {2 * copy / found['pop']:.2f} (goal >= 0.9 at 256 MiB)"
        )
    with stream.stream(name, (1000, 1000), gpu_device="cuda:0") as s:
        value, out = cuda.empty((1000, 1000)), cuda.empty((1000, 1000))
        times = []
        for _ in range(100):
            begin = time.perf_counter()
            s.write(value)
            s.read(out)
            times.append(time.perf_counter() - begin)
        both = 2 * device_copy(4_000_000)
        print(
            f"stream of 1000 x 1000 float32, write + read: {median(times) * 1e6:.1f} us; two plain copies "
            f"{both * 1e6:.1f} us; ratio {both / median(times):.2f} (goal >= 0.5)"
        )


def run(title: str, command: list[str], environment: dict[str, str]) -> bool:
    print(f"\n=== {title}: {' '.join(command)}", flush=True)
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="the folder of a CMake build with tests")
    build = parser.parse_args().build
    missing = cuda.why_unavailable()
    if missing:
        print(f"SKIPPED: no tests on a device: {missing}")
        print(f"Left out: {TESTS}, cuda_logic and cuda_kill on a real driver, and all figures.")
        print("They ran on a stand-in for the driver as parts of `make test`.")
        return 0
    for number, device in enumerate(cuda.devices()):
        print(f"cuda:{number}: {device.name} {device.uuid}")
    programs: list[Any] = [build / "tests/cuda/shmlane_cuda_tests", build / "tests/cuda/shmlane_cuda_kill"]
    results = {
        "Python": run("Python", [sys.executable, "-m", "pytest", "-q", "-rs", TESTS], {"SHMLANE_TEST_CUDA": "device"}),
        **{path.name: run("C++", [str(path)], {"SHMLANE_TEST_CUDA": "device"}) for path in programs},
    }
    sanitizer = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if Path(sanitizer).exists():
        command = [sanitizer, "--target-processes", "all", "--error-exitcode", "1", str(programs[0])]
        results["compute-sanitizer"] = run("compute-sanitizer", command, {"SHMLANE_TEST_CUDA": "device"})
    else:
        print("\nSKIPPED: compute-sanitizer is not installed")
    figures()
    print("\n=== summary of shmlane", shmlane.__version__)
    for what, right in results.items():
        print(f"{'passed' if right else 'FAILED':8s}{what}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
