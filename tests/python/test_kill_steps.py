# SPDX-License-Identifier: Apache-2.0
"""Python processes that die at named steps of the library: the others finish a checked transfer."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest
import victims
from conftest import left_over
from victims import CAPACITY, make, read

from shmlane import Consumer, Empty, Full, Producer

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("SHMLANE_CRASH_DIR", ROOT / "build/crash-py"))
AT_ONCE = 4
LEAST_POINTS = 60
PATIENCE = 60.0


def points_in_the_sources() -> set[str]:
    sources = (ROOT / "cpp/src").rglob("*.[ch]pp")
    return {name for path in sources for name in re.findall(r'SHMLANE_CRASH_POINT\("([^"]+)"\)', path.read_text())}


@dataclass
class Death:
    scene: str
    point: str = ""  # none: it lives
    turn: int = 0

    def __str__(self) -> str:
        return f"{self.scene}, killed at {self.point}:{self.turn}"


class Zygote:
    """A warm process that forks one victim at a time."""

    def __init__(self, extension: Path | str) -> None:
        """``extension``: with named steps, or "pure"."""
        command = [sys.executable, victims.__file__, str(extension)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def bring_about(self, death: Death, name: str, ledger: Path, log: Path) -> bool:
        """Whether the victim died where it should; one that should not logs what it passes."""
        at = f"{death.point}:{death.turn}" if death.point else ""
        environment = {"SHMLANE_CRASH_AT": at} if at else {"SHMLANE_CRASH_LOG": str(log)}
        status = self._run(death.scene, name, ledger, **environment)
        assert status == 0 or (at and status == -9), f"the victim ended with {status}"
        return status == -9

    def _run(self, scene: str, name: str, ledger: Path, **environment: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([scene, name, str(ledger), environment]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


class Judged(Protocol):
    """What is around one victim, and how it fares after the victim's death."""

    log: Path

    def run(self, zygote: Zygote) -> bool:
        """Whether the victim died where it should."""


class World:
    """One queue around one victim, and what survivors and newcomers see in it."""

    def __init__(self, name: str, death: Death, folder: Path) -> None:
        self.name, self.death = name, death
        self.ledger, self.log = folder / f"{name}.ledger", folder / f"{name}.log"
        self.came: Counter[tuple[str, int]] = Counter()
        self.again = 0
        self.dropped = 0

    def run(self, zygote: Zygote) -> bool:
        """Whether the victim died where it should."""
        others = []
        if victims.SCENES[self.death.scene] not in victims.ALONE:
            rx = Consumer(self.name, CAPACITY, max_attempts=255)
            tx = Producer(self.name, wait_for_consumer=None)
            others = [rx, tx]
        died = zygote.bring_about(self.death, self.name, self.ledger, self.log)
        if others:
            self.transfer(tx, rx, "survivor", 16)
        with Consumer(self.name, max_attempts=255) as new_rx:
            with Producer(self.name, CAPACITY, wait_for_consumer=None) as new_tx:
                self.transfer(new_tx, new_rx, "newcomer", 8)
                for tx in others[1:]:
                    tx.close()
            while self.take(new_rx, PATIENCE):
                pass
            stat = new_rx.stat()
            assert stat["used"] == 0
            self.dropped = stat["dropped"]
            assert not self.dropped or victims.SCENES[self.death.scene] in victims.DROPPING
            for handle in others:
                handle.close()
        self.judge()
        assert left_over(self.name + ".") == []
        return died

    def transfer(self, tx: Producer, rx: Consumer, pusher: str, count: int) -> None:
        """All objects, past whatever the victim left behind."""
        end = time.monotonic() + PATIENCE
        for number in range(count):
            while True:
                try:
                    tx.push(make(pusher, number), 0)
                    break
                except Full:
                    assert time.monotonic() < end, "the ring stays full"
                    self.take(rx, 0.1)
        while not all((pusher, number) in self.came for number in range(count)):
            assert time.monotonic() < end, "an object does not come"
            self.take(rx, 0.1)

    def take(self, rx: Consumer, timeout: float) -> bool:
        try:
            lease = rx.acquire(timeout)
        except Empty:
            return True
        if lease is None:
            return False
        with lease:
            stamp = read(lease.object)
            if lease.attempt == 0:
                self.came[stamp] += 1
                assert self.came[stamp] == 1, f"{stamp} came twice without being a redelivery"
            else:
                self.came.setdefault(stamp, 0)
                self.again += 1
        return True

    def judge(self) -> None:
        tried, done, took, taking = set(), set(), set(), 0
        for line in self.ledger.read_text().splitlines() if self.ledger.exists() else ():
            word, *rest = line.split()
            if word == "taking":
                taking = int(rest[0])
                continue
            stamp = (rest[0], int(rest[1]))
            {"try": tried, "done": done, "took": took}[word].add(stamp)
            taking -= word == "took" and taking > 0
        invented = {stamp for stamp in self.came if stamp[0] in ("victim", "predecessor")} - tried
        assert not invented, f"{invented} came and nobody pushed them"
        missing = done - took - self.came.keys()
        assert len(missing) <= taking + self.dropped, f"lost: {missing}"


def run_worlds(
    deaths: list[Death], name: str, folder: Path, zygotes: list[Zygote], make_world: Callable[..., Any] = World
) -> Iterator[tuple[Death, Any, bool]]:
    """Runs one world for each death, some at once."""
    todo: queue.SimpleQueue[tuple[Death, Judged]] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Death, Judged, bool | BaseException]] = queue.SimpleQueue()
    for number, death in enumerate(deaths):
        todo.put((death, make_world(f"{name}-{len(deaths)}-{number}", death, folder)))

    def work(zygote: Zygote) -> None:
        while True:
            try:
                death, world = todo.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((death, world, world.run(zygote)))
            except BaseException as error:
                ended.put((death, world, error))

    threads = [threading.Thread(target=work, args=(zygote,)) for zygote in zygotes]
    for thread in threads:
        thread.start()
    try:
        for _ in deaths:
            death, world, outcome = ended.get()
            if isinstance(outcome, BaseException):
                raise AssertionError(f"{death}: {outcome!r}") from outcome
            yield death, world, outcome
    finally:
        while not todo.empty():
            try:
                todo.get_nowait()
            except queue.Empty:
                break
        for thread in threads:
            thread.join()


@pytest.fixture
def zygotes() -> Iterator[list[Zygote]]:
    extensions = list(FOLDER.glob("_native*.so"))
    assert extensions, f"there is no extension with named steps in {FOLDER}: make build-crash-py"
    started = [Zygote(extensions[0]) for _ in range(AT_ONCE)]
    yield started
    for zygote in started:
        zygote.close()


def test_wherever_a_native_process_dies_the_others_finish_a_checked_transfer(
    name: str, backend: ModuleType, tmp_path: Path, zygotes: list[Zygote], capsys: pytest.CaptureFixture[str]
) -> None:
    points = points_in_the_sources()
    deaths = []
    seen: Counter[str] = Counter()
    for life, world, died in run_worlds([Death(scene) for scene in victims.SCENES], name, tmp_path, zygotes):
        assert not died
        passes = Counter(world.log.read_text().split())
        assert passes.keys() <= points
        for point, count in passes.items():
            for turn in sorted({1, count}):
                seen[point] += 1
                if seen[point] <= 5:
                    deaths.append(Death(life.scene, point, turn))
    begin = time.monotonic()
    fatal, died_at_all, again = set(), 0, 0
    for death, world, died in run_worlds(deaths, name, tmp_path, zygotes):
        died_at_all += died
        again += world.again
        if died:
            fatal.add(death.point)
    with capsys.disabled():
        print(
            f"\nnamed steps in Python, survived on {backend.__name__}: {len(points)} points, {len(fatal)} killed at, "
            f"{died_at_all} deaths of {len(deaths)} tried in {len(victims.SCENES)} scenes, {again} redelivered "
            f"(declared), {time.monotonic() - begin:.0f} s; "
            f"not passed: {', '.join(sorted(points - seen.keys())) or 'none'}"
        )
    assert fatal == seen.keys()
    assert len(fatal) >= LEAST_POINTS
