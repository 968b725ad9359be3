# SPDX-License-Identifier: Apache-2.0
"""The Python package installs into clean virtual environments, from the folder and from the sdist, and is whole."""

from __future__ import annotations

import json
import re
import sys
import sysconfig
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from installing import REPOSITORY, SAME_FLAGS, install_into_new_environment, run

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


def files_dist_info(files: list[PurePosixPath]) -> str:
    (name,) = {path.parts[0] for path in files if path.parts[0].endswith(".dist-info")}
    return name


def test_the_wheel_holds_the_typed_package_and_nothing_of_the_c_library(installed_python: Path, tmp_path: Path) -> None:
    files = [PurePosixPath(name) for name in facts(installed_python, tmp_path)["files"]]
    inside = {path.name for path in files if path.parent == PurePosixPath("shmlane")}
    assert {"__init__.py", "_build.py", "_native.pyi", "py.typed"} <= inside
    assert {path.parts[0] for path in files if path.parts[0] != ".."} == {"shmlane", files_dist_info(files)}
    assert not [path for path in files if path.suffix in (".a", ".hpp", ".cpp", ".cmake", ".pc", ".txt")]


def test_the_extension_links_only_the_c_and_the_c_plus_plus_library(installed_python: Path, tmp_path: Path) -> None:
    needed = needed_libraries(str(facts(installed_python, tmp_path)["extension"]), tmp_path)
    assert needed
    assert not [
        name for name in needed if not re.match(r"(libc|libm|libstdc\+\+|libgcc_s|librt|libpthread|ld-linux)", name)
    ]


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


def test_where_a_library_is_missing_auto_installs_and_the_import_names_it(tmp_path: Path) -> None:
    install_without_json_library(tmp_path, "auto")
    assert 'BACKEND = "pure"' in (tmp_path / "shmlane" / "_build.py").read_text()
    # Without site, so that no editable install of shmlane stands before this one.
    packages = sysconfig.get_path("platlib")
    script = "try: import shmlane\nexcept ImportError as error: print(error)"
    said = run(sys.executable, "-S", "-c", script, cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{packages}")
    assert "nlohmann-json3-dev" in said


def test_where_a_library_is_missing_native_does_not_install_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nlohmann-json3-dev"):
        install_without_json_library(tmp_path, "native")


def install_without_json_library(folder: Path, mode: str) -> None:
    missing = "--config-settings=cmake.define.CMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--target", folder]
    run(*pip, missing, REPOSITORY, cwd=folder, SHMLANE_BUILD=mode)
