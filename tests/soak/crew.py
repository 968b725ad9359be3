# SPDX-License-Identifier: Apache-2.0
"""Four producers and four consumers of one queue, each replaced as soon as it ends, however it ends."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ..implementations import BUILD
from . import worker
from .accounts import Accounts
from .ledger import DONE, FINISH, MOVED_NS, STARTED, Ledger

CPP_WORKER = BUILD / "tests/soak/shmlane_soak_worker"
RECORDS = 1 << 19  # per consumer: one that has filled its ledger leaves and is replaced


@dataclass(frozen=True)
class Mix:
    """What a round is made of. ``implementations``: of the four workers of each role, and of their replacements."""

    name: str
    implementations: tuple[str, ...]
    sizes: tuple[int, ...]  # bytes of the largest object, by producer
    capacity: int
    max_attempts: int
    victims: tuple[str, ...]  # implementations whose workers are struck


class StuckError(Exception):
    """Somebody made no progress for as long as the watchdog allows."""


@dataclass
class Worker:
    role: str
    implementation: str
    place: int  # among those of its role: its replacement has the same
    number: int
    pid: int
    ledger: Ledger
    path: Path
    signals: set[int]
    resume_at: float = 0.0  # when it is stopped


class Crew:
    def __init__(self, queue: str, mix: Mix, folder: Path, random: Random) -> None:
        self._queue, self._mix, self._folder, self._random = queue, mix, folder, random
        self._numbers = 0
        self._finishing = False
        self.workers: list[Worker] = []
        self.unwaited: list[Worker] = []  # dead, replaced, and still a zombie
        self.accounts = Accounts()
        self.signals: Counter[str] = Counter()
        self.deaths = 0
        self.faults: list[str] = []
        self._moved = {"produce": 0, "consume": 0}
        self.longest_gap_ns = 0

    def start(self, role: str, place: int) -> None:
        """Replace whoever had this place."""
        self._numbers += 1
        number, path = self._numbers, self._folder / f"{self._queue}-{self._numbers}"
        ledger = Ledger(path, RECORDS if role == "consume" else 0)
        ledger.words[FINISH] = self._finishing
        limit = self._mix.sizes[place % len(self._mix.sizes)] if role == "produce" else self._mix.max_attempts
        implementation = self._mix.implementations[place % len(self._mix.implementations)]
        if implementation == "cpp":
            words = [str(CPP_WORKER), role, self._queue, str(path), str(number), str(limit)]
            pid = os.posix_spawn(words[0], words, os.environ)
        else:
            pid = os.fork()
            if pid == 0:
                os._exit(worker.run(implementation, role, self._queue, path, number, limit))
        self.workers.append(Worker(role, implementation, place, number, pid, ledger, path, set()))

    def strike(self) -> None:
        """Something happens to one of them: mostly death."""
        exposed = [one for one in self.workers if one.implementation in self._mix.victims]
        if not exposed:
            return
        one = self._random.choice(exposed)
        number = self._random.choices(
            [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGSTOP], weights=[70, 8, 8, 14]
        )[0]
        self.signal(one, number)
        if number == signal.SIGSTOP:
            one.resume_at = time.monotonic() + self._random.uniform(0.001, 0.05)

    def signal(self, one: Worker, number: signal.Signals) -> None:
        os.kill(one.pid, number)
        one.signals.add(number)
        self.signals["os._exit" if number == signal.SIGUSR1 else number.name] += 1

    def look_after(self) -> None:
        """Wake who was stopped long enough, replace who ended, and note who has made progress."""
        now = time.monotonic()
        for one in self.workers:
            if one.resume_at and now >= one.resume_at:
                os.kill(one.pid, signal.SIGCONT)
                one.resume_at = 0.0
        # Looked at without waiting for them: a zombie stays one for a while beside its replacement.
        for one in [one for one in self.workers if ended(one.pid)]:
            self.workers.remove(one)
            self.unwaited.append(one)
            if not self._finishing:
                self.start(one.role, one.place)
        while self.unwaited and (len(self.unwaited) > 8 or self._random.random() < 0.3):
            self._bury(self.unwaited.pop(0))
        self._note_progress()

    def _bury(self, one: Worker) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(one.pid, 0)[1])
        orderly = status == 0
        expected = orderly or -status in one.signals or (status == 3 and signal.SIGUSR1 in one.signals)
        self.deaths += not orderly
        if not expected:
            self.faults.append(f"worker {one.number} ({one.role}) ended with {status}")
        if one.role == "produce":
            self.accounts.producer(one.number, one.ledger.words[DONE], one.ledger.words[STARTED])
        else:
            self.accounts.consumer(one.ledger.records(), orderly)
        one.ledger.close()
        one.path.unlink()

    def _note_progress(self) -> None:
        for role, before in self._moved.items():
            now = max([before, *(one.ledger.words[MOVED_NS] for one in self.workers if one.role == role)])
            if before:
                gap = (now if now > before else time.monotonic_ns()) - before
                self.longest_gap_ns = max(self.longest_gap_ns, gap)
            self._moved[role] = now

    @property
    def stuck_for(self) -> float:
        """Seconds since the side that is further behind has made progress."""
        return (time.monotonic_ns() - min(self._moved.values())) / 1e9

    @property
    def running(self) -> bool:
        """Whether both sides have made progress at all."""
        return all(self._moved.values())

    def finish(self, patience: float, end: signal.Signals) -> None:
        """End the stream: producers by ``end``, consumers by reaching its end, and all of them by themselves."""
        self._finishing = True
        deadline = time.monotonic() + patience
        for one in self.workers:
            one.ledger.words[FINISH] = 1
            os.kill(one.pid, signal.SIGCONT)
            one.resume_at = 0.0
            if one.role == "produce":
                self.signal(one, end)
        self._end_all(deadline)
        # What the last of the dead held comes back now.
        self.start("consume", 0)
        self._end_all(deadline)

    def _end_all(self, deadline: float) -> None:
        while self.workers:
            self.look_after()
            if time.monotonic() > deadline:
                raise StuckError(f"{[(one.number, one.role) for one in self.workers]} did not see the end of stream")
            # Producers may need room in order to end.
            if {one.role for one in self.workers} == {"produce"}:
                self.start("consume", 0)
            time.sleep(0.001)

    def bury_all(self) -> None:
        for one in self.workers:
            self.signal(one, signal.SIGKILL)
        while self.workers or self.unwaited:
            self._bury((self.workers or self.unwaited).pop(0))


def ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
