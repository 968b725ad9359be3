# SPDX-License-Identifier: Apache-2.0
"""What is measured: cases, and in each of them who competes. All of it is data; goals.py says what is to be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

KIB, MIB = 1 << 10, 1 << 20

SIZES: dict[str, dict[str, int]] = {
    "64 B": {"most": 64},
    "256 B": {"most": 256},
    "4 KiB": {"most": 4 * KIB},
    "64 KiB": {"most": 64 * KIB},
    "1 MiB": {"most": MIB},
    "512 KiB-5 MiB": {"least": 512 * KIB, "most": 5 * MIB},
}
SMALL = ("64 B", "256 B")
LARGE = "512 KiB-5 MiB"
MORE_ROUNDS = 5  # where what is to be reached lies close to a limit

CPP = ("cpp", "cpp")
PYTHON = ("python", "python")
PURE = ("pure", "pure")  # Python on the backend without an extension


@dataclass(frozen=True)
class Contender:
    """One who competes in a case. ``ours`` gets a row of the table; ``limit`` is no peer but a yardstick."""

    name: str
    peer: str
    languages: tuple[str, str] = CPP
    options: dict[str, Any] = field(default_factory=dict)
    ours: bool = False
    limit: bool = False
    kind: str | None = None  # if other than the case's


@dataclass(frozen=True)
class Case:
    """One comparison. ``figures`` are the keys of a result that it is about, the first the most important."""

    name: str
    group: str
    kind: str
    figures: tuple[str, ...]
    contenders: tuple[Contender, ...]
    options: dict[str, Any] = field(default_factory=dict)
    shape: tuple[int, int] = (1, 1)
    seconds: float | None = None  # a time of its own per round
    rounds: int = 3
    quick: bool = False  # part of a quick run, too


def cpp(name: str, **options: Any) -> Contender:
    return Contender(name, name, options=options)


def ours(variant: str = "", languages: tuple[str, str] = CPP, **options: Any) -> Contender:
    return Contender(f"shmlane {variant}".strip(), "shmlane", languages, options, ours=True)


def limit(name: str, peer: str | None = None, **options: Any) -> Contender:
    return Contender(name, peer or name, options=options, limit=True)


CPP_PEERS = tuple(cpp(name) for name in ("boost", "zeromq", "nng", "unix-socket", "pipe", "stdio"))
MANY_TO_MANY = tuple(cpp(name) for name in ("boost", "zeromq", "nng"))


def figure_of(size: str) -> str:
    return "objects_per_s" if size in SMALL else "bytes_per_s"


def cpp_throughput() -> Iterator[Case]:
    for size, options in SIZES.items():
        contenders = [ours()]
        if size in SMALL:
            contenders.append(ours("batches of 64", batch=64))
        if size in ("64 KiB", "1 MiB", LARGE):
            contenders += [ours("in place", in_place=True), limit("one-copy in place", "one-copy", in_place=True)]
        if size == LARGE:
            contenders.append(ours("popped", popped=True))
        figures = (figure_of(size), *(("cpu_ns",) if size in ("64 B", LARGE) else ()))
        who = (*contenders, limit("one-copy"), *CPP_PEERS)
        quick = size in ("64 B", "4 KiB", "64 KiB", LARGE)
        rounds = MORE_ROUNDS if size in ("4 KiB", "64 KiB", LARGE) else 3
        yield Case(f"C++ {size} 1x1", "throughput", "throughput", figures, who, options, quick=quick, rounds=rounds)


def cpp_shapes() -> Iterator[Case]:
    for shape in ((2, 2), (4, 4), (8, 1), (1, 8)):
        for size, options in SIZES.items():
            whole = shape == (2, 2) and size in ("64 B", "64 KiB")
            who = (ours(), *(MANY_TO_MANY if whole else MANY_TO_MANY[:1]))
            name = f"C++ {size} {shape[0]}x{shape[1]}"
            quick = whole and size == "64 B"
            yield Case(name, "shapes", "throughput", (figure_of(size),), who, options, shape, quick=quick)


def cpp_capacities() -> Iterator[Case]:
    who = (ours(), cpp("boost"), limit("one-copy"))
    for capacity, sizes in (("1 MiB", ("64 B", "64 KiB")), ("256 MiB", ("64 B", LARGE)), ("4 GiB", ("64 B",))):
        number, unit = capacity.split()
        in_bytes = int(number) * {"MiB": MIB, "GiB": KIB * MIB}[unit]
        for size in sizes:
            options = {**SIZES[size], "capacity": in_bytes}
            yield Case(f"C++ {size} 1x1, {capacity} ring", "capacities", "throughput", (figure_of(size),), who, options)


def cpp_latency() -> Iterator[Case]:
    times = ("p50_ns", "p99_ns", "p999_ns")
    line, semaphore = limit("cache-line"), limit("semaphore")
    yield Case(
        "C++ latency, spinning", "latency", "busy", times, (ours(), line, *CPP_PEERS), {"spin": True}, quick=True
    )
    busy = (ours(), line, semaphore, *CPP_PEERS)
    yield Case("C++ latency, busy ping-pong", "latency", "busy", times, busy, quick=True)
    waking = {"pause_ns": 500_000}
    who = (ours(), semaphore, *CPP_PEERS)
    yield Case("C++ latency, waking a sleeper", "latency", "paced", times, who, waking, seconds=1.0, quick=True)
    burst = {"pause_ns": 5_000_000, "burst": 1000}
    yield Case("C++ burst of 1,000 out of idleness", "latency", "paced", times[:2], (ours(), *CPP_PEERS), burst)


def cpp_life() -> Iterator[Case]:
    yield Case("C++ idle for a second", "life", "idle", ("cpu_percent",), (ours(), *CPP_PEERS), seconds=1.0, quick=True)
    who = (ours(), *CPP_PEERS)
    yield Case("C++ start-up", "life", "start-up", ("create_ns", "attach_ns"), who, quick=True)
    idle = (ours(), *CPP_PEERS)
    yield Case("C++ 64 B 1x1, memory held", "life", "throughput", ("memory_bytes",), idle, SIZES["64 B"], seconds=0.1)


PYTHON_PEERS = ("mp.Queue", "mp.SimpleQueue", "mp.Pipe", "pipe", "pyzmq", "faster-fifo", "iceoryx2")


def python(name: str, **options: Any) -> Contender:
    return Contender(name, name, PYTHON, options)


def python_throughput() -> Iterator[Case]:
    peers = tuple(python(name) for name in PYTHON_PEERS)
    for size in ("64 B", "4 KiB", "64 KiB", LARGE):
        who = [ours(languages=PYTHON), *peers]
        if size == "64 B":
            many = Contender("faster-fifo batches of 64", "faster-fifo", PYTHON, {"batch": 64})
            who += [ours("batches of 64", PYTHON, batch=64), many]
        name, quick = f"Python bytes {size} 1x1", size == "64 B"
        yield Case(name, "python", "throughput", (figure_of(size),), tuple(who), SIZES[size], quick=quick)
    for size, options in SIZES.items():
        who = [ours("leased", PYTHON), limit("C++ leased", "shmlane")]
        who += [ours("popped", PYTHON, popped=True), limit("C++ popped", "shmlane", popped=True), *peers]
        name, quick = f"Python NumPy {size} 1x1", size in ("64 B", "64 KiB", LARGE)
        yield Case(
            name, "python", "throughput", (figure_of(size),), tuple(who), {**options, "numpy": True}, quick=quick
        )


def python_shapes() -> Iterator[Case]:
    peers = tuple(python(name) for name in ("mp.Queue", "mp.SimpleQueue", "faster-fifo"))
    for shape in ((2, 2), (4, 4)):
        for size in ("64 B", "64 KiB"):
            name = f"Python bytes {size} {shape[0]}x{shape[1]}"
            who = (ours(languages=PYTHON), *peers)
            yield Case(name, "python", "throughput", (figure_of(size),), who, SIZES[size], shape)


def across_languages() -> Iterator[Case]:
    for title, languages in (("Python to C++", ("python", "cpp")), ("C++ to Python", ("cpp", "python"))):
        for size in ("64 B", "64 KiB", "1 MiB", LARGE):
            who = (ours(languages=languages), limit("C++ to C++", "shmlane"))
            options = {**SIZES[size], "numpy": True}
            name, quick = f"{title} {size} 1x1", size in ("64 KiB", LARGE)
            rounds = 3 if size in SMALL else MORE_ROUNDS
            yield Case(name, "across", "throughput", (figure_of(size),), who, options, quick=quick, rounds=rounds)


def python_latency() -> Iterator[Case]:
    times = ("p50_ns", "p99_ns")
    peers = tuple(python(name) for name in PYTHON_PEERS)
    who = (ours(languages=PYTHON), *peers)
    yield Case("Python latency, busy ping-pong", "python", "busy", times, who, quick=True)
    waking = {"pause_ns": 500_000}
    yield Case("Python latency, waking a sleeper", "python", "paced", times, who, waking, seconds=0.5)


def against_pipes() -> Iterator[Case]:
    """What such libraries are judged by: the ring, shmlane's own frames over a pipe, and the plainest framing."""
    pairs = {"C++ to C++": CPP, "Python to Python": PYTHON, "Python to C++": ("python", "cpp")}
    for title, languages in pairs.items():
        who = (ours(languages=languages), *(Contender(name, name, languages) for name in ("stdio", "pipe")))
        options = {**SIZES[LARGE], "numpy": True}
        name = f"pipes: {title} {LARGE} 1x1"
        yield Case(name, "pipes", "throughput", ("bytes_per_s",), who, options, seconds=10.0, quick=True)


def backends() -> Iterator[Case]:
    for size in ("64 B", "64 KiB", "5 MiB"):
        options = SIZES.get(size) or {"least": 5 * MIB, "most": 5 * MIB}
        who = [ours("pure leased", PURE), ours("pure popped", PURE, popped=True)]
        who += [limit("native leased", "shmlane"), limit("native popped", "shmlane", popped=True)]
        who[2:] = [replace(one, languages=PYTHON) for one in who[2:]]
        name = f"backends: NumPy {size} 1x1"
        yield Case(
            name, "backends", "throughput", (figure_of(size),), tuple(who), {**options, "numpy": True}, quick=True
        )


def growth() -> Iterator[Case]:
    who = [ours()]
    who += [ours(f"{idle} idle participants", bystanders=idle) for idle in (64, 254)]
    who += [ours("after 100 million", warm_objects=100_000_000)]
    yield Case("growth: C++ 64 B 1x1", "growth", "throughput", ("objects_per_s",), tuple(who), SIZES["64 B"])


def stream(name: str, peer: str, languages: tuple[str, str] = CPP, **options: Any) -> Contender:
    return Contender(name, peer, languages, options, ours=True)


def streams() -> Iterator[Case]:
    """One worker alone that writes, reads or attaches, and what a reader costs the writer."""
    who = (stream("write", "stream-write"), stream("read", "stream-read"), limit("locked-add"))
    yield Case("stream: C++ 64 B", "streams", "alone", ("objects_per_s",), who, SIZES["64 B"], quick=True)
    who = (stream("write", "stream-write"), limit("bare memory", "bare-write"))
    yield Case("stream: C++ write of 1 MiB", "streams", "alone", ("bytes_per_s",), who, SIZES["1 MiB"])
    name = "stream: C++ write of 1 MiB, what a reader leaves"
    who = (stream("write", "stream-observed"), limit("bare memory", "bare-observed"))
    yield Case(name, "streams", "shares", ("share",), who, SIZES["1 MiB"], seconds=1.0, quick=True)
    who = (stream("attach", "attach-tensor"),)
    yield Case("tensor: attach to 1 GiB", "streams", "alone", ("p50_ns",), who, {"most": KIB * MIB}, quick=True)


def python_limit(name: str, peer: str) -> Contender:
    return Contender(name, peer, PYTHON, limit=True)


def python_streams() -> Iterator[Case]:
    """Streams in one Python process, against the same with plain NumPy."""
    for side in (100, 1000, 10_000):
        who = (
            stream("read(out=)", "stream-copy", PYTHON),
            stream("read()", "stream-copy-new", PYTHON),
            Contender("pyshmem", "pyshmem-copy", PYTHON),
            Contender("pyshmem read()", "pyshmem-copy-new", PYTHON),
            python_limit("two copies", "two-copies"),
            python_limit("two copies through shared memory", "two-shared-copies"),
        )
        name, options, seconds = f"stream: Python write + read {side}x{side}", {"most": side}, 0.5 + side / 20_000
        yield Case(name, "streams", "alone", ("p50_ns",), who, options, seconds=seconds, quick=side < 10_000)
        who = (stream("streams", "stream-product", PYTHON), Contender("pyshmem", "pyshmem-product", PYTHON))
        who += (python_limit("plain", "plain-product"), python_limit("plain, copied", "copied-product"))
        name = f"stream: Python matrix x vector {side}"
        yield Case(name, "streams", "alone", ("p50_ns",), who, options, seconds=0.5, quick=side < 10_000)


def stream_latency() -> Iterator[Case]:
    """Ping-pong of the same array: whoever waits asks again and again, or sleeps at once."""
    for title, languages in (("C++", CPP), ("Python", PYTHON)):
        for way, option in (("spinning", "spin"), ("woken from sleep", "sleep")):
            who = [stream("stream", "stream", languages), limit("copies", "bare-slots")]
            who += [limit("semaphore")] if option == "sleep" else []
            who += [Contender("pyshmem", "pyshmem", PYTHON)] if languages == PYTHON else []
            options = {**SIZES["64 KiB"], "numpy": True, option: True}
            name = f"stream: {title} ping-pong 64 KiB, {way}"
            yield Case(name, "streams", "busy", ("p50_ns",), tuple(who), options, quick=languages == PYTHON)


def limits() -> Iterator[Case]:
    for size in ("64 KiB", "1 MiB", "5 MiB", "64 MiB"):
        number, unit = size.split()
        options = {"most": int(number) * {"KiB": KIB, "MiB": MIB}[unit]}
        who = (limit("memcpy"), limit("sum"), limit("first-touch"))
        yield Case(
            f"limits {size}", "limits", "alone", ("bytes_per_s",), who, options, seconds=0.2, quick=size == "1 MiB"
        )


def all_cases() -> list[Case]:
    groups: tuple[Callable[[], Iterator[Case]], ...] = (
        cpp_throughput,
        cpp_shapes,
        cpp_capacities,
        cpp_latency,
        cpp_life,
    )
    groups += (python_throughput, python_shapes, across_languages, python_latency, backends, growth, against_pipes)
    groups += (streams, python_streams, stream_latency, limits)
    return [case for group in groups for case in group()]
