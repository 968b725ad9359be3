# SPDX-License-Identifier: Apache-2.0
"""Set every implementation against every other in every case, and print a table of pairs and cases with a verdict."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from ..implementations import ALL
from .crosses import CASES, mixed, mixed_kills
from .world import World


def outcome(case: Callable[..., object], *arguments: object) -> str:
    """Seconds that it took, or FAILED, with the reason on the other stream."""
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="shmlane-cross-") as folder, World(Path(folder)) as world:
            case(world, *arguments)
    except Exception:
        traceback.print_exc()
        return "FAILED"
    return f"{time.monotonic() - started:.1f} s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.cross.run", description=__doc__)
    parser.add_argument("--sources", nargs="*", choices=ALL, default=ALL)
    parser.add_argument("--targets", nargs="*", choices=ALL, default=ALL)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--no-mixes", action="store_true", help="leave out the rows of all implementations in one ring")
    asked = parser.parse_args()
    rows: list[list[str]] = [["source to target", *asked.cases]]
    print_row(rows[0])
    for source, target in itertools.product(asked.sources, asked.targets):
        cells = [outcome(CASES[name], source, target) for name in asked.cases]
        rows.append([f"{source} to {target}", *cells])
        print_row(rows[-1])
    if not asked.no_mixes:
        for name, mix, size in (("all in one ring", mixed, 120_000), ("all killed at random", mixed_kills, 20)):
            rows.append([name, outcome(mix, ALL, size)])
            print_row(rows[-1])
    cells = [cell for row in rows[1:] for cell in row[1:]]
    failed = cells.count("FAILED")
    print(f"{'FAILED' if failed else 'PASSED'}: {len(cells) - failed} of {len(cells)} cells")
    return 1 if failed else 0


def print_row(row: list[str]) -> None:
    print(f"{row[0]:<22}" + "".join(f"{cell:>14}" for cell in row[1:]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
