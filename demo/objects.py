# SPDX-License-Identifier: Apache-2.0
"""What the demo sends: photographs at several sizes, arrays, dicts and text, and how long they are."""

from __future__ import annotations

import importlib.util
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shmlane import AsImage

PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "retina.jpg",
    "camera.png",
    "coins.png",
    "moon.png",
    "brick.png",
    "gravel.png",
)
SCALES = (0.5, 1, 2)

Item = dict[str, Any]


def photographs() -> list[tuple[str, Image.Image]]:
    """Those that ship inside the scikit-image package, without importing it."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit("the demo's photographs are those of scikit-image: pip install 'shmlane[demo]'")
    folder = Path(package.origin).parent / "data"
    files = [folder / file for file in PHOTOGRAPHS if (folder / file).is_file()]
    if not files:
        raise SystemExit(f"this scikit-image has none of its photographs in {folder}")
    return [(file.stem.replace("_", " "), Image.open(file)) for file in files]


def make_items() -> list[Item]:
    """The mix, over and over again. The last value of each dict is the object proper."""
    items: list[Item] = []
    for name, photograph in photographs():
        photograph.load()
        for scale in SCALES:
            resized = photograph.resize((round(photograph.width * scale), round(photograph.height * scale)))
            # As Pillow has it, and as pixels in an array, which need no packing.
            items.append({"photo": resized if scale < 1 else AsImage(np.asarray(resized))})
        items.append({"array": np.asarray(photograph.convert("L"), np.float32) / 255})
        items.append({"name": name, "size": list(photograph.size), "histogram": photograph.histogram()})
        items.append({"text": f"{name} is a photograph of {photograph.width} x {photograph.height} pixels."})
    return items


def originals(items: list[Item]) -> dict[int, Image.Image]:
    """The photographs at their own size, by their place in the mix."""
    per_photograph = len(SCALES) + 3
    indices = range(SCALES.index(1), len(items), per_photograph)
    return {index: Image.fromarray(items[index]["photo"].pixels) for index in indices}


def stamped(items: list[Item], seconds: float) -> Iterator[Any]:
    """The mix for so many seconds, at least once; each object carries its index and the moment at which it sets out."""
    end = time.monotonic() + seconds
    for number in itertools.count():
        if number >= len(items) and time.monotonic() > end:
            return
        index = number % len(items)
        item = items[index]
        sent = time.monotonic_ns()
        yield f"{sent} {index} {item['text']}" if "text" in item else {"sent": sent, "index": index, **item}


def first_channel(photo: Image.Image | AsImage) -> Image.Image | AsImage:
    if isinstance(photo, Image.Image):
        return photo.getchannel(0)
    pixels = photo.pixels
    return AsImage(np.ascontiguousarray(pixels[:, :, 0]) if pixels.ndim == 3 else pixels)


def size_of(item: Item) -> int:
    """Bytes of the object proper: pixels, items, UTF-8 or JSON."""
    obj = next(reversed(item.values()))
    if isinstance(obj, AsImage):
        return obj.pixels.nbytes
    if isinstance(obj, Image.Image):
        return obj.width * obj.height * len(obj.getbands())
    if isinstance(obj, np.ndarray):
        return obj.nbytes
    return len(obj.encode()) if isinstance(obj, str) else len(json.dumps(item))
