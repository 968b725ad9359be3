# SPDX-License-Identifier: Apache-2.0
"""The command bench: the benchmarks of the source tree that this package is used from."""

import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer

import shmlane

from . import warn

_ROOT = Path(shmlane.__file__).parents[2]


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="What matters most, in less than three minutes.")] = False,
    only: Annotated[
        str | None, typer.Option("--only", help="Cases whose name has this regular expression.", metavar="PATTERN")
    ] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", help="Rounds of each contender.", min=1)] = None,
) -> None:
    """Compare shmlane with its peers and with the machine's limits, and say which goals are met.

    Works from a source tree alone (an editable install), because the peers are built there.
    """
    if not (_ROOT / "benchmarks" / "run.py").exists():
        warn("the benchmarks are not part of the package: run `make bench` in a clone of shmlane's repository")
        raise typer.Exit(1)
    arguments = [*(("--only", only) if only else ()), *(("--rounds", str(rounds)) if rounds else ())]
    # To make, a dollar sign is its own.
    words = shlex.join(arguments).replace("$", "$$")
    target = "bench-quick" if quick else "bench"
    raise typer.Exit(subprocess.run(["make", "-C", str(_ROOT), target, f"BENCH_ARGS={words}"], check=False).returncode)
