# SPDX-License-Identifier: Apache-2.0
"""Objects made by the dozen: every dtype, every kind of pixel, every alignment, and containers in containers."""

from __future__ import annotations

import itertools
import struct
from typing import Any

from .handles import PAYLOAD, handle
from .objects import Object, array, image, list_of, map_of, png, text_of

_Pair = tuple[dict[str, Any], bytes]

MAY_BE_UNKNOWN = {"ndarray_f16_little", "ndarray_c32_little"}
"""What not every machine has: a reader may give metadata and bytes instead (W-91)."""


def _counting(nbytes: int) -> bytes:
    return bytes((7 * i + 1) % 256 for i in range(nbytes))


def _dtypes() -> dict[str, Object]:
    made: dict[str, Object] = {}
    sizes = {"i": (2, 4, 8), "u": (2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}
    ordered = [(kind, size) for kind, choices in sizes.items() for size in choices]
    for (kind, size), order in itertools.product(ordered, "<>"):
        made[f"{kind}{size}_{'little' if order == '<' else 'big'}"] = _array(
            f"{order}{kind}{size}", 3, _counting(3 * size)
        )
    for text, size in {"|i1": 1, "|u1": 1, "<f16": 16, "<c32": 32, "|S5": 5, "|V7": 7}.items():
        name = text[1:].lower() + ("_little" if text[0] == "<" else "")
        made[name] = _array(text, 2, _counting(2 * size))
    made["u3_big"] = _array(">U1", 2, struct.pack(">2I", 0x61, 0x1F600))
    times = ["<M8", "<M8[Y]", "<M8[25us]", ">M8[as]", "<m8", "<m8[s]", "<m8[7D]"]
    for text in times:
        name = text[1:].replace("M", "time_").replace("m", "span_").replace("[", "_").replace("]", "")
        made[name] = _array(text, 2, _counting(16))
    for text, size in {"float8_e4m3fn": 1, "float8_e5m2": 1}.items():
        made[text] = _array(text, 4, _counting(4 * size))
    fields: dict[str, tuple[list[Any], int]] = {
        "fields_with_gaps": ([["a", "|u1"], ["", "|V3"], ["b", ">f4"], ["", "|V8"]], 16),
        "fields_in_fields": (
            [["head", [["id", "<u2"], ["tag", "|S2"]]], ["points", [["x", "<f4"], ["y", "<f4"]], [2]]],
            20,
        ),
        "fields_with_shapes": ([["m", "<f8", [2, 3]], ["n", "|b1", [8]]], 56),
        "field_with_a_title": ([[["Temperature, Celsius", "t"], "<f4"]], 4),
        "field_of_unicode_name": ([["größe", "<i2"]], 2),
    }
    for name, (description, size) in fields.items():
        made[name] = _array(description, 1, _counting(size) if "shapes" not in name else _counting(48) + b"\1\0" * 4)
    return {f"ndarray_{name}": value for name, value in made.items()}


def _array(dtype: Any, count: int, items: bytes) -> Object:
    return _object((array(dtype, [count], "")[0], items), f"items of {text_of({'dtype': dtype}).decode()}")


def _object(pair: _Pair, meaning: str) -> Object:
    return Object(text_of(pair[0]), pair[1], meaning)


def _shapes() -> dict[str, Object]:
    shapes = {"64_dimensions": [1] * 64, "no_items_of_many": [2**31, 0, 2**31], "four_dimensions": [2, 1, 3, 2]}
    return {
        f"ndarray_{name}": _object(
            (array("|u1", shape, "")[0], _counting(12 if "four" in name else "64" in name)), "a shape"
        )
        for name, shape in shapes.items()
    }


def _images() -> dict[str, Object]:
    made: dict[str, Object] = {}
    channels = {"GRAY": 1, "GRAYA": 2, "RGB": 3, "RGBA": 4, "BGR": 3, "BGRA": 4}
    for (order, count), dtype in itertools.product(channels.items(), ("|u1", "<u2", "<f4", "<i4")):
        pixels = _counting(3 * 2 * count * int(dtype[2]))
        made[f"{order.lower()}_{dtype[1:]}"] = _object(image(order, dtype, 3, 2, pixels), f"{order} of {dtype}")
    made["of_no_pixels"] = _object(image("RGB", "<f4", 0, 5, b""), "five rows of nothing")
    rows = [_counting(12), _counting(12)]
    made["png_rgb_4_by_2"] = _object(image("RGB", "|u1", 4, 2, png(4, 2, rows), "png"), "a PNG file as it is")
    return {f"image_{name}": value for name, value in made.items()}


def _containers() -> dict[str, Object]:
    text: _Pair = ({"type": "text"}, b"deep")
    nested, maps = list_of([text]), map_of({"k": text})
    for level in range(9):
        nested = list_of([nested, ({"type": "json"}, str(level).encode())])
        maps = map_of({"k": maps})
    everything = [
        ({"type": "bytes"}, b""),
        ({"type": "bytes"}, _counting(65)),
        ({"type": "json"}, b'{"a":[null,false]}'),
        array("<f4", [0], ""),
        image("BGR", "|u1", 1, 1, b"\1\2\3"),
        ({"type": "org.example.point", "version": 3}, b"custom"),
        (handle(), PAYLOAD),
        list_of([]),
        map_of({}),
    ]
    many = [({"type": "json"}, str(i).encode()) for i in range(1000)]
    return {
        "list_of_ten_levels": _object(nested, "as deep as lists may be"),
        "map_of_ten_levels": _object(maps, "as deep as maps may be"),
        "list_of_every_type": _object(list_of(everything), "one item of each type, empty ones among them"),
        "map_of_every_type": _object(map_of({str(i): pair for i, pair in enumerate(everything)}), "the same with keys"),
        "list_of_1000_items": _object(list_of(many), "as many as there may be"),
        "map_keeps_its_order": _object(map_of(dict.fromkeys("zaZ10", text)), "keys are in no order but their own"),
        "list_of_gaps": _object(
            ({"type": "list", "items": [
                {"offset": 64, "size": 1, "metadata": {"type": "bytes"}},
                {"offset": 192, "size": 2, "metadata": {"type": "text"}},
            ]}, b"#" * 64 + b"a" + b"#" * 127 + b"bc" + b"#"),
            "readers do not look at what lies between items, or behind the last",
        ),
        "map_empty": _object(map_of({}), "a map without items"),
    }  # fmt: skip


def _alignments() -> dict[str, Object]:
    made: dict[str, Object] = {}
    for size in (2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 127, 128, 129, 191, 192, 255, 4031, 4032, 4033):
        made[f"bytes_{size}"] = _object(({"type": "bytes"}, _counting(size)), "a payload of that size")
    for size in (24, 79, 80, 81, 144, 145, 4048):
        metadata: dict[str, Any] = {"type": "bytes", "": ""}
        metadata[""] = "x" * (size - len(text_of(metadata)))
        made[f"metadata_{size}_bytes"] = _object((metadata, b"\1"), "metadata of that size; keys that nobody knows")
    return made


def _plain() -> dict[str, Object]:
    def json_of(text: bytes) -> _Pair:
        return {"type": "json"}, text

    return {
        "text_of_a_nul": _object(({"type": "text"}, b"\0"), "one NUL"),
        "text_with_bom": _object(({"type": "text"}, b"\xef\xbb\xbfa"), "a byte order mark is a character like others"),
        "text_highest_character": _object(({"type": "text"}, "\U0010ffff\ufffe".encode()), "U+10FFFF, U+FFFE"),
        "json_levels": _object(json_of(b"[" * 60 + b"]" * 60), "lists in lists"),
        "json_floats": _object(json_of(b"[1.0,1e2,-0.0,5e-324,1.7976931348623157e308,0.1]"), "floats stay floats"),
        "json_minus_zero": _object(json_of(b"-0"), "no fraction, no exponent: the integer 0"),
        "json_escapes": _object(json_of(rb'"\u00fc\ud83d\ude00\n\"\\\/\u0000"'), "every sort of escape"),
        "json_with_space": _object(json_of(b' { "a" : [ 1 ,\t2 ] }\r\n'), "space between everything"),
        "json_true": _object(json_of(b"true"), "a lone boolean"),
        "json_text": _object(json_of(b'""'), "a lone, empty string"),
        "json_deep_keys": _object(json_of('{"":{"é":{"object":{"integer":"1"}}}}'.encode()), "keys of all sorts"),
        "type_of_no_name": _object(({"type": ""}, b""), "an empty name is a name that nobody knows"),
        **{
            f"version_{name}": _object(({"type": kind, "version": version}, b"\xff"), "no version that there is")
            for name, kind, version in (
                ("0", "t", 0),
                ("beyond_32_bits", "t", 2**32),
                ("negative", "text", -1),
                ("of_a_text", "text", "1"),
                ("null", "text", None),
                ("true", "text", True),
                ("of_a_float", "json", 1.0),
            )
        },
        "metadata_key_twice": Object(
            b'{"type":"text","type":"bytes","a":1,"a":[]}', b"\xff", "of a key that is there twice the last counts"
        ),
        "custom_highest_version": _object(({"type": "t", "version": 2**32 - 1}, b""), "the highest version"),
        "pickle_of_three_buffers": _object(
            ({"type": "pickle", "size": 5, "buffers": [[64, 3], [128, 0], [128, 65]]},
             b"\x80\x05]N.".ljust(64, b"\0") + b"abc".ljust(64, b"\0") + _counting(65)),
            "buffers out of band, one of them empty; readers may refuse to look",
        ),
    }  # fmt: skip


def more_objects() -> dict[str, Object]:
    return {**_plain(), **_alignments(), **_dtypes(), **_shapes(), **_images(), **_containers()}
