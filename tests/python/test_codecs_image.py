# SPDX-License-Identifier: Apache-2.0
"""The codec of image."""

import builtins
import io
import logging
import sys
from typing import Any

import numpy as np
import pytest
from frames import decode, encode, there_and_back
from PIL import Image

import shmlane
from shmlane import AsImage
from shmlane.codec import Take
from shmlane.errors import Corrupt, InvalidArgument, UnsupportedType

ITEMSIZE = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 2, "I": 4, "F": 4}


def picture(mode: str, size: tuple[int, int] = (5, 3)) -> Image.Image:
    nbytes = size[0] * size[1] * ITEMSIZE[mode]
    return Image.frombytes(mode, size, (np.arange(nbytes) * 7 % 251).astype(np.uint8).tobytes())


def metadata_of(encoding: str = "raw", order: str = "RGB", dtype: str = "|u1", **more: Any) -> dict[str, Any]:
    channels = {"GRAY": 1, "GRAYA": 2, "RGB": 3, "BGR": 3}.get(str(order), 4)
    metadata = {"type": "image", "encoding": encoding, "width": 2, "height": 1, "channels": channels}
    return {**metadata, "dtype": dtype, "order": order, **more}


@pytest.mark.parametrize("take", Take)
@pytest.mark.parametrize("mode", ITEMSIZE)
def test_every_mode_crosses_raw(mode: str, take: Take) -> None:
    original = picture(mode)
    back = there_and_back(original, take)
    assert isinstance(back, Image.Image)
    assert (back.mode, back.size, back.tobytes()) == (original.mode, original.size, original.tobytes())


def test_the_metadata_is_as_specified() -> None:
    assert encode(picture("RGB"))[0].decode() == (
        '{"type":"image","encoding":"raw","width":5,"height":3,"channels":3,"dtype":"|u1","order":"RGB"}'
    )
    assert b'"channels":1,"dtype":"<u2","order":"GRAY"' in encode(picture("I;16"))[0]


def test_an_empty_picture_crosses() -> None:
    assert there_and_back(Image.new("RGB", (0, 4))).size == (0, 4)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "PA", "I;16B"])
def test_other_modes_are_refused_with_a_hint(mode: str) -> None:
    with pytest.raises(UnsupportedType, match="convert"):
        encode(Image.new(mode, (2, 2)))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_png_is_without_loss(mode: str) -> None:
    original = picture(mode, (40, 30))
    metadata, payload = encode(original, image_encoding="png")
    assert bytes(payload[:4]) == b"\x89PNG"
    assert b'"encoding":"png"' in metadata
    back = decode(metadata, payload)
    assert (back.mode, back.tobytes()) == (mode, original.tobytes())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_is_nearly_so(mode: str) -> None:
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    original = Image.fromarray(ramp).convert(mode)
    small = encode(original, image_encoding="jpeg", image_quality=20)[1]
    metadata, payload = encode(original, image_encoding="jpeg", image_quality=95)
    assert small.nbytes < payload.nbytes < original.width * original.height * 3
    back = decode(metadata, payload)
    assert back.mode == mode
    assert np.abs(np.asarray(back, int) - np.asarray(original, int)).max() < 10


@pytest.mark.parametrize(
    ("mode", "encoding"), [("RGBA", "jpeg"), ("I;16", "jpeg"), ("I", "png"), ("F", "png"), ("F", "jpeg"), ("P", "png")]
)
def test_what_a_file_cannot_hold_without_loss_is_refused(mode: str, encoding: str) -> None:
    with pytest.raises(UnsupportedType, match=encoding):
        encode(Image.new(mode, (2, 2)), image_encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "quality"), [("gif", None), ("raw", 5), ("jpeg", 0), ("jpeg", 101), ("png", 10), ("png", -1)]
)
def test_an_encoding_or_quality_that_is_none_is_refused(encoding: str, quality: int | None) -> None:
    with pytest.raises(InvalidArgument):
        encode(AsImage(picture("RGB"), encoding=encoding, quality=quality))


@pytest.mark.parametrize(("order", "expected"), [("BGR", "RGB"), ("BGRA", "RGBA")])
@pytest.mark.parametrize("take", Take)
def test_bgr_pixels_arrive_as_an_rgb_picture(order: str, expected: str, take: Take) -> None:
    pixels = np.arange(2 * 3 * len(order), dtype=np.uint8).reshape(2, 3, -1)
    back = there_and_back(AsImage(pixels, order=order), take)
    assert back.mode == expected
    swapped = pixels[..., [2, 1, 0, 3][: len(order)]]
    assert np.array_equal(np.asarray(back), swapped)


@pytest.mark.parametrize("take", Take)
def test_pixels_that_pillow_has_no_mode_for_arrive_as_an_array_in_rgb_order(take: Take) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint16).reshape(2, 3, 3)
    assert np.array_equal(there_and_back(AsImage(pixels, order="BGR"), take), pixels[..., ::-1])
    assert np.array_equal(there_and_back(AsImage(pixels), take), pixels)


def test_an_array_crosses_as_a_picture_if_asked() -> None:
    pixels = np.arange(4 * 6, dtype=np.uint8).reshape(4, 6)
    assert np.array_equal(np.asarray(there_and_back(AsImage(pixels))), pixels)
    assert np.array_equal(np.asarray(there_and_back(AsImage(pixels[:, ::2]))), pixels[:, ::2])
    png = there_and_back(AsImage(np.dstack([pixels] * 3), order="BGR", encoding="png", quality=1))
    assert np.array_equal(np.asarray(png), np.dstack([pixels] * 3))


@pytest.mark.parametrize(
    ("pixels", "order", "error"),
    [
        (np.zeros(3, "u1"), None, InvalidArgument),
        (np.zeros((2, 2, 5), "u1"), None, InvalidArgument),
        (np.zeros((2, 2, 3), "u1"), "RGBA", InvalidArgument),
        (np.zeros((2, 2, 3), "u1"), "rgb", InvalidArgument),
        (np.zeros((2, 2), "f8"), None, UnsupportedType),
        (np.zeros((2, 2), ">u2"), None, UnsupportedType),
        (np.zeros((2, 2), "?"), None, UnsupportedType),
        (b"abc", None, UnsupportedType),
    ],
)
def test_what_is_no_picture_is_refused(pixels: Any, order: str | None, error: type[Exception]) -> None:
    with pytest.raises(error):
        encode(AsImage(pixels, order))


@pytest.mark.parametrize(
    "metadata",
    [
        metadata_of(width=3),
        metadata_of(width=-2),
        metadata_of(width=2.0),
        metadata_of(width=True, height=2),
        metadata_of(width=2**40, height=2**40),
        metadata_of(width=2**31, height=0),
        metadata_of(channels=4),
        metadata_of(order="XYZ"),
        metadata_of(order=None),
        metadata_of(order=["RGB"]),
        metadata_of(dtype=["u1"]),
        metadata_of(dtype="<u2"),
        metadata_of("png", "BGR"),
        metadata_of("png"),
        metadata_of("jpeg"),
        metadata_of(encoding=None),
        {"type": "image"},
    ],
)
def test_a_picture_that_cannot_be_is_corrupt(metadata: dict[str, Any]) -> None:
    with pytest.raises(Corrupt):
        decode(metadata, bytes(6))


def test_a_file_of_other_extents_than_the_metadata_says_is_corrupt() -> None:
    file = io.BytesIO()
    picture("RGB").save(file, "png")
    with pytest.raises(Corrupt, match="pixels"):
        decode(metadata_of("png"), file.getvalue())


def test_a_truncated_file_is_corrupt() -> None:
    metadata, payload = encode(picture("RGB", (100, 100)), image_encoding="png")
    with pytest.raises(Corrupt, match="png"):
        decode(metadata, payload[:200])


@pytest.mark.parametrize(
    "metadata",
    [metadata_of("webp"), metadata_of(dtype="<f8"), metadata_of("jpeg", dtype="<u2"), metadata_of("png", dtype="<u2")],
)
def test_an_encoding_that_is_unknown_or_unreadable_here_arrives_raw(
    metadata: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "shmlane"):
        assert decode(metadata, b"123456") == shmlane.RawObject(metadata, b"123456")
    assert len(caplog.records) == 1


def test_without_pillow_a_picture_arrives_raw(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    metadata, payload = encode(picture("RGB"))
    genuine = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    back = decode(metadata, payload)
    assert isinstance(back, shmlane.RawObject)
    assert "Pillow" in caplog.text


def test_importing_shmlane_does_not_import_its_optional_packages() -> None:
    import subprocess

    code = "import sys, shmlane; print([m for m in ('PIL', 'ml_dtypes', 'typer', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
