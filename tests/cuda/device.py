# SPDX-License-Identifier: Apache-2.0
"""`make test-cuda`: the tests of arrays of GPUs on a real device, and figures; where there is none, says so.

Works offline. Without a device it ends well, and names what was left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import shmlane
from shmlane import cuda

from .figures import MIB, measure

TESTS = "tests/cuda"
PROGRAMS = ("shmlane_cuda_tests", "shmlane_cuda_kill")
ON_DEVICE = {"SHMLANE_TEST_CUDA": "device"}


def figures(name: str, sizes: tuple[int, int], rounds: int) -> list[str]:
    """Print each as it comes; all of them as lines."""
    print("\n=== figures (medians; one run on this machine)")
    lines = []
    for figure in measure(name, sizes, rounds):
        lines.append(str(figure))
        print(figure, flush=True)
    return lines


def run(title: str, command: list[str], environment: dict[str, str]) -> bool:
    print(f"\n=== {title}: {' '.join(command)}", flush=True)
    return subprocess.run(command, env={**os.environ, **ON_DEVICE, **environment}, check=False).returncode == 0


def run_tests(build: Path) -> dict[str, bool | None]:
    """Each with its verdict; None: it was not to be had."""
    results: dict[str, bool | None] = {
        "Python": run("Python", [sys.executable, "-m", "pytest", "-q", "-rs", TESTS], {})
    }
    for program in PROGRAMS:
        for memory in ("", "ipc"):
            title = f"{program}, memory {memory or 'as it is shared best'}"
            results[title] = run(title, [str(build / TESTS / program)], {"SHMLANE_CUDA_MEMORY": memory})
    sanitizer = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    results["compute-sanitizer"] = None
    if Path(sanitizer).exists():
        command = [sanitizer, "--target-processes", "all", "--error-exitcode", "1", str(build / TESTS / PROGRAMS[0])]
        results["compute-sanitizer"] = run("compute-sanitizer", command, {})
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, nargs="?", default=Path("build/release"), help="a CMake build with tests")
    parser.add_argument("--figures", metavar="NAME", help="only measure, with queues and streams whose names begin so")
    parser.add_argument("--sizes", type=int, nargs=2, default=(MIB, 256 * MIB), help="bytes")
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    missing = cuda.why_unavailable()
    if missing:
        print(f"SKIPPED: no tests on a device: {missing}")
        print(f"Left out: {TESTS}, {' and '.join(PROGRAMS)} on a real driver, compute-sanitizer, and all figures.")
        print("The tests ran on a stand-in for the driver as parts of `make test`.")
        return 0
    sizes = (asked.sizes[0], asked.sizes[1])
    if asked.figures:
        figures(asked.figures, sizes, asked.rounds)
        return 0
    for number, device in enumerate(cuda.devices()):
        print(f"cuda:{number}: {device.name} {device.uuid}")
    results = run_tests(asked.build)
    lines = figures(f"test-cuda-{os.getpid()}", sizes, asked.rounds)
    print("\n=== summary of shmlane", shmlane.__version__)
    for what, right in results.items():
        print(f"{'SKIPPED' if right is None else 'passed' if right else 'FAILED':8s}{what}")
    print("\n".join(lines))
    return 1 if False in results.values() else 0


if __name__ == "__main__":
    sys.exit(main())
