# SPDX-License-Identifier: Apache-2.0
"""The commands push, pop and cat: frames between a queue, the standard streams and people."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from shmlane import _backend
from shmlane.codec import parse_metadata
from shmlane.errors import Empty
from shmlane.queue import Consumer, Producer
from shmlane.sizes import parse_size
from shmlane.stdio import DEFAULT_MAX_FRAME

from .describe import json_of, line_of

Frame = tuple[bytes, memoryview]

_STDIN, _STDOUT = 0, 1

_Name = Annotated[str, typer.Argument(help="Name of the queue.")]
_Count = Annotated[int | None, typer.Option("--count", "-n", help="Take so many objects at most.", min=0)]
_Patience = Annotated[
    float | None,
    typer.Option("--timeout", help="Stop when nothing came for so long; 0 takes what is there.", metavar="SECONDS"),
]
_MaxFrame = Annotated[str, typer.Option(help="Refuse frames that would take more memory.", metavar="SIZE")]


def push(
    name: _Name,
    text: Annotated[list[str] | None, typer.Option(help="Push this text, not standard input.")] = None,
    file: Annotated[
        list[Path] | None, typer.Option(help="Push this file's contents as bytes, not standard input.")
    ] = None,
    capacity: Annotated[str | None, typer.Option(help='Size of the ring, as in "64MiB".', metavar="SIZE")] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Give up when there is no room for so long.", metavar="SECONDS")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(help="Wait so long for the first consumer; by default fill the ring.", metavar="SECONDS"),
    ] = None,
    max_frame: _MaxFrame = f"{DEFAULT_MAX_FRAME >> 30}GiB",
) -> None:
    """Push frames from standard input.

    They come in the stdio framing, as shmlane pop and StdioProducer write it: shmlane push NAME < frames.
    """
    objects: list[str | bytes] = [*(text or ()), *(path.read_bytes() for path in file or ())]
    if not objects and sys.stdin.isatty():
        raise typer.BadParameter("frames come from standard input, which is a terminal; use --text or --file")
    limit = parse_size(max_frame)
    with Producer(name, capacity, wait_for_consumer=wait) as producer:
        if objects:
            producer.push_many(objects, timeout)
            return
        for metadata, payload in _frames_of_stdin(limit):
            producer._native.push(metadata, [payload], timeout)


def pop(name: _Name, count: _Count = None, timeout: _Patience = None) -> None:
    """Write a queue's objects to standard output.

    They go in the stdio framing, for shmlane push, shmlane cat and StdioConsumer: shmlane pop NAME > frames.
    """
    if sys.stdout.isatty():
        raise typer.BadParameter("frames are not for a terminal: redirect standard output, or use shmlane cat")
    writer = _backend.active.StdioWriter(_STDOUT)
    for metadata, payload in _frames_of_queue(name, count, timeout):
        writer.write(metadata, [payload])
    writer.end()


def cat(
    source: Annotated[
        str, typer.Argument(help="Name of a queue, whose objects are taken, or - for standard input.")
    ] = "-",
    as_json: Annotated[bool, typer.Option("--json", help="Write a line of JSON for each object.")] = False,
    count: _Count = None,
    timeout: _Patience = None,
    max_frame: _MaxFrame = f"{DEFAULT_MAX_FRAME >> 30}GiB",
) -> None:
    """Show objects, one line each."""
    write = json_of if as_json else line_of
    if source == "-":
        frames = _frames_of_stdin(parse_size(max_frame), count)
    else:
        frames = _frames_of_queue(source, count, timeout)
    for metadata, payload in frames:
        print(write(parse_metadata(metadata), payload), flush=True)


def _frames_of_stdin(max_frame: int, count: int | None = None) -> Iterator[Frame]:
    reader = _backend.active.StdioReader(_STDIN, max_frame)
    while count != 0 and (frame := reader.read()) is not None:
        count = None if count is None else count - 1
        yield frame[0], memoryview(frame[1])


def _frames_of_queue(name: str, count: int | None, timeout: float | None) -> Iterator[Frame]:
    """Until the end of stream, or the count, or a time-out, which is an error only if nothing came before."""
    taken = 0
    with Consumer(name) as consumer:
        while taken != count:
            try:
                lease = consumer._native.acquire(timeout)
            except Empty:
                if not taken:
                    raise
                return
            if lease is None:
                return
            taken += 1
            yield lease.metadata, memoryview(lease)
