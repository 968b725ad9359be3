# SPDX-License-Identifier: Apache-2.0
"""Sends pictures to cpp/examples/opencv_consumer.cpp: the files named on the command line, or three that it paints."""

import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image

from shmlane import Producer


def pictures() -> Iterator[Image.Image]:
    for path in sys.argv[1:]:
        yield Image.open(path)
    if not sys.argv[1:]:
        y, x = np.mgrid[0:240, 0:320]
        for radius in (40, 80, 120):
            disc = (x - 160) ** 2 + (y - 120) ** 2 < radius**2
            yield Image.fromarray(np.where(disc, 255, 0).astype(np.uint8))


with Producer("pictures") as tx:
    for picture in pictures():
        tx.push(picture)
