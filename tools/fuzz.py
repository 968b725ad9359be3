#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run every fuzzer of a build folder for its share of the time, on a corpus that begins with the vectors."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "wire-format" / "vectors" / "v1"
FOUND = ROOT / "tests" / "fuzz" / "found"  # inputs that broke something once: FOUND/TARGET/*
FRAME = struct.Struct("<24xQLL")  # payload_size, metadata_size, payload_offset
# libFuzzer takes more for an endless loop. Locks that seem to be held by the living are waited for, some seconds at
# each step of attaching and leaving: 16 s in all were seen.
SECONDS_PER_INPUT = 45
GRACE = 120


@dataclass(frozen=True)
class Outcome:
    target: str
    executions: int
    crashed: bool
    log: str


def frame_seeds() -> Iterator[bytes]:
    """Vectors of frames as fuzz_frame.cpp reads them, as they are."""
    for path in sorted(VECTORS.glob("frame/*/*.bin")):
        facts = json.loads(path.with_suffix(".json").read_text())
        yield b"\0" + struct.pack("<QQ", int(facts["segment_id"], 16), int(facts["position"], 16)) + path.read_bytes()


def stdio_seeds() -> Iterator[bytes]:
    for path in sorted(VECTORS.glob("stdio/*/*.bin")):
        yield b"\0" + path.read_bytes()


def object_seeds(target: str) -> Iterator[bytes]:
    """Metadata and payload of the frames that hold an object of the target's type."""
    wanted = target.removeprefix("codec_")
    for path in sorted(VECTORS.glob("frame/*/*.bin")):
        facts = json.loads(path.with_suffix(".json").read_text())
        if facts.get("stage", "object") != "object":
            continue
        frame = path.read_bytes()
        payload_size, metadata_size, payload_offset = FRAME.unpack_from(frame)
        metadata = frame[FRAME.size : FRAME.size + metadata_size]
        if wanted in ("codec", "custom") or json.loads(metadata)["type"] == wanted:
            yield metadata + b"\n" + frame[payload_offset : payload_offset + payload_size]


def seeds(target: str) -> Iterator[bytes]:
    if target == "frame":
        yield from frame_seeds()
    elif target == "stdio":
        yield from stdio_seeds()
    elif target.startswith("codec"):
        yield from object_seeds(target)
    for path in sorted(FOUND.glob(f"{target}/*")):
        yield path.read_bytes()


def words(target: str, folder: Path) -> list[str]:
    """A dictionary of what codecs look for."""
    if not target.startswith("codec"):
        return []
    texts = set(re.findall(r"[a-zA-Z0-9_<>|]{2,20}", b"".join(object_seeds("codec")).decode(errors="replace")))
    path = folder / f"dictionary-{target}"
    path.write_text("".join(f'"{text}"\n' for text in sorted(texts)))
    return [f"-dict={path}"]


def remove_left_over(pid: int) -> None:
    """What a fuzzer that was killed leaves in /dev/shm."""
    for path in Path("/dev/shm").glob(f"*shmlane.fuzz-{pid}*"):
        path.unlink(missing_ok=True)


def call(command: list[str | Path], patience: float) -> tuple[int, str]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        log = process.communicate(timeout=patience)[1]
        return process.returncode, log
    except subprocess.TimeoutExpired:
        process.kill()
        return 1, process.communicate()[1] + "\nkilled: it did not end"
    finally:
        remove_left_over(process.pid)


def only_slow(binary: Path, crashes: Path) -> bool:
    """Whether all that was found are time-outs that do not come again: its clock runs while the machine stands."""
    found = list(crashes.iterdir())
    if not found or any(not path.name.startswith("timeout-") for path in found):
        return False
    if any(call([binary, f"-timeout={SECONDS_PER_INPUT}", path], GRACE)[0] for path in found):
        return False
    for path in found:
        path.unlink()
    return True


def run(binary: Path, seconds: float, folder: Path) -> Outcome:
    target = binary.name.removeprefix("fuzz_")
    corpus, crashes = folder / "corpus" / target, folder / "crashes" / target
    for path in (corpus, crashes):
        path.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds(target)):
        (corpus / f"seed-{i:03}").write_bytes(seed)
    options = [f"-timeout={SECONDS_PER_INPUT}", "-rss_limit_mb=2048", "-print_final_stats=1"]
    options += ["-max_len=65536" if target == "stdio" else "-max_len=8192", *words(target, folder)]
    executions, end = 0, time.monotonic() + seconds
    while True:
        left = max(1, round(end - time.monotonic()))
        status, log = call(
            [binary, f"-max_total_time={left}", *options, f"-artifact_prefix={crashes}/", corpus], left + GRACE
        )
        done = re.search(r"number_of_executed_units: (\d+)", log)
        executions += int(done[1]) if done else 0
        crashed = status != 0 and not only_slow(binary, crashes)
        if crashed or not status or time.monotonic() > end:
            return Outcome(target, executions, crashed or not done, log)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path, help="the folder with the fuzzers")
    parser.add_argument("--seconds", type=float, default=600, help="for all of them together")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many run at a time")
    parser.add_argument("--only", help="a regular expression that the names of targets match")
    arguments = parser.parse_args()
    binaries = [
        path
        for path in sorted((arguments.build / "tests" / "fuzz").glob("fuzz_*"))
        if os.access(path, os.X_OK) and path.is_file() and re.search(arguments.only or "", path.name)
    ]
    if not binaries:
        print(f"there are no fuzzers in {arguments.build}", file=sys.stderr)
        return 1
    started = time.monotonic()
    folder = arguments.build / "fuzzing"
    shutil.rmtree(folder / "crashes", ignore_errors=True)
    share = arguments.seconds * arguments.jobs / len(binaries)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(lambda binary: run(binary, share, folder), binaries))
    for outcome in outcomes:
        print(f"fuzz: {outcome.target:14} {outcome.executions:>10,} executions{' CRASHED' * outcome.crashed}")
        if outcome.crashed:
            print("\n".join(outcome.log.splitlines()[-60:]))
    crashes = sum(outcome.crashed for outcome in outcomes)
    total = sum(outcome.executions for outcome in outcomes)
    print(
        f"fuzz: {len(outcomes)} targets, {total:,} executions, {crashes} crashes, {time.monotonic() - started:.0f} s"
        + (f"; inputs are in {folder / 'crashes'}" if crashes else "")
    )
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
