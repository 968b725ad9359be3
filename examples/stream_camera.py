# SPDX-License-Identifier: Apache-2.0
"""A camera that writes a thousand pictures a second, a viewer that looks now and then, a logger that wants them all."""

import multiprocessing
import time

import numpy as np

from shmlane import stream

PICTURES = 1000
SHAPE = (120, 160)


def photograph() -> None:
    """Never waits for anybody: who is too slow gets the next picture."""
    with stream.open("camera") as camera:
        begin = time.monotonic()
        for number in range(PICTURES):
            with camera.write_view() as picture:
                picture[:] = number % 256
            time.sleep(max(0.0, begin + (number + 1) / 1000 - time.monotonic()))


def log() -> None:
    """Sleeps until there is a new picture; those that it missed are counted."""
    with stream.open("camera") as camera:
        picture, logged = camera.read(), 0
        while camera.last_read < PICTURES:
            camera.read_after(camera.last_read, timeout=60, out=picture)
            logged += 1
        print(f"logger: {logged} pictures, {camera.missed} missed, the last one {picture.mean():.0f}")


def main() -> None:
    with stream.stream("camera", SHAPE, np.uint8) as camera:
        context = multiprocessing.get_context("spawn")
        others = [context.Process(target=log), context.Process(target=photograph)]
        for other in others:
            other.start()
        while camera.count < PICTURES:  # the viewer: ten looks a second, whatever the camera does
            picture = camera.read()
            print(f"viewer: picture {camera.last_read}, {picture.mean():.0f}")
            time.sleep(0.1)
        for other in others:
            other.join()


if __name__ == "__main__":
    main()
