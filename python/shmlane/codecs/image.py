# SPDX-License-Identifier: Apache-2.0
"""Codec of image: pictures as raw pixels, PNG or JPEG, with the order of their channels (SPEC section 8).

Pillow is looked for only when a picture comes by.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shmlane.codec import Codec, Context, Encoded, Metadata, Take, Undecodable, is_count, piece_of
from shmlane.errors import Corrupt, InvalidArgument, UnsupportedType

from .ndarray import describe_dtype, parse_dtype

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray
    from PIL.Image import Image

CHANNELS = {"GRAY": 1, "GRAYA": 2, "RGB": 3, "RGBA": 4, "BGR": 3, "BGRA": 4}
_MODES = {
    "L": ("GRAY", "|u1"),
    "LA": ("GRAYA", "|u1"),
    "RGB": ("RGB", "|u1"),
    "RGBA": ("RGBA", "|u1"),
    "I;16": ("GRAY", "<u2"),
    "I": ("GRAY", "<i4"),
    "F": ("GRAY", "<f4"),
}
_MODE_OF = {pixels: mode for mode, pixels in _MODES.items()}
_DTYPES = {"raw": ("|u1", "<u2", "<i4", "<f4"), "png": ("|u1", "<u2"), "jpeg": ("|u1",)}
_MAX_EXTENT = 2**31 - 1
_FILE_MODES = {"png": ("L", "LA", "RGB", "RGBA", "I;16"), "jpeg": ("L", "RGB")}


@dataclass(frozen=True)
class AsImage:
    """Pushes ``pixels`` as an image, whatever the handle's image encoding is.

    pixels: a Pillow image, or an array of shape (height, width) or (height, width, channels).
    order: of an array's channels, "GRAY", "GRAYA", "RGB", "RGBA", "BGR" or "BGRA"; by default the one without a B first
    that has so many channels.
    encoding: "raw", "png" or "jpeg"; files hold 8-bit channels, PNG also 16-bit GRAY.
    quality: of JPEG, 1 to 95; of PNG the compression level, 0 to 9.
    """

    pixels: Any
    order: str | None = None
    encoding: str = "raw"
    quality: int | None = None


class _Pixels(NamedTuple):
    width: int
    height: int
    order: str
    dtype: str

    def metadata(self, encoding: str) -> Metadata:
        return {
            "type": "image",
            "encoding": encoding,
            "width": self.width,
            "height": self.height,
            "channels": CHANNELS[self.order],
            "dtype": self.dtype,
            "order": self.order,
        }

    @property
    def shape(self) -> tuple[int, ...]:
        channels = CHANNELS[self.order]
        return (self.height, self.width) if channels == 1 else (self.height, self.width, channels)

    @property
    def mode(self) -> str | None:
        """Pillow's mode for them once they are in RGB order; None if it has no such."""
        return _MODE_OF.get((self.order.replace("BGR", "RGB"), self.dtype))


def is_image(obj: Any) -> bool:
    if isinstance(obj, AsImage):
        return True
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(obj, pillow.Image)


def check_encoding(encoding: str, quality: int | None) -> None:
    """Raises InvalidArgument."""
    if encoding not in _DTYPES:
        raise InvalidArgument(f"the image encoding {encoding!r} is none of {', '.join(_DTYPES)}")
    low, high = (0, 9) if encoding == "png" else (1, 95)
    if quality is not None and not (encoding != "raw" and low <= quality <= high):
        raise InvalidArgument(f"image quality {quality!r} for {encoding}: PNG takes 0 to 9, JPEG 1 to 95, raw none")


def image_metadata(shape: tuple[int, ...], dtype: np.dtype[Any], order: str | None) -> Metadata:
    """Metadata of raw pixels of that shape. Raises InvalidArgument or UnsupportedType."""
    return _describe(shape, dtype, order).metadata("raw")


def _describe(shape: tuple[int, ...], dtype: np.dtype[Any], order: str | None) -> _Pixels:
    channels = shape[2] if len(shape) == 3 else 1
    order = order or {1: "GRAY", 2: "GRAYA", 3: "RGB", 4: "RGBA"}.get(channels, "")
    if len(shape) not in (2, 3) or CHANNELS.get(order) != channels:
        raise InvalidArgument(
            f"an array of shape {shape} is no image in the order {order or '?'}: give (height, width) or "
            f"(height, width, channels) and one of {', '.join(CHANNELS)}"
        )
    description = describe_dtype(dtype)
    if not isinstance(description, str) or description not in _DTYPES["raw"]:
        raise UnsupportedType(f"pixels of {dtype} are no image: they are of one of {', '.join(_DTYPES['raw'])}")
    return _Pixels(shape[1], shape[0], order, description)


def _encode(obj: Any, context: Context) -> Encoded:
    wanted = obj if isinstance(obj, AsImage) else AsImage(obj, None, context.image_encoding, context.image_quality)
    check_encoding(wanted.encoding, wanted.quality)
    if isinstance(wanted.pixels, np.ndarray):
        pixels = _describe(wanted.pixels.shape, wanted.pixels.dtype, wanted.order)
        if wanted.encoding == "raw":
            return Encoded(pixels.metadata("raw"), (piece_of(wanted.pixels),), wanted.pixels.nbytes)
        data = np.ascontiguousarray(wanted.pixels).reshape(-1).view(np.uint8)
        return _encode_file(_new_image(pixels, data.data, False), wanted)
    if not is_image(wanted.pixels) or isinstance(wanted.pixels, AsImage):
        raise UnsupportedType(f"a {type(wanted.pixels).__name__} is no image: give a Pillow image or a NumPy array")
    image: Image = wanted.pixels
    if wanted.encoding != "raw":
        return _encode_file(image, wanted)
    order, dtype = _pixels_of(image)
    raw = image.tobytes()
    return Encoded(_Pixels(*image.size, order, dtype).metadata("raw"), (raw,), len(raw))


def _pixels_of(image: Image) -> tuple[str, str]:
    if image.mode not in _MODES:
        raise UnsupportedType(
            f"images of mode {image.mode!r} are not supported, only {', '.join(_MODES)}: use image.convert('RGB')"
        )
    return _MODES[image.mode]


def _encode_file(image: Image | None, wanted: AsImage) -> Encoded:
    modes = _FILE_MODES[wanted.encoding]
    if image is None or image.mode not in modes:
        mode = "such pixels" if image is None else f"mode {image.mode!r}"
        raise UnsupportedType(f"{wanted.encoding} cannot hold {mode} here, only {', '.join(modes)}: convert the image")
    options: dict[str, Any] = {}
    if wanted.quality is not None:
        options["compress_level" if wanted.encoding == "png" else "quality"] = wanted.quality
    file = io.BytesIO()
    try:
        image.save(file, wanted.encoding, **options)
    except (OSError, ValueError, SystemError) as error:
        raise InvalidArgument(f"Pillow cannot write this image as {wanted.encoding}: {error}") from None
    payload = file.getbuffer()
    return Encoded(_Pixels(*image.size, *_MODES[image.mode]).metadata(wanted.encoding), (payload,), payload.nbytes)


def _pillow() -> ModuleType:
    try:
        import PIL.Image
    except ImportError:
        raise Undecodable("images need Pillow: pip install 'shmlane[image]'") from None
    return PIL.Image


def _parse(metadata: Metadata) -> _Pixels:
    width, height, channels = (metadata.get(key) for key in ("width", "height", "channels"))
    order, dtype, encoding = metadata.get("order"), metadata.get("dtype"), metadata.get("encoding")
    texts = isinstance(order, str) and isinstance(dtype, str) and isinstance(encoding, str)
    if not (texts and is_count(width) and is_count(height) and CHANNELS.get(str(order)) == channels):
        raise Corrupt(f"this metadata describes no image: {str(metadata)[:300]}")
    if dtype not in _DTYPES.get(str(encoding), ()):
        raise Undecodable(f"images as {str(encoding)[:40]!r} of {str(dtype)[:40]!r} are unknown here")
    pixels = _Pixels(int(width or 0), int(height or 0), str(order), str(dtype))
    if max(pixels.shape) > _MAX_EXTENT or (encoding != "raw" and pixels.order.startswith("BGR")):
        raise Corrupt(f"an image cannot be like this: {str(metadata)[:300]}")
    return pixels


def view_pixels(metadata: Metadata, payload: memoryview) -> NDArray[Any]:
    """Raw pixels as an array in the order that the metadata says. Raises Corrupt."""
    pixels = _parse(metadata)
    dtype = parse_dtype(pixels.dtype)
    if pixels.width * pixels.height * CHANNELS[pixels.order] * dtype.itemsize != payload.nbytes:
        raise Corrupt(f"an image's payload of {payload.nbytes} bytes is not what its metadata says: {metadata}")
    try:
        return np.ndarray(pixels.shape, dtype, payload)
    except (ValueError, OverflowError) as error:
        raise Corrupt(f"an image of {pixels.shape} cannot be: {error}") from None


def _decode(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> Any:
    pixels = _parse(metadata)
    if metadata["encoding"] != "raw":
        return _decode_file(pixels, metadata["encoding"], payload)
    array = view_pixels(metadata, payload)
    if pixels.mode is not None:
        return _new_image(pixels, payload, take is not Take.COPY)
    if pixels.order.startswith("BGR"):
        array = array[..., [2, 1, 0, 3][: array.shape[-1]]]
    elif take is Take.COPY:
        array = array.copy()
    return array


def _new_image(pixels: _Pixels, payload: memoryview, in_place: bool) -> Image | None:
    """A Pillow image in RGB order, in place where Pillow can; None if it has no mode for such pixels."""
    mode, size = pixels.mode, (pixels.width, pixels.height)
    if mode is None:
        return None
    raw_mode = pixels.order if pixels.order.startswith("BGR") else mode
    pillow = _pillow()
    try:
        image: Image = (
            pillow.frombuffer(mode, size, payload, "raw", raw_mode, 0, 1)
            if in_place
            else pillow.frombytes(mode, size, payload, "raw", raw_mode)
        )
    except (ValueError, OverflowError, MemoryError) as error:
        raise Corrupt(f"an image of {size} pixels cannot be: {error}") from None
    return image


def _decode_file(pixels: _Pixels, encoding: str, payload: memoryview) -> Image:
    mode = pixels.mode
    if mode not in _FILE_MODES[encoding]:
        raise Undecodable(f"Pillow cannot read {encoding} of {pixels.dtype} {pixels.order} without loss")
    pillow = _pillow()
    try:
        image: Image = pillow.open(io.BytesIO(payload), formats=(encoding,))
        if image.size != (pixels.width, pixels.height):
            raise Corrupt(f"the {encoding} is of {image.size} pixels, its metadata says {pixels.width, pixels.height}")
        image.load()
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        if isinstance(error, Corrupt):
            raise
        raise Corrupt(f"an image's {encoding} cannot be read: {error}") from None
    return image if image.mode == mode else image.convert(mode)


IMAGE = Codec("image", _encode, _decode)
