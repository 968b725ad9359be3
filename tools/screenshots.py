# SPDX-License-Identifier: Apache-2.0
"""Writes what commands show of a real scene into README.md, between its markers: screenshots.py [README]"""

from __future__ import annotations

import multiprocessing
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import shmlane

README = Path(__file__).parents[1] / "README.md"
COLUMNS = 80
NAMES = ("camera", "faces", "log")


def film(name: str, seconds: float) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    with shmlane.Producer(name, "64MiB", policy="drop_oldest", max_objects=8) as tx:
        while True:
            tx.push(picture)
            time.sleep(seconds)


def find_faces(source: str, target: str) -> None:
    with shmlane.Consumer(source) as rx, shmlane.Producer(target, "1MiB", wait_for_consumer=None) as tx:
        for picture in rx:
            time.sleep(0.02)
            tx.push({"faces": int(picture.mean())})


def archive(source: str) -> None:
    """Keeps the first object, takes what follows."""
    with shmlane.Consumer(source) as rx, rx.acquire():
        for _ in rx:
            pass


def listen(source: str) -> None:
    with shmlane.Consumer(source) as rx:
        rx.pop()


@contextmanager
def scene() -> Iterator[None]:
    """Two processes push pictures faster than three can look at them; one keeps a result; one has nothing to do."""
    roles = [(film, "camera", 0.01)] * 2 + [(find_faces, "camera", "faces")] * 3 + [(archive, "faces"), (listen, "log")]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=args, daemon=True) for work, *args in roles]
    for process in processes:
        process.start()
    try:
        time.sleep(3)
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()
        subprocess.run([*command("doctor"), "--fix", "--force", *NAMES], stdout=subprocess.DEVNULL, check=False)


def command(name: str) -> list[str]:
    return [sys.executable, "-m", "shmlane", name]


def main() -> None:
    readme = Path(sys.argv[1]) if len(sys.argv) > 1 else README
    taken = {segment["name"] for segment in shmlane._backend.active.list_segments()}.intersection(NAMES)
    if taken:
        sys.exit(f"somebody uses the names {', '.join(sorted(taken))} here")
    with scene():
        shown = subprocess.check_output([*command("top"), "--once", *NAMES], text=True)
    lines = [line.rstrip() for line in shown.splitlines()]
    if (widest := max(map(len, lines))) > COLUMNS:
        sys.exit(f"a line of {widest} columns is too wide:\n{shown}")
    block = "<!-- screenshot: top -->\n```\n$ shmlane top --once\n" + "\n".join(lines) + "\n```\n"
    text, count = re.subn(
        r"<!-- screenshot: top -->\n.*?(?=<!-- end of screenshot -->)", lambda _: block, readme.read_text(), flags=re.S
    )
    if count != 1:
        sys.exit(f"{readme} has not one place for a screenshot but {count}")
    readme.write_text(text)


if __name__ == "__main__":
    main()
