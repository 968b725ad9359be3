# SPDX-License-Identifier: Apache-2.0
"""One measurement: starts workers of either language, samples what they write on the board, and ends them."""

from __future__ import annotations

import itertools
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
BUILD = Path(os.environ.get("SHMLANE_BENCH_BUILD", HERE.parent / "build/bench/benchmarks/cpp"))
CORES = sorted(os.sched_getaffinity(0))

# The layout of cpp/board.hpp.
MAX_WORKERS = 512
MAX_TIMES = 1 << 20
METER_WORDS = 8  # objects, bytes, sum, pid

PATIENCE = 20.0  # seconds until something has arrived
WARM_UP = 0.1  # seconds: once round a ring of the default capacity, and more

# kind of case: roles of the workers on the sending and on the receiving side
ROLES = {
    "throughput": ("produce", "consume"),
    "alone": ("produce", None),
    "shares": ("produce", None),
    "busy": ("ping", "pong"),
    "paced": ("pace", "stamp"),
    "idle": ("hush", "consume"),
    "start-up": ("attach", None),
}

Result = dict[str, float]
_numbers = itertools.count()


class MeasurementError(Exception):
    """A measurement that did not come about; says why."""


@dataclass(frozen=True)
class Ask:
    """What is measured: ``kind`` as in ROLES, the peer in the languages of its two sides, and what peers are told."""

    kind: str
    peer: str
    languages: tuple[str, str] = ("cpp", "cpp")
    producers: int = 1
    consumers: int = 1
    options: dict[str, Any] = field(default_factory=dict)


class Board:
    """The file in shared memory that workers write and this process reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        size = 64 * (MAX_WORKERS + 1) + 8 * MAX_TIMES
        with path.open("w+b") as file:
            file.truncate(size)
            memory = mmap.mmap(file.fileno(), size)
        self._meters = np.frombuffer(memory, np.uint64, MAX_WORKERS * METER_WORDS).reshape(MAX_WORKERS, METER_WORDS)
        self._count = np.frombuffer(memory, np.uint64, 1, 64 * MAX_WORKERS)
        self._times = np.frombuffer(memory, np.int64, MAX_TIMES, 64 * (MAX_WORKERS + 1))

    def totals(self, meters: list[int]) -> tuple[int, int]:
        """Objects and bytes of these workers together."""
        return int(self._meters[meters, 0].sum()), int(self._meters[meters, 1].sum())

    def pids(self) -> list[int]:
        return [int(pid) for pid in self._meters[:, 3] if pid]

    @property
    def count(self) -> int:
        return int(self._count[0])

    def times(self, since: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """What was recorded after the first ``since`` times, if it is still there."""
        until = self.count
        return self._times[np.arange(max(since, until - MAX_TIMES), until) % MAX_TIMES]


def _command(language: str, ask: dict[str, Any]) -> list[str]:
    if language == "cpp":
        return [str(BUILD / "shmlane_bench"), json.dumps(ask)]
    return [sys.executable, str(HERE / "python/host.py"), json.dumps(ask)]


def _environment(language: str) -> dict[str, str]:
    backends = {"python": "native", "pure": "pure"}
    return {**os.environ, **({"SHMLANE_BACKEND": backends[language]} if language in backends else {})}


def _sides(ask: Ask) -> list[tuple[str, list[dict[str, Any]]]]:
    """Workers by language, each with its role, its number among its kind, its meter and its core."""
    senders, receivers = ROLES[ask.kind]
    count = itertools.count()

    def workers(role: str | None, many: int) -> list[dict[str, Any]]:
        numbers = [] if role is None else [(index, next(count)) for index in range(many)]
        return [
            {"role": role, "index": index, "meter": meter, "core": CORES[meter % len(CORES)]}
            for index, meter in numbers
        ]

    sending, receiving = workers(senders, ask.producers), workers(receivers, ask.consumers)
    idle = ask.options.get("bystanders", 0)
    receiving += workers("keep-sender", idle // 2) + workers("keep-receiver", idle - idle // 2)
    if ask.languages[0] == ask.languages[1]:
        return [(ask.languages[0], sending + receiving)]
    return [(ask.languages[0], sending), (ask.languages[1], receiving)]


@contextmanager
def _running(ask: Ask) -> Iterator[tuple[Board, list[subprocess.Popen[str]]]]:
    name = f"bench-{os.getpid()}-{next(_numbers)}"
    board = Board(Path("/dev/shm") / f"{name}.board")
    common = {
        "peer": ask.peer,
        "name": name,
        "board": str(board.path),
        "producers": ask.producers,
        "consumers": ask.consumers,
        "echoes": ask.kind == "busy",
        **ask.options,
    }
    hosts: list[subprocess.Popen[str]] = []
    try:
        for number, (language, workers) in enumerate(_sides(ask)):
            command = _command(language, {**common, "workers": workers, "makes": number == 0})
            hosts.append(
                subprocess.Popen(
                    command, env=_environment(language), stderr=subprocess.PIPE, text=True, start_new_session=True
                )
            )
            _wait_until(lambda: bool(board.pids()), hosts)  # the first has made what the second shall find
        yield board, hosts
    finally:
        for host in reversed(hosts):  # who made it removes it, after the others
            host.send_signal(signal.SIGTERM)
            try:
                _, said = host.communicate(timeout=10)
                if host.returncode == 1 and "\n" in said:
                    print(said.strip().splitlines()[-1], file=sys.stderr)
            except subprocess.TimeoutExpired:
                os.killpg(host.pid, signal.SIGKILL)
                host.communicate()
        board.path.unlink()


def _check(hosts: list[subprocess.Popen[str]]) -> None:
    for host in hosts:
        if host.poll() is not None:
            said = (host.communicate()[1] or "").strip().splitlines()
            raise MeasurementError(said[-1] if said else f"a host ended with {host.returncode}")


def _wait_until(condition: Callable[[], bool], hosts: list[subprocess.Popen[str]], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        _check(hosts)
        if time.monotonic() > deadline:
            raise MeasurementError(f"nothing arrived within {patience:.0f} s")
        time.sleep(0.001)


def _cpu_seconds(pids: list[int]) -> float:
    """Processor time of these processes, all their threads included."""
    nanoseconds = 0
    for pid in pids:
        for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with suppress(FileNotFoundError, ProcessLookupError):  # threads may end between two looks
                nanoseconds += int(file.read_text().split()[0])
    return nanoseconds * 1e-9


def _memory(pids: list[int]) -> int:
    """Bytes that these processes hold, what they share counted once."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) << 10
    return total


def longest_start(ask: Ask) -> float:
    """Seconds that nothing that works takes for more than the measurement itself."""
    return PATIENCE + ask.options.get("warm_objects", 0) / 1e6


def measure(ask: Ask, seconds: float) -> Result:
    """Run one measurement for so long and return its figures. Raises MeasurementError."""
    with _running(ask) as (board, hosts):
        receiving = ROLES[ask.kind][1] is not None
        meters = list(range(ask.producers, ask.producers + ask.consumers) if receiving else range(ask.producers))

        def progress() -> int:
            return board.totals(meters)[0] + board.count

        _wait_until(lambda: progress() > 0, hosts)
        _wait_until(lambda: progress() >= ask.options.get("warm_objects", 0), hosts, longest_start(ask))
        time.sleep(WARM_UP)
        pids = board.pids()
        cpu, seen, (objects, size) = _cpu_seconds(pids), board.count, board.totals(meters)
        begin = time.perf_counter()
        time.sleep(seconds)
        (objects_after, size_after), end = board.totals(meters), time.perf_counter()
        _check(hosts)
        if ask.kind in ("throughput", "alone") and objects_after == objects:
            raise MeasurementError("no object came in time")
        cpu = _cpu_seconds(pids) - cpu
        result = _rates(objects_after - objects, size_after - size, cpu, end - begin)
        result["memory_bytes"] = _memory(pids)
        if len(times := board.times(seen)):
            result |= _figures(ask.kind, times, board)
        elif ask.kind in ("busy", "paced", "shares"):
            raise MeasurementError("no object came in time")
        return result


def _rates(objects: int, size: int, cpu: float, seconds: float) -> Result:
    rates = {"objects_per_s": objects / seconds, "bytes_per_s": size / seconds, "cpu_percent": 100 * cpu / seconds}
    if objects:
        rates["cpu_ns"] = cpu * 1e9 / objects
    return rates


def _figures(kind: str, times: np.ndarray[Any, np.dtype[np.int64]], board: Board) -> Result:
    if kind == "start-up":
        return _start_up(board.times(0))
    if kind == "shares":  # recorded in millionths
        return {"share": float(np.median(times)) / 1e6, "samples": len(times)}
    return _percentiles(times)


def _percentiles(times: np.ndarray[Any, np.dtype[np.int64]]) -> Result:
    names = {"p50_ns": 50, "p90_ns": 90, "p99_ns": 99, "p999_ns": 99.9}
    return {name: float(np.percentile(times, percent)) for name, percent in names.items()} | {"samples": len(times)}


def _start_up(times: np.ndarray[Any, np.dtype[np.int64]]) -> Result:
    pairs = times[: len(times) // 2 * 2].reshape(-1, 2)
    return {"create_ns": float(np.median(pairs[:, 0])), "attach_ns": float(np.median(pairs[:, 1]))}


def cpp_peers() -> set[str]:
    """The peers that the C++ program was built with."""
    return set(subprocess.check_output([str(BUILD / "shmlane_bench"), "peers"], text=True).split())


def python_peers() -> dict[str, str]:
    """Why a Python peer is not there, by name; empty for one that is."""
    out = subprocess.check_output([sys.executable, str(HERE / "python/host.py"), "peers"], text=True)
    return dict(json.loads(out))
