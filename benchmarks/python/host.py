# SPDX-License-Identifier: Apache-2.0
"""Starts the Python workers of one measurement and keeps them until it is told to end them.

The twin of cpp/main.cpp; takes the same words: host.py peers | host.py JSON
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from peer import Peer, Setup

# The build folder of the meter is named by the driver.
sys.path.insert(0, os.environ.get("SHMLANE_BENCH_BUILD", str(Path(__file__).parents[2] / "build/bench/benchmarks/cpp")))

import bench_meter

from roles import ROLES, Task

PEERS = {  # module and class by name
    "shmlane": ("shmlane_queue", "ShmlaneQueue"),
    "stdio": ("pipes", "Stdio"),
    "pipe": ("pipes", "RawPipe"),
    "mp.Queue": ("multiprocessing_queues", "Queue"),
    "mp.SimpleQueue": ("multiprocessing_queues", "SimpleQueue"),
    "mp.Pipe": ("multiprocessing_queues", "Pipe"),
    "pyzmq": ("zeromq", "Zeromq"),
    "faster-fifo": ("fifo", "FasterFifo"),
    "iceoryx2": ("iceoryx", "Iceoryx2"),
    "stream": ("shmlane_stream", "PingPong"),
    "stream-copy": ("shmlane_stream", "WriteAndRead"),
    "stream-copy-new": ("shmlane_stream", "WriteAndReadNew"),
    "stream-product": ("shmlane_stream", "Pipeline"),
    "pyshmem": ("pyshmem_stream", "PingPong"),
    "pyshmem-copy": ("pyshmem_stream", "WriteAndRead"),
    "pyshmem-copy-new": ("pyshmem_stream", "WriteAndReadNew"),
    "pyshmem-product": ("pyshmem_stream", "Pipeline"),
    "two-copies": ("streams", "TwoCopies"),
    "two-shared-copies": ("streams", "TwoSharedCopies"),
    "plain-product": ("streams", "PlainProduct"),
    "copied-product": ("streams", "CopiedProduct"),
}
_PR_SET_PDEATHSIG = 1
FIELDS = {field.name for field in dataclasses.fields(Setup)}


def load(name: str) -> type[Peer]:
    module, kind = PEERS[name]
    loaded: type[Peer] = getattr(importlib.import_module(f"peers.{module}"), kind)
    return loaded


def missing() -> dict[str, str]:
    """Why a peer is not there, by name; empty for one that is."""
    why = dict.fromkeys(PEERS, "")
    for name in PEERS:
        try:
            load(name)
        except Exception as error:  # whatever keeps a foreign package from being imported
            why[name] = f"{type(error).__name__}: {error}"
    return why


def start(ask: dict[str, Any], worker: dict[str, Any], away: Peer, back: Peer | None) -> int:
    if pid := os.fork():
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        bench_meter.attach(ask["board"], worker["meter"], worker["core"])
        ROLES[worker["role"]](Task(away, back, worker["index"], ask.get("pause_ns", 0), ask.get("burst", 1)))
    except BaseException:
        # One line, the last of the traceback, is what the driver shows.
        traceback.print_exc()
    os._exit(1)


def host(ask: dict[str, Any]) -> int:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # the driver's death ends this, too
    awaited = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    kind = load(ask["peer"])
    setup = Setup(**{name: value for name, value in {"least": ask.get("most", 64), **ask}.items() if name in FIELDS})
    away = kind(setup)
    back = kind(dataclasses.replace(setup, name=f"{setup.name}-back")) if ask["echoes"] else None
    both = [peer for peer in (away, back) if peer is not None]
    if ask["makes"]:
        for peer in both:
            peer.create()
        signal.pthread_sigmask(signal.SIG_BLOCK, awaited)  # multiprocessing's resource tracker lets them through
    pids = [start(ask, worker, away, back) for worker in ask["workers"]]
    got = signal.sigwait(awaited)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    if ask["makes"]:
        for peer in both:
            peer.remove()
    return 1 if got == signal.SIGCHLD else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["peers"]:
        print(json.dumps(missing()))
    else:
        # Not by sys.exit: what peers registered to be done at the end is not for this process.
        status = host(json.loads(sys.argv[1]))
        sys.stderr.flush()
        os._exit(status)
