# SPDX-License-Identifier: Apache-2.0
"""The codecs of list, map and pickle."""

import json
import logging
import pickle
from typing import Any

import numpy as np
import pytest
from frames import decode, encode, there_and_back
from PIL import Image

import shmlane
from shmlane.codec import Take
from shmlane.errors import Corrupt, InvalidArgument, UnsupportedType


def nested(levels: int) -> list[Any]:
    return [b"x"] if levels == 1 else [nested(levels - 1)]


def test_a_list_crosses_with_each_item_as_its_own_type() -> None:
    items = [
        np.arange(3),
        "text",
        b"bytes",
        1,
        None,
        {"plain": [1]},
        [b"inner"],
        {"k": b"v"},
        Image.new("L", (2, 2), 7),
    ]
    back = there_and_back(items)
    assert np.array_equal(back[0], items[0])
    assert back[1:8] == items[1:8]
    assert back[8].tobytes() == b"\7\7\7\7"


def test_a_tuple_arrives_as_a_list() -> None:
    assert there_and_back((b"a", (b"b",))) == [b"a", [b"b"]]


def test_a_batch_of_named_arrays_crosses_in_order() -> None:
    batch = {"z": np.ones((2, 3), np.float32), "a": np.arange(4), "label": "cat"}
    back = there_and_back(batch)
    assert list(back) == ["z", "a", "label"]
    assert np.array_equal(back["z"], batch["z"])
    assert back["label"] == "cat"


def test_the_layout_is_as_specified() -> None:
    metadata, payload = encode([b"abc", np.arange(2, dtype="<i4").reshape(2, 1)[::-1], b"", b"z"])
    assert json.loads(metadata)["items"] == [
        {"offset": 0, "size": 3, "metadata": {"type": "bytes"}},
        {"offset": 64, "size": 8, "metadata": {"type": "ndarray", "dtype": "<i4", "shape": [2, 1]}},
        {"offset": 128, "size": 0, "metadata": {"type": "bytes"}},
        {"offset": 128, "size": 1, "metadata": {"type": "bytes"}},
    ]
    assert bytes(payload) == b"abc".ljust(64, b"\0") + bytes([1, 0, 0, 0, 0, 0, 0, 0]).ljust(64, b"\0") + b"z"
    assert json.loads(encode({"k": b"v"})[0]) == {
        "type": "map",
        "items": [{"key": "k", "offset": 0, "size": 1, "metadata": {"type": "bytes"}}],
    }


def test_items_of_a_lease_are_aligned_read_only_views() -> None:
    metadata, payload = encode({"a": b"x", "b": np.arange(5.0)})
    view = decode(metadata, payload, Take.VIEW)
    assert view["b"].ctypes.data % 64 == 0
    assert not view["b"].flags.writeable
    assert np.shares_memory(view["b"], np.frombuffer(payload, np.uint8))


def test_popped_items_own_their_data() -> None:
    back = there_and_back([np.arange(5), b"x"])
    assert back[0].flags.owndata
    assert back[0].flags.writeable


def test_10_levels_and_1000_items_cross_and_more_are_refused() -> None:
    assert there_and_back(nested(10)) == nested(10)
    assert len(there_and_back([b"x"] * 1000)) == 1000
    with pytest.raises(InvalidArgument, match="10 levels"):
        encode(nested(11))
    with pytest.raises(InvalidArgument, match="1000"):
        encode([b"x"] * 1001)
    with pytest.raises(InvalidArgument, match="1000"):
        encode({str(i): b"x" for i in range(1001)})


def test_a_list_that_contains_itself_is_refused() -> None:
    items: list[Any] = [b"x"]
    items.append(items)
    with pytest.raises(InvalidArgument, match="contain"):
        encode(items)


def test_keys_of_a_map_are_str() -> None:
    with pytest.raises(UnsupportedType, match="keys"):
        encode({1: b"x"})
    with pytest.raises(InvalidArgument):
        encode({"\ud800": b"x"})


def item(offset: Any = 0, size: Any = 1, metadata: Any = {"type": "bytes"}, **more: Any) -> dict[str, Any]:  # noqa: B006
    return {**more, "offset": offset, "size": size, "metadata": metadata}


@pytest.mark.parametrize(
    "items",
    [
        None,
        {},
        [1],
        [None],
        [{}],
        [item(offset=-64)],
        [item(offset=1)],
        [item(offset=64.0)],
        [item(offset=True)],
        [item(offset="0")],
        [item(size=-1)],
        [item(size=129)],
        [item(offset=128)],
        [item(offset=2**64)],
        [item(size=2**63)],
        [item(size=65), item(offset=64)],
        [item(offset=64), item(offset=0)],
        [item(metadata=None)],
        [item(metadata={})],
        [item(metadata={"type": 1})],
        [item(metadata={"type": "text"}), item(metadata="x")],
        [item()] * 1001,
    ],
)
@pytest.mark.parametrize("kind", ["list", "map"])
def test_items_that_cannot_be_are_corrupt(kind: str, items: Any) -> None:
    with pytest.raises(Corrupt):
        decode({"type": kind, "items": items}, bytes(128))


@pytest.mark.parametrize("keys", [[None], [1], ["a", "a"], [["a"]]])
def test_keys_that_cannot_be_are_corrupt(keys: list[Any]) -> None:
    items = [item(offset=64 * i, key=key) for i, key in enumerate(keys)]
    with pytest.raises(Corrupt):
        decode({"type": "map", "items": items}, bytes(128))


def test_too_many_levels_are_corrupt() -> None:
    metadata: dict[str, Any] = {"type": "bytes"}
    for _ in range(11):
        metadata = {"type": "list", "items": [item(metadata=metadata)]}
    with pytest.raises(Corrupt, match="levels"):
        decode(metadata, bytes(1))


def test_an_unknown_item_arrives_raw_among_the_others(caplog: pytest.LogCaptureFixture) -> None:
    metadata = {"type": "list", "items": [item(), item(64, 1, {"type": "mystery"})]}
    with caplog.at_level(logging.WARNING, "shmlane"):
        back = decode(metadata, b"a".ljust(64, b"\0") + b"b")
    assert back == [b"a", shmlane.RawObject({"type": "mystery"}, b"b")]


def test_pickle_takes_what_no_codec_takes() -> None:
    for obj in ({1, 2}, {1: 2}, 3 + 4j, range(5), {"a": {(1, 2): None}}):
        assert there_and_back(obj, pickle=True) == obj
        with pytest.raises(UnsupportedType):
            encode(obj)


def test_large_buffers_lie_beside_the_pickle() -> None:
    array = np.arange(1000.0)
    metadata, payload = encode({("key",): array, ("other",): array[:10]}, pickle=True)
    described = json.loads(metadata)
    assert described["type"] == "pickle"
    assert [place[1] for place in described["buffers"]] == [8000, 80]
    assert all(place[0] % 64 == 0 for place in described["buffers"])
    assert described["size"] < 1000
    for take in Take:
        back = decode(metadata, payload, take, pickle=True)
        assert np.array_equal(back["key",], array)
        assert back["key",].flags.writeable == (take is not Take.VIEW)
        assert np.shares_memory(back["key",], np.frombuffer(payload, np.uint8)) == (take is not Take.COPY)


class Trap:
    sprung = False

    def __reduce__(self) -> tuple[Any, ...]:
        return Trap.spring, ()

    @staticmethod
    def spring() -> None:
        Trap.sprung = True


def test_a_consumer_that_did_not_ask_for_pickle_runs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    metadata, payload = encode(Trap(), pickle=True)
    back = decode(metadata, payload)
    assert isinstance(back, shmlane.RawObject)
    assert bytes(back.payload) == bytes(payload)
    assert not Trap.sprung
    assert "pickle=True" in caplog.text
    decode(metadata, payload, pickle=True)
    assert Trap.sprung


def test_an_object_that_cannot_be_pickled_is_refused() -> None:
    with pytest.raises(UnsupportedType, match="cannot be pickled"):
        encode(lambda: None, pickle=True)


def test_none_is_not_pickled() -> None:
    with pytest.raises(UnsupportedType, match="end of stream"):
        encode(None, pickle=True)


SMALL = pickle.dumps((), 5)


@pytest.mark.parametrize(
    "metadata",
    [
        {"size": len(SMALL)},
        {"buffers": []},
        {"size": -1, "buffers": []},
        {"size": 10**6, "buffers": []},
        {"size": 3, "buffers": []},
        {"size": len(SMALL), "buffers": [[0]]},
        {"size": len(SMALL), "buffers": [[0, -1]]},
        {"size": len(SMALL), "buffers": [[64, 10**6]]},
        {"size": len(SMALL), "buffers": [["0", 1]]},
        {"size": len(SMALL), "buffers": {}},
    ],
)
def test_a_pickle_that_cannot_be_is_corrupt(metadata: dict[str, Any]) -> None:
    with pytest.raises(Corrupt):
        decode({"type": "pickle", **metadata}, SMALL, pickle=True)
