# SPDX-License-Identifier: Apache-2.0
"""The table of commands."""

from typing import Annotated

import typer

from . import frames, segments

app = typer.Typer(
    help="Look into and use shmlane's queues in shared memory.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("ls")(segments.ls)
app.command("stat")(segments.stat)
app.command("rm")(segments.rm)
app.command("push")(frames.push)
app.command("pop")(frames.pop)
app.command("cat")(frames.cat)


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
