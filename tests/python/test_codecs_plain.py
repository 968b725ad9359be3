# SPDX-License-Identifier: Apache-2.0
"""The codecs of bytes, text and json."""

import enum
import json
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from frames import decode, encode, there_and_back
from hypothesis import given, settings
from hypothesis import strategies as st

from shmlane.codec import Take
from shmlane.errors import Corrupt, InvalidArgument, UnsupportedType


class Point(NamedTuple):
    x: int
    y: float


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize("obj", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_bytes_cross(obj: Any) -> None:
    metadata, payload = encode(obj)
    assert metadata == b'{"type":"bytes"}'
    assert payload == obj
    back = decode(metadata, payload)
    assert type(back) is bytes
    assert back == obj


def test_a_memoryview_with_gaps_crosses_in_c_order() -> None:
    view = memoryview(bytes(range(24)))[::5]
    assert there_and_back(view) == bytes(range(24))[::5]
    fortran = memoryview(np.arange(6, dtype=np.uint8).reshape(2, 3).T)
    assert there_and_back(fortran) == bytes([0, 3, 1, 4, 2, 5])


def test_bytes_in_a_lease_are_a_read_only_view() -> None:
    metadata, payload = encode(b"abc")
    view = decode(metadata, payload, Take.VIEW)
    assert isinstance(view, memoryview)
    assert view.readonly
    payload[0] = ord("x")
    assert view == b"xbc"


@pytest.mark.parametrize("text", ["", "abc", "smörgås 🦀", "\0", Name("subclass")])
def test_text_crosses(text: str) -> None:
    metadata, payload = encode(text)
    assert metadata == b'{"type":"text"}'
    assert bytes(payload) == text.encode()
    back = decode(metadata, payload)
    assert type(back) is str
    assert back == text


def test_text_with_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="surrogates"):
        encode("a\ud800")


@pytest.mark.parametrize("payload", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"abc\xe2\x82"])
def test_text_that_is_not_utf8_is_corrupt(payload: bytes) -> None:
    with pytest.raises(Corrupt, match="UTF-8"):
        decode({"type": "text"}, payload)


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (1, "1"),
        (-(2**63), "-9223372036854775808"),
        (2**64 - 1, "18446744073709551615"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (True, "true"),
        ([], "[]"),
        ({}, "{}"),
        ([None, [1.5, "ü"]], '[null,[1.5,"ü"]]'),
        ({"a": {"b": [False]}}, '{"a":{"b":[false]}}'),
        ((1, 2), "[1,2]"),
        (Point(1, 2.5), "[1,2.5]"),
        (Colour.RED, "1"),
    ],
)
def test_json_crosses(obj: Any, text: str) -> None:
    metadata, payload = encode(obj)
    assert metadata == b'{"type":"json"}'
    assert bytes(payload).decode() == text
    assert decode(metadata, payload) == json.loads(text)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), plain))
def test_any_plain_dict_comes_back_equal(obj: dict[str, Any]) -> None:
    assert there_and_back(obj) == obj


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 2**64, -(2**63) - 1, 10**5000], ids=type)
def test_numbers_that_json_cannot_carry_are_refused_with_their_place(number: float) -> None:
    with pytest.raises(InvalidArgument, match=r"obj\['a'\]\[1\] is "):
        encode({"a": [0, number]})
    with pytest.raises(InvalidArgument, match="obj is "):
        encode(number)


def test_long_digits_in_text_are_no_number() -> None:
    obj = ["1" * 40, "e9999", 1.2345678901234567e-300]
    assert there_and_back(obj) == obj


@pytest.mark.parametrize("key", [1, None, b"k", ("a",), 1.5])
def test_a_dict_whose_keys_are_no_str_is_refused(key: Any) -> None:
    with pytest.raises(UnsupportedType, match="keys of json and map objects are str"):
        encode({"a": {key: 1}})


def test_500_levels_cross_and_501_are_refused() -> None:
    def nested(levels: int) -> list[Any]:
        return [] if levels == 1 else [nested(levels - 1)]

    assert there_and_back(nested(500)) == nested(500)
    with pytest.raises(InvalidArgument, match="500 levels"):
        encode(nested(501))
    with pytest.raises(Corrupt):
        decode({"type": "json"}, b"[" * 501 + b"]" * 501)


def test_an_object_that_contains_itself_is_refused() -> None:
    obj: dict[str, Any] = {}
    obj["me"] = [obj, obj]
    with pytest.raises(InvalidArgument, match="contains itself"):
        encode(obj)


def test_a_lone_none_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedType, match="end of stream"):
        encode(None)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[1] 2",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"18446744073709551616",
        b"[-9223372036854775809]",
        b"1e999",
        b"[-1e400]",
        b'"\\ud800"',
        b'"\xff"',
        b"null",
        b"'a'",
        b"[" * 100_000,
    ],
)
def test_json_that_nobody_may_write_is_corrupt(payload: bytes) -> None:
    with pytest.raises(Corrupt):
        decode({"type": "json"}, payload)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'"bytes"',
        b"null",
        b'{"type":1}',
        b'{"type":null}',
        b'{"type":"bytes"',
        b'{"type":"bytes","x":NaN}',
        b"\xff",
        b'{"type":' * 2000,
    ],
)
def test_metadata_that_is_no_object_with_a_type_is_corrupt(text: bytes) -> None:
    with pytest.raises(Corrupt, match="metadata"):
        decode(text, b"")
