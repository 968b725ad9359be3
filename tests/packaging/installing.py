# SPDX-License-Identifier: Apache-2.0
"""How the packaging tests run commands and make clean environments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CONSUMERS = Path(__file__).resolve().parent / "consumer"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command to its end and return its output; show that output if it fails or takes for ever."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=540,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        pytest.fail(f"{command} did not end; until then it said:\n{expired.output!r}")
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def pip(python: Path | str, command: str, *words: Path | str, **environment: str) -> None:
    """Run pip of that Python in the repository, for the native backend."""
    options = ["--disable-pip-version-check", "--quiet"]
    run(python, "-m", "pip", command, *options, *words, cwd=REPOSITORY, **{"SHMLANE_BUILD": "native"} | environment)


def same_build(folder: str) -> list[str]:
    """Options of pip that compile as the other builds of `make test` do, so that the compiler's cache is of use.

    The build folder lies as deep below the sources as theirs, because the cache knows sources by that path.
    """
    return [
        "--config-settings=cmake.define.SHMLANE_WERROR=ON",
        f"--config-settings=build-dir=build/{folder}",
    ]


def new_environment(folder: Path) -> Path:
    """Make a virtual environment and return its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=REPOSITORY)
    return folder / "bin" / "python"
