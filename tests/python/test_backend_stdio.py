# SPDX-License-Identifier: Apache-2.0
"""The backends' view of descriptors, single frames and segments."""

import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from shmlane import _backend, errors

pytestmark = pytest.mark.usefixtures("backend")

BYTES = b'{"type":"bytes"}'
LIMIT = 1 << 30


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_frames_cross_a_pipe(pipe: tuple[int, int]) -> None:
    large = os.urandom(3_000_000)

    def write() -> None:
        writer = _backend.active.StdioWriter(pipe[1])
        writer.write(BYTES, [b"abc"])
        writer.write(b'{"type":"text"}', [])
        writer.write(BYTES, [large[:1_000_000], b"", large[1_000_000:]])
        writer.end()
        writer.end()

    thread = threading.Thread(target=write)
    thread.start()
    reader = _backend.active.StdioReader(pipe[0], LIMIT)
    metadata, payload = reader.read()
    assert (metadata, bytes(payload)) == (BYTES, b"abc")
    assert bytes(reader.read()[1]) == b""
    metadata, payload = reader.read()
    assert memoryview(payload) == large
    assert reader.read() is None
    assert reader.read() is None
    thread.join()
    assert reader.offset > len(large)


def test_a_payload_from_a_pipe_is_owned_writable_and_aligned(pipe: tuple[int, int]) -> None:
    _backend.active.StdioWriter(pipe[1]).write(BYTES, [b"abc"])
    _, payload = _backend.active.StdioReader(pipe[0], LIMIT).read()
    view = np.frombuffer(payload, np.uint8)
    del payload
    assert view.ctypes.data % 64 == 0
    view[0] = ord("x")
    assert view.tobytes() == b"xbc"


def test_a_writer_that_is_forgotten_writes_nothing_more(pipe: tuple[int, int]) -> None:
    _backend.active.StdioWriter(pipe[1]).write(BYTES, [b"abc"])
    os.close(pipe[1])
    reader = _backend.active.StdioReader(pipe[0], LIMIT)
    assert reader.read() is not None
    size = reader.offset
    assert reader.read() is None
    assert reader.offset == size


def test_a_closed_reader_is_broken_pipe(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    writer = _backend.active.StdioWriter(pipe[1])
    with pytest.raises(errors.BrokenPipe):
        writer.write(BYTES, [b"abc"])


def test_a_stream_cut_off_is_truncated_and_garbage_is_corrupt(pipe: tuple[int, int]) -> None:
    _backend.active.StdioWriter(pipe[1]).write(BYTES, [b"abc"])
    frame = os.read(pipe[0], 1000)
    for data, error in [(frame[:10], errors.Truncated), (frame[:-1], errors.Truncated), (bytes(64), errors.Corrupt)]:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        with pytest.raises(error, match="byte"):
            _backend.active.StdioReader(reader, LIMIT).read()
        os.close(reader)


def test_a_frame_beyond_the_limit_is_corrupt(pipe: tuple[int, int]) -> None:
    _backend.active.StdioWriter(pipe[1]).write(BYTES, [bytes(1000)])
    with pytest.raises(errors.Corrupt, match="limit"):
        _backend.active.StdioReader(pipe[0], 500).read()


def test_a_frame_is_parsed_as_it_was_made() -> None:
    frame = _backend.active.make_frame(BYTES, b"payload", 7, 128)
    assert type(frame) is bytes
    assert len(frame) % 64 == 0
    assert _backend.active.parse_frame(frame, 7, 128) == (BYTES, b"payload")
    assert _backend.active.parse_frame(memoryview(b"x" + frame)[1:], 7, 128) == (BYTES, b"payload")


def test_a_frame_of_another_place_or_with_a_flipped_bit_is_corrupt() -> None:
    frame = _backend.active.make_frame(BYTES, b"payload", 7, 128)
    header = 40
    for other in ((8, 128), (7, 192)):
        with pytest.raises(errors.Corrupt):
            _backend.active.parse_frame(frame, *other)
    for bit in range(64, header * 8):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(errors.Corrupt):
            _backend.active.parse_frame(flipped, 7, 128)
    for cut in (0, 8, 40, len(frame) - 64):
        with pytest.raises(errors.Corrupt):
            _backend.active.parse_frame(frame[:cut], 7, 128)


def test_a_segment_is_described_and_listed_and_removed() -> None:
    name = f"test-backend-inspect-{os.getpid()}"
    producer = _backend.active.Producer(name, capacity=1 << 16, mode=0o640)
    consumer = _backend.active.Consumer(name)
    producer.push_plain(b"held")
    producer.push_plain(b"waits")
    lease = consumer.acquire()
    facts = _backend.active.inspect_segment(name)
    assert facts in _backend.active.list_segments()
    assert facts["name"] == name
    assert (facts["kind"], facts["version"], facts["state"]) == ("queue", _backend.active.WIRE_VERSION, "ready")
    assert (facts["capacity"], facts["mode"], facts["pushed"]) == (1 << 16, 0o640, 2)
    assert facts["size"] == os.stat(f"/dev/shm/shmlane.{name}").st_size
    first, second = facts["participants"]
    assert (first["roles"], second["roles"]) == (["producer"], ["consumer"])
    assert first["pid"] == second["pid"] == os.getpid()
    assert first["alive"] is second["alive"] is True
    (hold,) = second["holds"]
    assert (hold["state"], hold["nbytes"]) == ("leased", lease.nbytes)
    assert _backend.active.remove_segment(name) is False
    assert _backend.active.remove_segment(name, force=True) is True
    with pytest.raises(errors.NotFound):
        _backend.active.inspect_segment(name)
    producer.push_plain(b"goes on")
    assert consumer.pop_plain() == b"waits"


def test_segments_of_others_are_not_listed() -> None:
    path = f"/dev/shm/shmlane.test-backend-foreign-{os.getpid()}"
    with open(path, "wb") as file:
        file.write(os.urandom(1 << 17))
    try:
        with pytest.raises(errors.Foreign):
            _backend.active.inspect_segment(path.split("shmlane.")[1])
        assert all(facts["name"] != path.split("shmlane.")[1] for facts in _backend.active.list_segments())
    finally:
        os.unlink(path)
