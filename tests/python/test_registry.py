# SPDX-License-Identifier: Apache-2.0
"""The registry: custom types, versions, and what nobody knows."""

import json
import logging
import pickle
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from frames import decode, encode, there_and_back

from shmlane import Consumer, Producer, RawObject, Registry, registry
from shmlane.codec import Take
from shmlane.errors import InvalidArgument, UnsupportedType


@dataclass
class Point:
    x: float
    y: float


class Point3(Point):
    pass


def encode_point(point: Point) -> tuple[dict[str, Any], Any]:
    return {"unit": "m"}, np.array([point.x, point.y], float)


def decode_point(metadata: dict[str, Any], payload: memoryview) -> Point:
    assert metadata["unit"] == "m"
    return Point(*np.frombuffer(payload).tolist())


@pytest.fixture
def points() -> Registry:
    known = Registry()
    known.register("point", encode_point, decode_point, cls=Point)
    return known


def test_a_custom_type_crosses(points: Registry) -> None:
    metadata, payload = encode(Point(1, 2), registry=points)
    assert metadata == b'{"type":"point","version":1,"unit":"m"}'
    assert decode(metadata, payload, registry=points) == Point(1, 2)
    assert there_and_back([Point(1, 2), b"x"], registry=points) == [Point(1, 2), b"x"]


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 1e400, "\ud800", []])
def test_metadata_that_another_language_cannot_read_are_refused(value: Any) -> None:
    if isinstance(value, list):
        for _ in range(501):
            value = [value]
    custom = Registry()
    custom.register("point", lambda _: ({"value": value}, b""), decode_point, cls=Point)
    with pytest.raises(InvalidArgument, match="cannot be written as JSON"):
        encode(Point(1, 2), registry=custom)


def test_subclasses_cross_by_the_codec_of_their_class(points: Registry) -> None:
    assert there_and_back(Point3(1, 2), registry=points) == Point(1, 2)


def test_older_versions_stay_readable(points: Registry) -> None:
    old = encode(Point(1, 2), registry=points)
    points.register("point", lambda p: b"new", lambda m, p: bytes(p), version=2, cls=Point)
    metadata, payload = encode(Point(1, 2), registry=points)
    assert json.loads(metadata) == {"type": "point", "version": 2}
    assert decode(metadata, payload, registry=points) == b"new"
    assert decode(*old, registry=points) == Point(1, 2)


def test_several_parts_are_one_payload() -> None:
    known = Registry()
    known.register("parts", lambda _: [b"ab", np.arange(3, dtype="u1")[::2], b"", np.array([9], "M8[s]")], cls=Point)
    assert bytes(encode(Point(0, 0), registry=known)[1]) == b"ab\0\2" + (9).to_bytes(8, "little")


def test_a_popped_payload_is_the_decoder_s_own_and_a_leased_one_is_not(points: Registry) -> None:
    known = Registry()
    known.register("raw", lambda p: bytes(8), lambda m, p: p, cls=Point)
    metadata, payload = encode(Point(0, 0), registry=known)
    for take in Take:
        view = decode(metadata, payload, take, registry=known)
        assert view.readonly == (take is Take.VIEW)
        shared = np.shares_memory(np.frombuffer(view, "u1"), np.frombuffer(payload, "u1"))
        assert shared == (take is not Take.COPY)


def test_a_decoder_cannot_spoil_the_metadata_of_later_frames(points: Registry) -> None:
    known = Registry()
    known.register("greedy", lambda p: ({"more": [1]}, b""), lambda m, p: m.pop("more").pop(), cls=Point)
    frame = encode(Point(0, 0), registry=known)
    metadata = json.loads(frame[0])
    assert [decode(metadata, frame[1], registry=known) for _ in range(2)] == [1, 1]


def test_a_built_in_class_may_cross_by_another_codec() -> None:
    known = Registry()
    known.register("upper", lambda text: text.upper().encode(), lambda m, p: bytes(p).decode(), cls=str)
    assert not known.plain
    assert there_and_back("abc", registry=known) == "ABC"
    known.unregister("upper")
    assert known.plain
    assert there_and_back("abc", registry=known) == "abc"


def test_a_built_in_name_with_a_version_is_another_type(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "shmlane"):
        back = decode({"type": "text", "version": 1}, b"abc")
    assert back == RawObject({"type": "text", "version": 1}, b"abc")
    assert decode({"type": "text"}, b"abc") == "abc"


def test_an_unknown_type_or_version_warns_once_and_arrives_raw(
    points: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "shmlane"):
        for _ in range(3):
            for metadata in ({"type": "mystery"}, {"type": "point", "version": 7}, {"type": "point", "version": "x"}):
                assert decode(metadata, b"abc", registry=points) == RawObject(metadata, b"abc")
    assert len(caplog.records) == 3
    assert "'mystery'" in caplog.text


def test_a_raw_object_in_a_lease_is_a_view() -> None:
    back = decode({"type": "mystery"}, b"abc", Take.VIEW)
    assert isinstance(back.payload, memoryview)


def test_a_raw_object_pushed_on_is_the_same_frame() -> None:
    raw = RawObject({"type": "mystery", "version": 3, "x": [1]}, b"abc")
    metadata, payload = encode(raw)
    assert json.loads(metadata) == raw.metadata
    assert bytes(payload) == b"abc"


@pytest.mark.parametrize(
    "arguments",
    [
        {"type": ""},
        {"type": 1},
        {"type": "\ud800"},
        {"type": "a", "version": 0},
        {"type": "a", "version": 2**32},
        {"type": "a", "version": "1"},
        {"type": "a", "encode": bytes},
        {"type": "a", "cls": Point},
    ],
)
def test_what_cannot_be_registered_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Registry().register(**arguments)


@pytest.mark.parametrize(
    ("result", "error"),
    [("text", UnsupportedType), (None, UnsupportedType), ([1], UnsupportedType), (np.array([{}]), UnsupportedType),
     (({"type": "x"}, b""), InvalidArgument), (({"version": 2}, b""), InvalidArgument), (([], b""), InvalidArgument),
     (({"x": float("nan")}, b""), InvalidArgument), (({"x": object()}, b""), InvalidArgument)],
)  # fmt: skip
def test_what_an_encode_function_may_not_give_is_refused(result: Any, error: type[Exception]) -> None:
    known = Registry()
    known.register("bad", lambda _: result, cls=Point)
    with pytest.raises(error):
        encode(Point(0, 0), registry=known)


def test_a_registry_crosses_processes_with_its_functions(points: Registry) -> None:
    copy = pickle.loads(pickle.dumps(points))
    assert there_and_back(Point(1, 2), registry=copy) == Point(1, 2)
    assert pickle.loads(pickle.dumps(registry.default)) is registry.default


def test_custom_types_cross_a_queue(name: str, backend: ModuleType, points: Registry) -> None:
    with Producer(name, registry=points) as tx, Consumer(name, registry=points) as rx:
        tx.push_many([Point(1, 2), b"plain", Point(3, 4)])
        assert rx.pop_many(10) == [Point(1, 2), b"plain", Point(3, 4)]


def test_an_overridden_class_crosses_by_its_codec_on_every_way(name: str, backend: ModuleType) -> None:
    known = Registry()
    known.register("upper", lambda text: text.upper().encode(), lambda m, p: bytes(p).decode(), cls=str)
    with Producer(name, registry=known) as tx, Consumer(name, registry=known) as rx:
        tx.push("a")
        tx.push_many(["b", b"c", "d"])
        assert [rx.pop(), *rx.pop_many(9)] == ["A", "B", b"c", "D"]
