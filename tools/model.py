#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the models of wire-format/model with spin: each configuration must hold, each mutation must fail."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "wire-format" / "model"
MEMORY_MB = 3500  # for one run; two at a time stay below 8 GB
DEPTH = 1_000_000
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Run:
    model: str
    flags: str
    about: str
    quick: bool = False  # part of `make test`

    @property
    def name(self) -> str:
        return f"{self.model} {self.flags}".strip()


# Two producers, two consumers, three frames and two deaths wherever the flags do not say otherwise.
HOLDS = [
    Run("ring", "", "the ring as it is"),
    Run("ring", "-DMAXD=1", "one death", quick=True),
    Run("ring", "-DE2=3", "a frame as long as the body: start again at the beginning (W-53)"),
    Run("ring", "-DWINDOW", "windows: at the beginning again whenever nothing is in use (W-53)"),
    Run("ring", "-DWINDOW -DOLDEST -DBATCH -DE2=1", "the same with batches and oldest leases"),
    Run("ring", "-DABORT", "reservations are given back (W-49)"),
    Run("ring", "-DOLDEST", "tail jumps over what lies before every oldest lease (W-51, W-57)"),
    Run("ring", "-DOLDEST -DMAXD=1", "the same with one death", quick=True),
    Run("ring", "-DOLDEST -DBATCH -DE2=1", "batches of reservations and leases (W-54, W-57)"),
    Run("ring", "-DDROP", "drop_oldest (W-47)"),
    Run("ring", "-DOLDEST -DTWO", "two leases at a time, given back in any order (W-59)"),
    Run("ring", "-DCLOSE", "handles that close while they still hold a reservation (W-10)"),
    Run("ring", "-DMAXA=1", "a lease is not redelivered (W-41)"),
    Run("ring", "-DK=0 -DBATCH -DE2=1", "the list of skipped positions is full at once (W-55)"),
    Run("ring", "-DFINE -DMAXD=1 -DN0=1", "every store a step of its own"),
    Run("ring", "-DTWO_LOOKS", "a look for the dead long before the locks (W-42)"),
    Run("ring", "-DTABLE -DHANDOVER -DMAXD=0", "the table read entry by entry, producers take turns (W-46)"),
    Run("lock", "", "locks that are left to their owners (W-36 to W-39): three of them, two deaths"),
    Run("lock", "-DN=2", "two of them", quick=True),
    Run("wake", "", "sleeping and waking by membarrier (W-32)"),
    Run("wake", "-DNP=1 -DK=1", "one publisher", quick=True),
    Run("wake", "-DFULL_FENCE", "by fences"),
    Run("wake", "-DMAXD=1 -DSLICES=2 -DK=1", "a death costs a slice, or two in a row (W-33)"),
    Run("wake", "-DMAXD=2 -DSLICES=2 -DK=1 -DLEAVES=0", "two deaths"),
    Run("stream", "", "a stream's writers and readers, every order that fences allow (W-126, W-127): three slots"),
    Run("stream", "-DSLOTS=4 -DWRITES=4", "four slots", quick=True),
    Run("stream", "-DMAXD=2 -DREADS=3", "three slots, two deaths"),
    Run("bell", "", "bells (W-121, W-122): two ringers, two sleepers, a death", quick=True),
    Run("life", "", "names and segments (section 7)"),
    Run("life", "-DMAXD=1 -DROUNDS=1", "each comes once", quick=True),
]
FAILS = [
    Run("ring", "-DBUG_HEAD_FIRST", "head is published before the frame's header (W-54)", quick=True),
    Run("ring", "-DBUG_READY_EARLY", "READY before the payload is written (W-48)"),
    Run("ring", "-DBUG_NO_REPAIR", "who takes consumers_lock over repairs nothing (W-38)"),
    Run("ring", "-DBUG_PAST_READ", "tail passes read (W-51)"),
    Run("ring", "-DE2=3 -DBUG_NO_HELP", "producers without room do not help (W-52)"),
    Run("ring", "-DE2=3 -DBUG_THREE_STORES", "starting again by three stores (W-53)"),
    Run("ring", "-DBATCH -DE2=1 -DBUG_NO_SECOND_LOOK", "no second look (W-56)"),
    Run("ring", "-DBATCH -DE2=1 -DBUG_ONE_SECOND_LOOK", "only one second look (W-56)"),
    Run("ring", "-DBUG_CURSOR_FIRST", "the cursor moves before the control word says LEASED (W-57)"),
    Run("ring", "-DBUG_RELEASE_EARLY", "the payload is read after the release (W-59)"),
    Run("ring", "-DBUG_READY_FIRST", "redelivery: READY before read is set back (W-43)"),
    Run("ring", "-DTWO_LOOKS -DBUG_STALE_REAP", "reaping without looking again under the locks (W-42)"),
    Run("ring", "-DTWO_LOOKS -DBUG_NO_GENERATION", "reaping without comparing generations (W-42)"),
    Run("ring", "-DBUG_FREE_BYTE", "an entry is taken before it was reaped (W-13)"),
    Run("ring", "-DBUG_END_DEAD", "the end of stream is seen while somebody waits to be reaped (W-46)", quick=True),
    Run("ring", "-DCLOSE -DBUG_END_RESERVED", "the end of stream is seen while a frame is RESERVED (W-46)"),
    Run("ring", "-DBUG_UNLOCKED_LOOK", "the last look for the end takes no lock (W-46)"),
    Run("ring", "-DTABLE -DHANDOVER -DMAXD=0 -DBUG_NO_EPOCH", "the end is seen in a table that changed (W-46)"),
    Run("ring", "-DOLDEST -DBUG_OLDEST_AFTER_LEASE", "the oldest lease is stored after read (W-57)", quick=True),
    Run("ring", "-DOLDEST -DBUG_OLDEST_FIRST", "the oldest leases are loaded before read (W-51)"),
    Run("ring", "-DOLDEST -DTWO -DBUG_OLDEST_RAISED", "the oldest lease is raised beyond another one (W-57)"),
    Run("lock", "-DBUG_NO_BARRIER", "the newcomer imposes no barrier (W-39)", quick=True),
    Run("lock", "-DBUG_NO_SECOND_LOOK", "the owner enters without looking at the word again (W-39)"),
    Run("lock", "-DBUG_NO_BARRIER_FROM_DEAD", "the heir of a dead newcomer neither imposes a barrier nor looks (W-39)"),
    Run("lock", "-DBUG_GIVE_UP_FREES", "who gives up stores 0 instead of what it found (W-39)"),
    Run("lock", "-DBUG_DEAD_BUSY_FORGOTTEN", "an owner that died inside is overlooked (W-39)"),
    Run("lock", "-DBUG_CLEAR_EARLY", "flags of the dead are cleared while a living one's is 1 (W-39)"),
    Run("wake", "-DNP=1 -DK=1 -DBUG_NO_BARRIER", "no barrier before the sleep (W-32)", quick=True),
    Run("wake", "-DFULL_FENCE -DBUG_NO_FENCE", "a publisher without a fence where there is no membarrier (W-32)"),
    Run("wake", "-DBUG_LOOK_FIRST", "the last look comes before the announcement (W-33)"),
    Run("wake", "-DBUG_NO_TAKE_BACK", "announcements are not taken back: tokens pile up (W-34)"),
    Run("wake", "-DBUG_NO_DEBT", "a token on its way is forgotten (W-35)"),
    Run("stream", "-DBUG_NO_WRITER_FENCE", "a writer without its fence (W-126)", quick=True),
    Run("stream", "-DBUG_NO_READER_FENCE", "a reader without its fence (W-127)", quick=True),
    Run("stream", "-DBUG_TOO_LATE", "a reader that allows one more write (W-127)"),
    Run("stream", "-DBUG_PUBLISH_EARLY", "the count is not stored with release (W-126)"),
    Run("bell", "-DBUG_NO_BARRIER", "a sleeper without the barrier (W-121)", quick=True),
    Run("bell", "-DBUG_LOOK_FIRST", "the last look comes before the bell is odd (W-121)"),
    Run("bell", "-DBUG_NOT_EVEN", "a bell that is rung without being changed (W-122)"),
    Run("life", "-DBUG_NO_CHECK", "nobody looks whether the name still leads to the file (W-72)"),
    Run("life", "-DBUG_STATE_FIRST", "the state is stored before the header (W-74)"),
    Run("life", "-DBUG_STALE_EARLY", "stale is judged before the lock (W-76)"),
    Run("life", "-DBUG_LAST_CONSUMER", "the last consumer removes the segment (W-78)"),
]


@dataclass(frozen=True)
class Result:
    states: int
    errors: int
    complete: bool
    seconds: float
    said: str


def check(run: Run) -> Result:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shmlane-model-") as folder:
        shutil.copy(MODELS / f"{run.model}.pml", folder)

        def call(*command: str) -> str:
            done = subprocess.run(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
            )
            return done.stdout

        said = call("spin", "-a", *run.flags.split(), f"{run.model}.pml")
        said += call(
            "gcc",
            "-O2",
            "-w",
            "-DSAFETY",
            "-DCOLLAPSE",
            "-DVECTORSZ=2048",
            f"-DMEMLIM={MEMORY_MB}",
            "-o",
            "pan",
            "pan.c",
        )
        said += call("timeout", str(PATIENCE_SECONDS), "./pan", f"-m{DEPTH}", "-n")
    states = re.search(r"(\d+) states, stored", said)
    errors = re.search(r"errors: (\d+)", said)
    cut_short = re.search(r"Search not completed|max search depth too small|out of memory|reached -DMEMLIM", said)
    return Result(
        int(states[1]) if states else 0,
        int(errors[1]) if errors else 0,
        bool(states and errors) and not cut_short,
        time.monotonic() - started,
        said,
    )


def judge(run: Run, must_hold: bool) -> tuple[bool, int]:
    result = check(run)
    right = result.complete and not result.errors if must_hold else result.errors > 0
    verdict = ("holds" if right else "DOES NOT HOLD") if must_hold else ("caught" if right else "NOT CAUGHT")
    print(
        f"model: {verdict:8} {result.seconds:6.1f} s {result.states:>11,} states  {run.name}: {run.about}", flush=True
    )
    if not right:
        print(result.said[-3000:], flush=True)
    return right, result.states


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only the part that `make test` runs")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="how many run at a time")
    arguments = parser.parse_args()
    if not shutil.which("spin"):
        print("spin is not installed (Debian package: spin)", file=sys.stderr)
        return 1
    started = time.monotonic()
    holds = [run for run in HOLDS if run.quick or not arguments.quick]
    fails = [run for run in FAILS if run.quick or not arguments.quick]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        verdicts = [pool.submit(judge, run, True) for run in holds]
        mutations = [pool.submit(judge, run, False) for run in fails]
        held = [verdict.result() for verdict in verdicts]
        caught = [mutation.result() for mutation in mutations]
    print(
        f"model: {sum(right for right, _ in held)} of {len(held)} configurations verified, "
        f"{sum(states for _, states in held):,} states, "
        f"{sum(right for right, _ in caught)} of {len(caught)} mutations caught, {time.monotonic() - started:.0f} s"
    )
    return 0 if all(right for right, _ in held + caught) else 1


if __name__ == "__main__":
    sys.exit(main())
