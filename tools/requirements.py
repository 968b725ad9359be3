# SPDX-License-Identifier: Apache-2.0
"""Print what work on shmlane needs from PyPI, as pyproject.toml says: to build, to run, and every extra; or a group."""

import sys
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib


def requirements(pyproject: Path) -> list[str]:
    """Return all requirements of the project except those that name the project itself."""
    with pyproject.open("rb") as file:
        tables = tomllib.load(file)
    project = tables["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    wanted = [*tables["build-system"]["requires"], *project["dependencies"], *extras]
    return [line for line in wanted if not line.startswith(f"{project['name']}[")]


def group(pyproject: Path, name: str) -> list[str]:
    """Return the requirements of one dependency group."""
    with pyproject.open("rb") as file:
        return list(tomllib.load(file)["dependency-groups"][name])


if __name__ == "__main__":
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    print(*(group(pyproject, sys.argv[1]) if len(sys.argv) > 1 else requirements(pyproject)), sep="\n")
