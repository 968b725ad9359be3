# SPDX-License-Identifier: Apache-2.0
"""The table of commands, and what becomes of their errors."""

import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from shmlane.errors import Error

from . import bench, doctor, frames, latest, segments, top, warn

_BROKEN_PIPE = 128 + signal.SIGPIPE

app = typer.Typer(
    help="Look into and use shmlane's queues, streams and tensors in shared memory.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its errors as one line and status 1."""

    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> None:
        try:
            command(*arguments, **options)
        except BrokenPipeError:
            # As other tools end when their reader has seen enough; and Python shall not try to flush once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(_BROKEN_PIPE) from None
        except (Error, OSError, ImportError) as error:
            warn(str(error))
            raise typer.Exit(1) from None

    return run


_SEGMENTS = (segments.ls, segments.stat, segments.rm, top.top, latest.watch, doctor.doctor)
_COMMANDS = (*_SEGMENTS, frames.push, frames.pop, frames.cat)
for _command in (*_COMMANDS, bench.bench):
    app.command(_command.__name__)(_guarded(_command))


def _show_version(wanted: bool) -> None:
    if wanted:
        import shmlane

        typer.echo(f"shmlane {shmlane.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
