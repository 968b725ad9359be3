# SPDX-License-Identifier: Apache-2.0
"""The command watch: the newest values of a stream, as numbers and as a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from shmlane import stream
from shmlane.errors import InvalidArgument, UnsupportedType

from .describe import printable

_WHITE = 255


def watch(
    name: Annotated[str, typer.Argument(help="Name of the stream.")],
    interval: Annotated[float, typer.Option("--interval", "-i", help="Look so often.", metavar="SECONDS")] = 1.0,
    count: Annotated[int | None, typer.Option("--count", "-n", help="End after so many lines.", min=1)] = None,
    image: Annotated[
        Path | None, typer.Option(help="Write the current value as a picture (2-D, or H x W x C), and end.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON each time.")] = False,
) -> None:
    """Watch a stream: how often it is written, how old its value is, and the least, largest and mean of its items."""
    if not 0.001 <= interval <= 3600:
        raise InvalidArgument("--interval is between 0.001 and 3600 seconds")
    with stream.open(name) as source:
        if image is not None:
            _save(np.asarray(source), image)
            return
        looks = _looks(source, interval)
        for _, look in zip(range(count) if count else iter(int, 1), looks, strict=False):
            print(json.dumps(look) if as_json else _line(look), flush=True)


def _looks(source: stream.Stream, interval: float) -> Iterator[dict[str, Any]]:
    value = np.asarray(source)  # of the host's memory, wherever the stream lives
    while True:
        before, start = source.count, time.monotonic()
        time.sleep(interval)
        source.read(value)
        written = source.last_read
        rate = (source.count - before) / (time.monotonic() - start)
        yield {"name": source.name, "count": written, "rate": rate, "age": source.age, **_statistics(value)}


def _statistics(value: NDArray[Any]) -> dict[str, float | None]:
    if value.dtype.kind not in "biuf" or not value.size:
        return {"min": None, "max": None, "mean": None}
    return {"min": value.min().item(), "max": value.max().item(), "mean": float(value.mean(dtype=np.float64))}


def _line(look: dict[str, Any]) -> str:
    age = "never written" if look["age"] is None else f"age {look['age'] * 1000:.3f} ms"
    items = "" if look["min"] is None else f"  min {look['min']:g}  max {look['max']:g}  mean {look['mean']:g}"
    return f"{printable(look['name'])}  count {look['count']}  {look['rate']:.1f}/s  {age}{items}"


def _save(value: NDArray[Any], path: Path) -> None:
    try:
        from PIL import Image
    except ImportError:
        raise UnsupportedType("pictures need Pillow: install shmlane[image]") from None
    Image.fromarray(_pixels(value)).save(path)


def _pixels(value: NDArray[Any]) -> NDArray[np.uint8]:
    """8-bit pixels: bytes as they are, everything else from its least (black) to its largest (white) number."""
    if value.ndim == 3 and value.shape[2] == 1:
        value = value[:, :, 0]
    if value.ndim != 2 and not (value.ndim == 3 and value.shape[2] in (3, 4)):
        raise UnsupportedType(f"a value of shape {value.shape} is no picture: that is H x W, or H x W x 1, 3 or 4")
    if value.dtype.kind not in "biuf" or not value.size:
        raise UnsupportedType(f"a value of {value.dtype} and shape {value.shape} is no picture")
    if value.dtype == np.uint8:
        return value
    numbers = np.nan_to_num(value.astype(np.float64), posinf=0.0, neginf=0.0)
    least, largest = numbers.min(), numbers.max()
    scale = _WHITE / (largest - least) if largest > least else 0.0
    pixels: NDArray[np.uint8] = ((numbers - least) * scale).round().astype(np.uint8)
    return pixels
