# SPDX-License-Identifier: Apache-2.0
"""Kill participants at random for a while: everybody else must go on, and every committed object be accounted for.

Rounds of a few seconds, each with a queue of its own: four producers, four consumers, and every few milliseconds one
of them is killed (SIGKILL, SIGTERM, os._exit) or stopped for a moment, and replaced.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from shmlane import _native as native
from shmlane.errors import NotFound

from ..implementations import ALL
from .accounts import Totals
from .crew import Crew, Mix, StuckError

KIB, MIB = 1 << 10, 1 << 20
ROUND_SECONDS = 2.5
WATCHDOG_SECONDS = 10.0  # ten times the promise
PROMISE_SECONDS = 1.0


def mixes(who: Sequence[str], victims: Sequence[str]) -> list[Mix]:
    in_order, struck = tuple(who), tuple(victims)
    return [
        Mix("small objects", in_order, (KIB,), 256 * KIB, 255, struck),
        Mix("objects of 1 MiB", in_order, (MIB,), 4 * MIB + 8192, 255, struck),
        Mix("small objects in a tiny ring", in_order, (200, 400), 8 * KIB, 3, struck),
        Mix("small objects and such of 1 MiB, one attempt", in_order[::-1], (KIB, KIB, MIB), 8 * MIB, 1, struck),
    ]


class Soak:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.totals = Totals()
        self.signals: Counter[str] = Counter()
        self.rounds = self.deaths = 0
        self.longest_gap = 0.0

    def round(self, mix: Mix, seconds: float, folder: Path) -> None:
        self.rounds += 1
        queue = f"soak-{os.getpid()}-{self.rounds}"
        crew = Crew(queue, mix, folder, self._random)
        # Lays the ring out; what the others need of a first comer is tested elsewhere.
        native.Producer(queue, capacity=mix.capacity, unlink=False).close()
        try:
            self._kill_for(seconds, crew)
            crew.finish(WATCHDOG_SECONDS, self._random.choice([signal.SIGTERM, signal.SIGKILL]))
            crew.bury_all()
            totals = self._settle(crew, queue)
        except StuckError as stuck:
            show(queue, crew)
            totals = Totals(faults=[f"{mix.name}: {stuck}"])
        finally:
            crew.bury_all()
            native.remove_segment(queue, force=True)
        totals.faults += [f"{mix.name}: {fault}" for fault in crew.faults]
        self.totals.add(totals)
        self.signals += crew.signals
        self.deaths += crew.deaths
        self.longest_gap = max(self.longest_gap, crew.longest_gap_ns / 1e9)
        languages = " and ".join(mix.implementations)
        print(
            f"  {self.rounds:3}  {mix.name}, {languages}: {crew.deaths} deaths, {totals.committed:,} objects, "
            f"{totals.redelivered} redelivered, longest gap {crew.longest_gap_ns / 1e6:.0f} ms",
            flush=True,
        )

    def _kill_for(self, seconds: float, crew: Crew) -> None:
        for role, place in itertools.product(["consume", "produce"], range(4)):
            crew.start(role, place)
        started = time.monotonic()
        next_strike = started
        while (now := time.monotonic()) < started + seconds:
            crew.look_after()
            if not crew.running and now < started + WATCHDOG_SECONDS:
                continue
            if not crew.running or crew.stuck_for > WATCHDOG_SECONDS:
                raise StuckError(f"no progress for {WATCHDOG_SECONDS:.0f} s")
            if now >= next_strike:
                crew.strike()
                # Mostly a few milliseconds, sometimes long enough that everybody comes to rest.
                next_strike = now + min(0.3, self._random.lognormvariate(-6, 1.2))
            time.sleep(0.0005)

    def _settle(self, crew: Crew, queue: str) -> Totals:
        facts = native.inspect_segment(queue)
        totals = crew.accounts.settle(facts["dropped"])
        if facts["objects"] or facts["used"] or facts["participants"]:
            totals.faults.append(f"after the end there are {facts}")
        if totals.redelivered > facts["redelivered"]:
            totals.faults.append(f"{totals.redelivered} redeliveries came, {facts['redelivered']} were counted")
        return totals

    def summary(self) -> str:
        totals = self.totals
        signals = ", ".join(f"{count} {name}" for name, count in self.signals.most_common())
        return (
            f"random kills: {self.deaths} kills survived in {self.rounds} rounds ({signals}); "
            f"{totals.committed:,} objects committed, {totals.lost} lost, {totals.duplicated} duplicated undeclared, "
            f"{totals.redelivered} redelivered (declared), {totals.dropped} dropped after max_attempts; "
            f"longest recovery {self.longest_gap:.3f} s"
        )

    def verdict(self, judge: bool) -> list[str]:
        faults = list(self.totals.faults)
        if self.totals.lost:
            faults.append(f"{self.totals.lost} objects were lost")
        if self.totals.duplicated:
            faults.append(f"{self.totals.duplicated} objects were delivered twice without saying so")
        if judge and self.longest_gap > PROMISE_SECONDS:
            faults.append(f"the others stood still for {self.longest_gap:.3f} s, longer than {PROMISE_SECONDS} s")
        return faults


def show(queue: str, crew: Crew) -> None:
    """What a stuck round looks like, for whoever must find out why."""
    try:
        print(native.inspect_segment(queue), file=sys.stderr)
    except NotFound as error:
        print(error, file=sys.stderr)
    for one in crew.workers:
        words = list(one.ledger.words)
        state = Path(f"/proc/{one.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        print(f"worker {one.number} {one.role} process {one.pid} state {state} ledger {words}", file=sys.stderr)


def temporary_semaphores() -> set[Path]:
    """What a death inside glibc's sem_open leaves behind: a file without a name that anybody knows."""
    return {path for path in Path("/dev/shm").glob("sem.*") if "shmlane." not in path.name}


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="of killing, in all")
    parser.add_argument("--languages", nargs="+", choices=ALL, help="who shares a queue; by default each, then all")
    parser.add_argument("--victims", nargs="+", choices=ALL, default=ALL, help="whose processes are killed")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--judge", action="store_true", help="fail if the others stood still for longer than promised")
    asked = parser.parse_args()
    chosen = [asked.languages] if asked.languages else [*((one,) for one in ALL), ALL]
    groups = zip(*(mixes(who, asked.victims) for who in chosen), strict=True)
    rounds = itertools.cycle([mix for group in groups for mix in group])
    before = temporary_semaphores()
    soak = Soak(asked.seed)
    print(f"random kills, seed {asked.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="shmlane-soak-"))
    end = time.monotonic() + asked.seconds
    try:
        while time.monotonic() < end and not soak.verdict(False):
            soak.round(next(rounds), min(ROUND_SECONDS, asked.seconds / 4), folder)
    finally:
        shutil.rmtree(folder)
    left = temporary_semaphores() - before
    for path in left:
        path.unlink(missing_ok=True)
    print(soak.summary())
    if left:
        print(f"{len(left)} temporary files of glibc's sem_open were left behind, and removed")
    faults = soak.verdict(asked.judge)
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
