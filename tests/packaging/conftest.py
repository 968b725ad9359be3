# SPDX-License-Identifier: Apache-2.0
"""Installs shmlane in the ways that users may: what each gives is a fixture, made once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
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


def install_into_new_environment(folder: Path, source: Path | str, *options: str, **environment: str) -> Path:
    """Make a virtual environment in `folder`, install `source` there with its dependencies, return its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    pip: Sequence[str | Path] = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    run(*pip, *options, str(source), cwd=REPOSITORY, SHMLANE_BUILD="native", **environment)
    return python


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `cmake --install` put the release build."""
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--preset", "release", cwd=REPOSITORY)
    run("cmake", "--build", "--preset", "release", "--target", "shmlane", cwd=REPOSITORY)
    run("cmake", "--install", "build/release", "--prefix", prefix, cwd=REPOSITORY)
    return prefix


@pytest.fixture(scope="session")
def installed_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a clean virtual environment after `pip install .`"""
    folder = tmp_path_factory.mktemp("pip") / "venv"
    build_folder = "--config-settings=build-dir=build/wheel"
    return install_into_new_environment(folder, REPOSITORY, SAME_FLAGS, build_folder, CCACHE_BASEDIR=str(REPOSITORY))


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, cwd=REPOSITORY)
    (archive,) = folder.glob("shmlane-*.tar.gz")
    return archive
