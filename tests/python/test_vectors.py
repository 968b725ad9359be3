# SPDX-License-Identifier: Apache-2.0
"""Every vector of wire-format/vectors/v1 is read, or refused, as it says: the Python implementation against SPEC.md."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shmlane import RawObject, _backend, errors
from shmlane.codec import Context, Take, parse_metadata
from shmlane.registry import Registry

WIRE_FORMAT = Path(__file__).parents[2] / "wire-format"
ROOT = WIRE_FORMAT / "vectors" / "v1"
INDEX = json.loads((ROOT / "index.json").read_text())
DEFAULT_MAX_FRAME = 4 << 30
CONTEXT = Context(Registry(), pickle=True)


@pytest.fixture(params=["native"])
def backend(request: pytest.FixtureRequest) -> Any:
    return _backend.load(request.param)


def vectors(group: str) -> pytest.MarkDecorator:
    assert len(INDEX[group]) > 5
    return pytest.mark.parametrize("path", [ROOT / group / name for name in INDEX[group]], ids=lambda path: path.name)


def facts_of(path: Path) -> dict[str, Any]:
    return json.loads(path.with_suffix(".json").read_text())


def number(text: str) -> int:
    return int(text, 16)


def check_payload(payload: Any, expected: dict[str, Any]) -> None:
    data = bytes(payload)
    if "hex" in expected:
        assert data.hex() == expected["hex"]
    else:
        assert len(data) == expected["size"]
        assert hashlib.sha256(data).hexdigest() == expected["sha256"]


def parse(backend: Any, path: Path, facts: dict[str, Any]) -> tuple[bytes, bytes]:
    frame = path.with_suffix(".bin").read_bytes()
    return backend.parse_frame(frame, number(facts["segment_id"]), number(facts["position"]))


@vectors("frame/valid")
def test_a_valid_frame_is_read_as_its_vector_says(backend: Any, path: Path) -> None:
    facts = facts_of(path)
    metadata, payload = parse(backend, path, facts)
    assert metadata.decode() == facts["metadata_text"]
    assert parse_metadata(metadata) == facts["metadata"]
    check_payload(payload, facts["payload"])


@vectors("frame/valid")
def test_the_object_in_a_valid_frame_is_decoded(backend: Any, path: Path) -> None:
    facts = facts_of(path)
    metadata, payload = parse(backend, path, facts)
    obj = CONTEXT.codecs.decode(parse_metadata(metadata), memoryview(bytearray(payload)), CONTEXT, Take.OWN)
    if "version" in facts["metadata"] or facts["metadata"]["type"] == "custom":
        assert isinstance(obj, RawObject)
        assert bytes(obj.payload) == payload
    else:
        assert not isinstance(obj, RawObject)
    if facts["metadata"]["type"] == "ndarray":
        assert list(obj.shape) == facts["metadata"]["shape"]
        assert np.ascontiguousarray(obj).tobytes() == payload


@vectors("frame/valid")
def test_a_frame_is_written_as_its_vector_is(backend: Any, path: Path) -> None:
    facts = facts_of(path)
    metadata, payload = parse(backend, path, facts)
    made = backend.make_frame(metadata, payload, number(facts["segment_id"]), number(facts["position"]))
    # Only a frame that was just committed whole is what make_frame makes.
    fresh = facts["control"] == {"state": "ready", "attempt": 0, "owner": "0x0000000000000000"}
    snug = facts["extent"] == len(made) and facts["payload_offset"] == int.from_bytes(made[36:40], "little")
    assert (made == path.with_suffix(".bin").read_bytes()) == (fresh and snug)


@vectors("frame/invalid")
def test_an_invalid_frame_is_refused_for_its_fault(backend: Any, path: Path) -> None:
    facts = facts_of(path)
    error = getattr(errors, facts["error"])
    if facts["stage"] == "frame":
        with pytest.raises(error, match=rf"position {number(facts['position'])}\b.*{facts['rule']}\b"):
            parse(backend, path, facts)
        return
    text, payload = parse(backend, path, facts)
    if facts["stage"] == "metadata":
        with pytest.raises(error):
            parse_metadata(text)
        return
    metadata = parse_metadata(text)
    with pytest.raises(error):
        CONTEXT.codecs.decode(metadata, memoryview(bytearray(payload)), CONTEXT, Take.OWN)


def read_frames(reader: Any, frames: list[dict[str, Any]]) -> None:
    for expected in frames:
        metadata, payload = reader.read()
        assert metadata.decode() == expected["metadata_text"]
        check_payload(payload, expected["payload"])
        assert memoryview(payload).nbytes == 0 or np.frombuffer(payload, np.uint8).ctypes.data % 64 == 0


@vectors("stdio/valid")
def test_a_valid_stream_gives_its_frames_and_then_the_end(backend: Any, path: Path) -> None:
    facts = facts_of(path)
    with path.with_suffix(".bin").open("rb", buffering=0) as file:
        reader = backend.StdioReader(file.fileno(), DEFAULT_MAX_FRAME)
        read_frames(reader, facts["frames"])
        assert reader.read() is None
        assert reader.read() is None
        assert reader.offset == facts["bytes_read"] == file.tell()


@vectors("stdio/invalid")
def test_an_invalid_stream_gives_its_sound_frames_and_then_its_error(backend: Any, path: Path) -> None:
    facts = facts_of(path)
    with path.with_suffix(".bin").open("rb", buffering=0) as file:
        reader = backend.StdioReader(file.fileno(), facts.get("max_frame", DEFAULT_MAX_FRAME))
        read_frames(reader, facts["frames"])
        with pytest.raises(
            getattr(errors, facts["error"]), match=rf"byte {facts['error_offset']}\b.*{facts['rule']}\b"
        ):
            reader.read()


@vectors("stdio/valid")
def test_a_stream_is_written_as_its_vector_is(backend: Any, path: Path) -> None:
    facts = facts_of(path)
    data = path.with_suffix(".bin").read_bytes()
    with path.with_suffix(".bin").open("rb", buffering=0) as file:
        reader = backend.StdioReader(file.fileno(), DEFAULT_MAX_FRAME)
        frames = [reader.read() for _ in facts["frames"]]
    out = os.memfd_create("stream")
    try:
        writer = backend.StdioWriter(out)
        for metadata, payload in frames:
            writer.write(metadata, [payload])
        end = os.lseek(out, 0, os.SEEK_CUR)
        writer.end()
        written = os.pread(out, len(data) + 100, 0)
    finally:
        os.close(out)
    assert data.startswith(written[:end])
    assert data.startswith(written) or len(data) == end  # or the vector has no end frame


def test_the_vectors_are_what_the_rules_make() -> None:
    script = WIRE_FORMAT / "make_vectors.py"
    done = subprocess.run([sys.executable, "-B", script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
