# SPDX-License-Identifier: Apache-2.0
"""Check the vectors against the rules, ask every testee about every vector; a table that ends with a verdict."""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..implementations import ALL, ROOT
from .judge import INDEX, faults
from .testees import Testee, new_testee


def vectors_are_right() -> bool:
    """Whether the vectors are what the rules make; says so."""
    done = subprocess.run(
        [sys.executable, "-B", str(ROOT / "wire-format/make_vectors.py"), "--check"], text=True, capture_output=True
    )
    print(done.stdout + done.stderr, end="")
    return done.returncode == 0


def column(testee: Testee) -> tuple[list[str], list[str]]:
    """One testee's name and how many vectors of each group it answers, and what is wrong."""
    cells, wrong = [testee.name], []
    for group, names in INDEX.items():
        found = {name: faults(testee, group, name) for name in names}
        cells.append(f"{sum(not one for one in found.values())} of {len(names)}")
        wrong += [f"{testee.name}: {group}/{name}: {fault}" for name, one in found.items() for fault in one]
    testee.close()
    return cells, wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.vectors.run", description=__doc__)
    parser.add_argument("--cpp", type=Path, help="the C++ testee, instead of the one in the build folder")
    parser.add_argument("testees", nargs="*", choices=[*ALL, []], help="who is asked; all by default")
    arguments = parser.parse_args()
    testees = [new_testee(name, arguments.cpp) for name in arguments.testees or ALL]
    right = vectors_are_right()
    with ThreadPoolExecutor() as pool:
        columns = list(pool.map(column, testees))
    for row in zip(["vectors", *INDEX], *(cells for cells, _ in columns), strict=True):
        print(f"{row[0]:<18}" + "".join(f"{cell:>14}" for cell in row[1:]))
    wrong = [fault for _, faults in columns for fault in faults]
    print("\n".join(wrong))
    count = sum(map(len, INDEX.values()))
    passed = right and not wrong
    print(f"{'PASSED' if passed else 'FAILED'}: {count} vectors, {len(testees)} testees")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
