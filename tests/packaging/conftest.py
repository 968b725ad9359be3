# SPDX-License-Identifier: Apache-2.0
"""What the ways to install shmlane give: each is a fixture, made once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from installing import REPOSITORY, new_environment, pip, run, same_build


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `cmake --install` put the release build."""
    prefix = tmp_path_factory.mktemp("prefix")
    run("cmake", "--preset", "release", cwd=REPOSITORY)
    run("cmake", "--build", "--preset", "release", "--target", "shmlane_libraries", cwd=REPOSITORY)
    run("cmake", "--install", "build/release", "--prefix", prefix, cwd=REPOSITORY)
    return prefix


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `pip install .` makes, by the build tools that are here."""
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-build-isolation", "--no-deps", *same_build("wheel"), "-w", folder, REPOSITORY)
    (wheel,) = folder.glob("shmlane-*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a clean virtual environment that holds the wheel and what it requires."""
    python = new_environment(tmp_path_factory.mktemp("installed") / "venv")
    pip(python, "install", wheel)
    return python


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, cwd=REPOSITORY)
    (archive,) = folder.glob("shmlane-*.tar.gz")
    return archive
