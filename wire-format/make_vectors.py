#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write vectors/v1 anew from the rules of SPEC.md, or, with --check, say what in it is not what the rules give."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vectormaker.arrays import valid_arrays
from vectormaker.bad_arrays import invalid_arrays
from vectormaker.bad_segments import invalid_segments
from vectormaker.frames import Vector, invalid_frames, valid_frames
from vectormaker.segments import valid_rings
from vectormaker.segments_held import valid_holds
from vectormaker.segments_life import valid_lives
from vectormaker.streams import invalid_streams, valid_streams

ROOT = Path(__file__).parent / "vectors" / "v1"
GROUPS = {
    "frame/valid": valid_frames,
    "frame/invalid": invalid_frames,
    "segment/valid": lambda: itertools.chain(valid_rings(), valid_holds(), valid_lives()),
    "segment/invalid": invalid_segments,
    "array/valid": valid_arrays,
    "array/invalid": invalid_arrays,
    "stdio/valid": valid_streams,
    "stdio/invalid": invalid_streams,
}


def json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def all_files() -> Iterator[tuple[Path, bytes]]:
    index: dict[str, list[str]] = {}
    for group, make in GROUPS.items():
        vectors: list[Vector] = list(make())
        index[group] = [vector.name for vector in vectors]
        if len(set(index[group])) != len(vectors):
            raise ValueError(f"two vectors of {group} have one name")
        for vector in vectors:
            path = ROOT / group / vector.name
            yield path.with_suffix(vector.suffix), vector.data
            yield path.with_suffix(".json"), json_bytes({"name": vector.name, **vector.facts})
    yield ROOT / "index.json", json_bytes({"version": 1, **index})


def differences(files: dict[Path, bytes]) -> list[str]:
    present = {path for path in ROOT.rglob("*") if path.is_file()}
    found = [f"{path} is not made by any rule" for path in sorted(present - files.keys())]
    found += [f"{path} is missing" for path in sorted(files.keys() - present)]
    found += [
        f"{path} has other contents" for path in sorted(files.keys() & present) if path.read_bytes() != files[path]
    ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    files = dict(all_files())
    if parser.parse_args().check:
        found = differences(files)
        print("\n".join(found) or f"{len(files)} files are as they should be")
        return 1 if found else 0
    for path in ROOT.rglob("*.*"):
        if path.is_file() and path not in files:
            path.unlink()
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"{len(files)} files written to {ROOT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
