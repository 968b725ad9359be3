# SPDX-License-Identifier: Apache-2.0
"""What the ways to install shmlane give: each is a fixture, made once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from installing import REPOSITORY, SAME_FLAGS, install_into_new_environment, run


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
