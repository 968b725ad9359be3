# SPDX-License-Identifier: Apache-2.0
"""StdioProducer and StdioConsumer: objects over pipes and files."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shmlane import StdioConsumer, StdioProducer, errors

pytestmark = pytest.mark.usefixtures("backend")

OBJECTS = [
    b"bytes",
    "text",
    {"a": [1, None]},
    3.5,
    np.arange(6).reshape(2, 3),
    np.arange(6).reshape(2, 3).T,
    np.empty((0, 2)),
    [np.arange(3), "x"],
    bytes(3_000_000),
]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def write(path: Path, objs: list[Any], **options: Any) -> bytes:
    with path.open("wb") as file, StdioProducer(file, **options) as tx:
        tx.push_many(objs)
    return path.read_bytes()


def test_every_object_arrives_through_a_pipe(pipe: tuple[int, int]) -> None:
    def produce() -> None:
        with StdioProducer(pipe[1]) as tx:
            tx.push_many(OBJECTS)

    thread = threading.Thread(target=produce)
    thread.start()
    rx = StdioConsumer(pipe[0])
    assert all(map(same, OBJECTS, rx))
    assert rx.pop() is None
    assert rx.pop() is None
    thread.join()


def test_arrays_lie_in_the_frame_that_was_read_and_are_writable(tmp_path: Path) -> None:
    write(tmp_path / "frames", [np.arange(5), [np.arange(3), np.arange(4)]])
    with (tmp_path / "frames").open("rb") as file:
        rx = StdioConsumer(file)
        array, items = rx.pop(), rx.pop()
    array[0] = items[0][0] = 9
    assert array.ctypes.data % 64 == items[0].ctypes.data % 64 == 0
    assert items[1].tolist() == [0, 1, 2, 3]


def test_pickles_and_pictures_cross_if_asked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "frames"
    picture = Image.new("RGB", (50, 40), (1, 2, 3))
    assert b"\x89PNG" in write(path, [{1, 2}, picture], pickle=True, image_encoding="png")
    with path.open("rb") as file:
        back = list(StdioConsumer(file, pickle=True))
    assert back[0] == {1, 2}
    assert back[1].tobytes() == picture.tobytes()
    with caplog.at_level(logging.ERROR, "shmlane"), path.open("rb") as file:
        assert StdioConsumer(file).pop().metadata["type"] == "pickle"


def test_every_truncation_is_an_error_but_between_frames(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    whole = write(path, ["one", b"two"])
    ends = []
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with path.open("rb") as file, suppress(errors.Truncated):
            ends.append((length, list(StdioConsumer(file))))
    assert [objs for _, objs in ends] == [[], ["one"], ["one", b"two"], ["one", b"two"]]


def test_a_flipped_bit_in_the_framing_is_corrupt_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    whole = write(path, ["one"])
    header = 32
    for place in range(header):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with path.open("rb") as file, pytest.raises(errors.Corrupt, match="byte"):
            list(StdioConsumer(file))


def test_bad_metadata_is_corrupt_and_the_next_frame_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_bytes(write(path, ["one", "two"]).replace(b'{"type":"text"}', b'["type","text"]', 1))
    with path.open("rb") as file:
        rx = StdioConsumer(file)
        with pytest.raises(errors.Corrupt):
            rx.pop()
        assert rx.pop() == "two"


def test_a_frame_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    write(path, [bytes(2000)])
    with path.open("rb") as file, pytest.raises(errors.Corrupt, match=r"2000 bytes.*1024 bytes"):
        StdioConsumer(file, max_frame="1KiB").pop()


def test_a_closed_reader_is_an_error_and_no_signal(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError) as error, StdioProducer(pipe[1]) as tx:
        tx.push(b"x")
    assert isinstance(error.value, errors.BrokenPipe)


def test_an_error_in_the_with_leaves_no_end_frame(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    with path.open("wb") as file:
        tx = StdioProducer(file)
        with pytest.raises(ZeroDivisionError):
            push_and_fail(tx, b"x")
        with pytest.raises(errors.Closed):
            tx.push(b"y")
    assert len(path.read_bytes()) < len(write(path, [b"x"]))


def push_and_fail(tx: StdioProducer, obj: Any) -> None:
    with tx:
        tx.push(obj)
        raise ZeroDivisionError


def test_what_cannot_cross_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with (tmp_path / "frames").open("wb") as file, StdioProducer(file) as tx:
        for bad in (None, object(), float("nan")):
            with pytest.raises((errors.UnsupportedType, errors.InvalidArgument)):
                tx.push(bad)
        assert (tmp_path / "frames").stat().st_size == 0


def test_the_standard_streams_are_the_default() -> None:
    produce = "import shmlane; tx = shmlane.StdioProducer(); tx.push({'a': 1}); tx.push(b'x' * 200_000); tx.close()"
    double = (
        "import shmlane\n"
        "with shmlane.StdioProducer() as tx:\n"
        "    for obj in shmlane.StdioConsumer():\n"
        "        tx.push([obj, obj])\n"
    )
    count = "import shmlane; print([len(obj) for obj in shmlane.StdioConsumer()])"
    command = " | ".join(f'"{sys.executable}" -c "$CODE{i}"' for i in range(3))
    environment = {**os.environ, "CODE0": produce, "CODE1": double, "CODE2": count}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[2, 2]\n"
