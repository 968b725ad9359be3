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

# Flags as in the other builds of `make test`, so that the compiler's cache knows most of the sources already.
SAME_FLAGS = "--config-settings=cmake.define.SHMLANE_WERROR=ON"


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
        pytest.fail(f"{command} did not end; until then it said:\n{expired.output}")
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def install_into_new_environment(folder: Path, source: Path, *options: str, **environment: str) -> Path:
    """Make a virtual environment in `folder`, install `source` there with its dependencies, return its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    run(*pip, *options, source, cwd=REPOSITORY, SHMLANE_BUILD="native", **environment)
    return python
