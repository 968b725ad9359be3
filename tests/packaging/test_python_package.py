# SPDX-License-Identifier: Apache-2.0
"""The Python package installs into clean virtual environments, from the folder and from the sdist, and is whole."""

from __future__ import annotations

import json
import re
import shutil
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from installing import REPOSITORY, new_environment, pip, run, same_build

pytestmark = pytest.mark.timeout(600)

FACTS = """
import json, shmlane, shmlane._build, shmlane._native as native
print(json.dumps({
    "backend": shmlane._build.BACKEND, "version": shmlane.__version__,
    "package": shmlane.__file__, "extension": native.__file__,
}))
"""


def facts(python: Path, cwd: Path) -> Any:
    return json.loads(run(python, "-c", FACTS, cwd=cwd))


def readme_example() -> str:
    found = re.search(r"<!-- example: python -->\s*```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.S)
    assert found, "README.md has no Python example marked as such"
    return found[1]


def run_readme_example(python: Path, cwd: Path) -> str:
    (cwd / "example.py").write_text(readme_example())
    return run(python, "-W", "error", "example.py", cwd=cwd)


def test_pip_install_gives_the_native_backend(installed_python: Path, tmp_path: Path) -> None:
    found = facts(installed_python, tmp_path)
    assert found["backend"] == "native"
    assert found["package"].startswith(str(installed_python.parents[1]))


def test_the_python_package_has_the_version_of_the_c_library(
    installed_python: Path, prefix: Path, tmp_path: Path
) -> None:
    (pc_file,) = prefix.rglob("shmlane.pc")
    assert f"\nVersion: {facts(installed_python, tmp_path)['version']}\n" in pc_file.read_text()


def test_the_readme_example_runs_after_pip_install(installed_python: Path, tmp_path: Path) -> None:
    assert run_readme_example(installed_python, tmp_path)


def test_the_wheel_holds_the_typed_package_and_nothing_of_the_c_library(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = [PurePosixPath(name) for name in archive.namelist()]
    inside = {path.name for path in files if path.parent.name == "shmlane"}
    assert {"__init__.py", "_build.py", "_native.pyi", "py.typed"} <= inside
    assert {path.parts[0] for path in files} == {"shmlane", "-".join(wheel.name.split("-")[:2]) + ".dist-info"}
    assert {path.suffix for path in files if path.parts[0] == "shmlane"} == {".py", ".pyi", ".so", ".typed"}


def test_the_extension_needs_only_the_libraries_of_the_compiler(installed_python: Path, tmp_path: Path) -> None:
    dynamic = run("readelf", "--dynamic", facts(installed_python, tmp_path)["extension"], cwd=tmp_path)
    needed = {name.split(".")[0] for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)}
    assert "libstdc++" in needed
    others = needed - {"libc", "libm", "libgcc_s", "libstdc++", "librt", "libpthread"}
    assert not [name for name in others if not name.startswith("ld-linux")]


def test_the_sdist_installs_into_a_clean_environment(sdist: Path, tmp_path: Path) -> None:
    python = new_environment(tmp_path / "venv")
    # pip unpacks, and so builds, in TMPDIR.
    pip(python, "install", *same_build("sdist"), sdist, TMPDIR=str(tmp_path), CCACHE_BASEDIR=str(tmp_path))
    assert facts(python, tmp_path)["backend"] == "native"
    assert run_readme_example(python, tmp_path)


def test_the_sdist_holds_sources_and_no_build_results(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    for name in ("CMakeLists.txt", "LICENSE", "README.md", "cpp/include/shmlane/queue.hpp", "python/shmlane/py.typed"):
        assert PurePosixPath(name) in names
    assert not [name for name in names if name.suffix in (".so", ".o", ".a", ".pyc") or "build" in name.parts]


def test_where_a_library_is_missing_auto_installs_and_the_first_import_names_it(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    install_without_json_library(packages, "auto")
    assert 'BACKEND = "pure"' in (packages / "shmlane" / "_build.py").read_text()
    said = run_readme_example_on_pure(packages, tmp_path)
    assert said.count("nlohmann-json3-dev") == 1


def test_where_nothing_can_be_compiled_auto_installs_and_the_readme_example_runs(tmp_path: Path) -> None:
    folder, packages = tmp_path / "bin", tmp_path / "packages"
    folder.mkdir()
    for tool in ("cmake", "ninja"):
        where = shutil.which(tool)
        assert where is not None
        (folder / tool).symlink_to(where)
    hidden = {"PATH": str(folder), "CXX": "", "CC": ""}
    options = ["--no-build-isolation", "--no-deps", f"--target={packages}"]
    pip(sys.executable, "install", *options, REPOSITORY, SHMLANE_BUILD="auto", **hidden)
    said = run_readme_example_on_pure(packages, tmp_path)
    assert said.count("a C++20 compiler") == 1


def run_readme_example_on_pure(packages: Path, folder: Path) -> str:
    """What it says beside what it shall print, which it does; on a backend that was chosen by itself."""
    # Without site, so that no editable install of shmlane stands before this one.
    path = f"{packages}:{sysconfig.get_path('platlib')}"
    (folder / "example.py").write_text(readme_example())
    said = run(sys.executable, "-S", "example.py", cwd=folder, PYTHONPATH=path, SHMLANE_BACKEND="")
    expected = [f"{number} (480, 640, 3) {float(number)}" for number in range(3)]
    assert [line for line in said.splitlines() if line in expected] == expected
    return said


def test_where_a_library_is_missing_native_does_not_install_and_names_it(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="nlohmann-json3-dev"):
        install_without_json_library(tmp_path, "native")


def install_without_json_library(folder: Path, mode: str) -> None:
    missing = "--config-settings=cmake.define.CMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON"
    options = ["--no-build-isolation", "--no-deps", f"--target={folder}", missing]
    pip(sys.executable, "install", *options, REPOSITORY, SHMLANE_BUILD=mode)
