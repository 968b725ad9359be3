# SPDX-License-Identifier: Apache-2.0
"""Print what work on shmlane needs from PyPI, as pyproject.toml says: to build, to run, and every extra."""

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


if __name__ == "__main__":
    print(*requirements(Path(__file__).parents[1] / "pyproject.toml"), sep="\n")
