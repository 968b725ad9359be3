# SPDX-License-Identifier: Apache-2.0
"""The Python package installs into clean virtual environments, from the folder and from the sdist, and is whole."""

from __future__ import annotations

import json
import re
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from conftest import REPOSITORY, SAME_FLAGS, install_into_new_environment, run

pytestmark = pytest.mark.timeout(600)

FACTS = """
import json, shmlane, shmlane._build, shmlane._native as native
from importlib.metadata import files, version
print(json.dumps({
    "backend": shmlane._build.BACKEND, "version": shmlane.__version__, "metadata": version("shmlane"),
    "package": shmlane.__file__, "extension": native.__file__, "files": [str(path) for path in files("shmlane")],
}))
"""


def facts(python: Path, cwd: Path) -> dict[str, str | list[str]]:
    result = json.loads(run(python, "-c", FACTS, cwd=cwd))
    assert isinstance(result, dict)
    return result


def readme_example() -> str:
    found = re.search(r"<!-- example: python -->\s*```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
    assert found, "README.md has no Python example marked as such"
    return found[1]


def needed_libraries(extension: str, cwd: Path) -> list[str]:
    return re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", extension, cwd=cwd))


def test_pip_install_gives_the_native_backend(installed_python: Path, tmp_path: Path) -> None:
    found = facts(installed_python, tmp_path)
    assert found["backend"] == "native"
    assert found["version"] == found["metadata"]
    assert str(found["package"]).startswith(str(installed_python.parents[1]))


def test_the_version_is_that_of_the_c_library(installed_python: Path, prefix: Path, tmp_path: Path) -> None:
    (pc_file,) = prefix.rglob("shmlane.pc")
    assert f"\nVersion: {facts(installed_python, tmp_path)['version']}\n" in pc_file.read_text()


def test_the_readme_example_runs_after_pip_install(installed_python: Path, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(readme_example())
    run(installed_python, "-W", "error", "example.py", cwd=tmp_path)


def test_the_wheel_holds_the_typed_package_and_nothing_of_the_c_library(installed_python: Path, tmp_path: Path) -> None:
    files = [PurePosixPath(name) for name in facts(installed_python, tmp_path)["files"]]
    inside = {path.name for path in files if path.parent == PurePosixPath("shmlane")}
    assert {"__init__.py", "_build.py", "_native.pyi", "py.typed"} <= inside
    assert {path.parts[0] for path in files if path.parts[0] != ".."} == {"shmlane", files_dist_info(files)}
    assert not [path for path in files if path.suffix in (".a", ".hpp", ".cpp", ".cmake", ".pc", ".txt")]


def files_dist_info(files: list[PurePosixPath]) -> str:
    (name,) = {path.parts[0] for path in files if path.parts[0].endswith(".dist-info")}
    return name


def test_the_extension_links_only_the_c_and_the_c_plus_plus_library(installed_python: Path, tmp_path: Path) -> None:
    needed = needed_libraries(str(facts(installed_python, tmp_path)["extension"]), tmp_path)
    assert needed
    assert not [name for name in needed if not re.match(r"(libc|libm|libstdc\+\+|libgcc_s|librt|libpthread|ld-linux)", name)]


def test_the_sdist_installs_into_a_clean_environment(sdist: Path, tmp_path: Path) -> None:
    # Built where it is unpacked, two folders deep, so that the compiler's cache sees the paths of the other builds.
    build_folder = "--config-settings=build-dir=build/sdist"
    python = install_into_new_environment(
        tmp_path / "venv", sdist, SAME_FLAGS, build_folder, CCACHE_BASEDIR=str(tmp_path), TMPDIR=str(tmp_path)
    )
    assert facts(python, tmp_path)["backend"] == "native"
    run(python, "-c", readme_example(), cwd=tmp_path)


def test_the_sdist_holds_sources_and_no_build_results(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    for name in ("CMakeLists.txt", "LICENSE", "README.md", "cpp/include/shmlane/queue.hpp", "python/shmlane/py.typed"):
        assert PurePosixPath(name) in names
    assert not [name for name in names if name.suffix in (".so", ".o", ".a", ".pyc") or "build" in name.parts]


def test_without_the_libraries_it_needs_auto_installs_and_native_fails(tmp_path: Path) -> None:
    """The package then says at import what was missing when it was built."""
    missing = "--config-settings=cmake.define.CMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON"
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", f"--target={site}"]
    run(*pip, missing, REPOSITORY, cwd=tmp_path, SHMLANE_BUILD="auto")
    text = (site / "shmlane" / "_build.py").read_text()
    assert 'BACKEND = "pure"' in text
    assert "nlohmann-json3-dev" in text
    with pytest.raises(AssertionError, match="nlohmann-json3-dev"):
        run(*pip, missing, REPOSITORY, cwd=tmp_path, SHMLANE_BUILD="native")
