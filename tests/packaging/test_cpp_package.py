# SPDX-License-Identifier: Apache-2.0
"""Projects of ten lines find, build and use the C++ library in each way that is promised."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from installing import CONSUMERS, REPOSITORY, run

pytestmark = pytest.mark.timeout(600)


def build(project: str, folder: Path, *options: str) -> Path:
    """Configure and build one of the projects in consumer/ and return its program."""
    run("cmake", "-G", "Ninja", "-S", CONSUMERS / project, "-B", folder, *options, cwd=folder)
    run("cmake", "--build", folder, cwd=folder)
    return folder / "consumer"


def output_of(program: Path) -> str:
    name = f"packaging-{uuid.uuid4().hex}"
    text = run(program, name, cwd=program.parent)
    assert not [entry.name for entry in Path("/dev/shm").iterdir() if name in entry.name], "something was left behind"
    return text


def test_find_package_finds_the_installed_library(prefix: Path, tmp_path: Path) -> None:
    program = build("find_package", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    assert output_of(program) == "hello\n"


def test_the_installed_package_may_be_moved(prefix: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(prefix, moved)
    texts = [path.read_text() for path in moved.rglob("*") if path.suffix in (".cmake", ".pc")]
    assert texts
    assert not [text for text in texts if str(prefix) in text or str(REPOSITORY) in text]
    folder = tmp_path / "build"
    folder.mkdir()
    assert output_of(build("find_package", folder, f"-DCMAKE_PREFIX_PATH={moved}")) == "hello\n"


def test_the_opencv_component_carries_a_mat(prefix: Path, tmp_path: Path) -> None:
    if not list(prefix.rglob("shmlaneOpenCVTargets.cmake")):
        pytest.skip("built without OpenCV")
    program = build("opencv", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    assert output_of(program) == "4 x 3\n"


def test_the_cuda_component_needs_no_toolkit_and_no_gpu(prefix: Path, tmp_path: Path) -> None:
    if not list(prefix.rglob("shmlaneCudaTargets.cmake")):
        pytest.skip("built without CUDA")
    program = build("cuda", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    assert output_of(program) == "told\n"


def test_a_component_that_does_not_exist_is_refused(prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(consumer LANGUAGES CXX)\n"
        "find_package(shmlane COMPONENTS telepathy)\n"
        "if(shmlane_FOUND)\n  message(FATAL_ERROR found)\nendif()\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}", cwd=tmp_path)


def test_fetch_content_builds_the_library_from_a_source_folder(tmp_path: Path) -> None:
    # SHMLANE_WERROR only for the sake of the compiler's cache: see same_build().
    program = build(
        "fetch_content",
        tmp_path,
        f"-DFETCHCONTENT_SOURCE_DIR_SHMLANE={REPOSITORY}",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DSHMLANE_WERROR=ON",
    )
    assert output_of(program) == "hello\n"


def test_fetch_content_leaves_tests_examples_and_warnings_as_errors_off(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.25)\nproject(consumer LANGUAGES CXX)\n"
        f"add_subdirectory({REPOSITORY} shmlane)\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", cwd=tmp_path)
    cache = (tmp_path / "b" / "CMakeCache.txt").read_text()
    for option in ("BUILD_TESTS", "BUILD_EXAMPLES", "BUILD_PYTHON", "WERROR", "INSTALL"):
        assert f"SHMLANE_{option}:BOOL=OFF" in cache


def test_pkg_config_tells_all_that_a_compiler_needs(prefix: Path, tmp_path: Path) -> None:
    (pc_file,) = prefix.rglob("shmlane.pc")
    flags = run("pkg-config", "--cflags", "--libs", "shmlane", cwd=tmp_path, PKG_CONFIG_PATH=str(pc_file.parent))
    source = CONSUMERS / "main.cpp"
    run("c++", "-std=c++20", source, "-o", tmp_path / "consumer", *flags.split(), cwd=tmp_path)
    assert output_of(tmp_path / "consumer") == "hello\n"
