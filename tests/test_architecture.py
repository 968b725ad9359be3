# SPDX-License-Identifier: Apache-2.0
"""The house of ARCHITECTURE.md holds: a file includes only from its own or a lower floor, and no room is too large."""

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CPP_FLOORS = [
    [
        "os/*",
        "error",
        "log",
        "export",
        "wire*",
        "atomic",
        "crash_point",
        "function_ref",
        "utf8",
        "options",
        "sizes",
        "past_caches",
    ],
    ["segment", "participants", "frame*", "codec", "json_text"],
    ["lock", "creation_lock", "waiting", "bell", "uses", "dtype", "ndarray", "image", "fields", "cuda_placement"],
    ["attachment", "ring*", "object", "hold", "stdio", "registry", "value", "codecs*", "write_lock"],
    ["array_*", "shared_copy", "stream", "stream_*", "tensor*"],
    ["queue", "queue_core", "producer", "consumer", "write_way", "inspect", "sent_frame"],
    ["cuda", "cuda_allocation", "cuda_stream", "cuda/*"],
    ["opencv_views", "opencv"],
]

PYTHON_FLOORS = [
    ["errors", "_json", "_log", "sizes", "_build", "_native", "_exit", "_scope"],
    ["_backend", "codec"],
    ["_pure", "codecs", "cuda"],
    ["registry"],
    ["lease", "reservation", "cuda_reservation", "_ready", "stdio", "handle", "array_kind"],
    ["stream_facts", "stream_view"],
    ["queue", "stream_handle", "stream_gpu_memory", "stream_gpu", "tensor"],
    ["stream", "tensor_pool"],
    ["aio", "_feeder", "doctor"],
    ["dropin"],
    ["__init__"],
    ["cli", "__main__"],
]

PURE_FLOORS = [
    ["os", "wire"],
    ["segment", "participants", "frame"],
    ["array_header", "bell"],
    ["lock", "creation_lock", "waiting", "making", "copying", "plain"],
    ["attachment", "ring*", "write_lock", "arrays"],
    ["core"],
    ["queue_core", "array_core", "stream_core"],
    ["arguments", "handle", "hold", "holds", "stdio"],
    ["producer", "consumer", "inspect", "stream", "tensor"],
    ["__init__"],
]

LONGEST = {".hpp": 200, ".cpp": 400, ".py": 350}


def floor_of(floors: list[list[str]], room: str) -> int:
    for number, rooms in enumerate(floors):
        if any(fnmatchcase(room, pattern) for pattern in rooms):
            return number
    pytest.fail(f"{room} has no floor: give it one here and in ARCHITECTURE.md")


def cpp_files() -> list[Path]:
    return sorted([*ROOT.glob("cpp/src/**/*.[ch]pp"), *ROOT.glob("cpp/include/**/*.hpp")])


def cpp_room(path: Path) -> str:
    base = "cpp/src" if path.is_relative_to(ROOT / "cpp/src") else "cpp/include/shmlane"
    return path.relative_to(ROOT / base).with_suffix("").as_posix()


@pytest.mark.parametrize("path", cpp_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_cpp_file_includes_only_from_its_own_or_a_lower_floor(path: Path) -> None:
    own = floor_of(CPP_FLOORS, cpp_room(path))
    for included in re.findall(r'#include "([^"]+)\.hpp"', path.read_text()):
        room = included.removeprefix("shmlane/")
        assert floor_of(CPP_FLOORS, room) <= own, f"{cpp_room(path)} includes {room} from above"


@pytest.mark.parametrize("path", cpp_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_os_includes_headers_of_the_system(path: Path) -> None:
    if "os" in path.parts:
        return
    allowed = {"sys/single_threaded.h"}  # a variable of glibc, no call
    system = r"(?:sys|linux)/[^>]+|unistd\.h|fcntl\.h|semaphore\.h|sched\.h|pthread\.h"
    assert set(re.findall(f"#include <({system})>", path.read_text())) <= allowed


def python_room(path: Path) -> str:
    return path.relative_to(ROOT / "python/shmlane").parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    depth = len(path.relative_to(ROOT / "python/shmlane").parts)
    for node in runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            rooms.update([node.module.split(".")[0]] if node.module else [name.name for name in node.names])
    return rooms


def runtime_nodes(tree: ast.AST) -> list[ast.AST]:
    """All statements but those under ``if TYPE_CHECKING`` and in function bodies, where a cycle does no harm."""
    found: list[ast.AST] = []
    for node in ast.iter_child_nodes(tree):
        checking = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if checking or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        found += [node, *runtime_nodes(node)]
    return found


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("python/shmlane/**/*.py")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_python_module_imports_only_from_its_own_or_a_lower_floor(path: Path) -> None:
    own = floor_of(PYTHON_FLOORS, python_room(path))
    for room in imported_rooms(path):
        assert floor_of(PYTHON_FLOORS, room) <= own, f"{python_room(path)} imports {room} from above"


def pure_files() -> list[Path]:
    return sorted(ROOT.glob("python/shmlane/_pure/**/*.py"))


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_pure_module_imports_only_from_its_own_or_a_lower_floor(path: Path) -> None:
    inside = path.relative_to(ROOT / "python/shmlane/_pure").parts
    own = floor_of(PURE_FLOORS, inside[0].removesuffix(".py"))
    for node in runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == len(inside):
            rooms = [node.module.split(".")[0]] if node.module else [name.name for name in node.names]
            assert all(floor_of(PURE_FLOORS, room) <= own for room in rooms), f"{path.name} imports {rooms} from above"


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_os_of_the_pure_backend_calls_the_system(path: Path) -> None:
    if "os" not in path.parts:
        assert not re.search(r"^\s*(import|from) (ctypes|fcntl|mmap|select|signal)\b", path.read_text(), re.M)


def test_no_room_has_outgrown_its_limit() -> None:
    files = [*cpp_files(), *ROOT.glob("cpp/bindings/*"), *ROOT.glob("python/shmlane/**/*.py")]
    too_long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in files
        if (lines := len(path.read_text().splitlines())) > LONGEST.get(path.suffix, 10**9)
    }
    assert not too_long
