# SPDX-License-Identifier: Apache-2.0
"""The contact sheet: each photograph beside what came back of it."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

_CELL = (240, 200)
_GAP = 8
_PAIRS_PER_ROW = 3


def write_sheet(pairs: list[tuple[Image.Image, Image.Image]], path: Path) -> None:
    rows = -(-len(pairs) // _PAIRS_PER_ROW)
    width, height = _CELL
    pair_width = 2 * width + 2 * _GAP
    sheet = Image.new("RGB", (_PAIRS_PER_ROW * pair_width + _GAP, rows * (height + _GAP) + _GAP), "white")
    for number, pair in enumerate(pairs):
        row, column = divmod(number, _PAIRS_PER_ROW)
        for side, image in enumerate(pair):
            place = (_GAP + column * pair_width + side * width, _GAP + row * (height + _GAP))
            sheet.paste(ImageOps.fit(image.convert("RGB"), _CELL), place)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
