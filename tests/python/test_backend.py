# SPDX-License-Identifier: Apache-2.0
"""The choice of the backend, and what is said when it is not there."""

from __future__ import annotations

import subprocess
import sys
import types
from types import ModuleType

import pytest

from shmlane import _backend


def import_with(choice: str | None, preparation: str = "") -> subprocess.CompletedProcess[str]:
    code = (
        "import os, sys\n"
        f"choice = {choice!r}\n"
        "os.environ.pop('SHMLANE_BACKEND', None)\n"
        "if choice is not None: os.environ['SHMLANE_BACKEND'] = choice\n"
        f"{preparation}\n"
        "import shmlane._backend\n"
        "print(shmlane._backend.active.__name__)\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_backend_has_every_name_that_one_must_have(backend: ModuleType) -> None:
    _backend.check(backend)
    assert backend.WIRE_VERSION == 1


def test_a_backend_that_lacks_names_is_refused_with_their_list(backend: ModuleType) -> None:
    class Producer:
        pass

    partial = types.ModuleType("partial")
    partial.__dict__.update({name: getattr(backend, name) for name in _backend.NAMES if name != "Lease"})
    partial.Producer = Producer  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match=r"lacks Lease, Producer.cancel_wait, Producer.capacity"):
        _backend.check(partial)


@pytest.mark.parametrize("choice", [None, "", "native"])
def test_native_is_the_default(choice: str | None) -> None:
    done = import_with(choice)
    assert (done.stdout, done.stderr) == ("shmlane._native\n", "")


def test_pure_is_there_for_the_asking_and_needs_no_extension() -> None:
    done = import_with("pure", HIDE_NATIVE)
    assert (done.stdout, done.stderr) == ("shmlane._pure\n", "")


def test_a_backend_that_there_is_not_is_a_clear_error() -> None:
    done = import_with("fast")
    assert done.returncode == 1
    assert "ImportError: SHMLANE_BACKEND is 'fast'; it must be one of native, pure" in done.stderr


HIDE_NATIVE = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "shmlane._native": raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Missing())
"""
BUILD = """
import types
sys.modules["shmlane._build"] = types.SimpleNamespace(BACKEND="pure", REASON="there was no compiler")
"""


TWICE = """
import shmlane, importlib, subprocess
importlib.reload(shmlane)
if len(sys.argv) == 1: subprocess.run([sys.executable, "-c", sys.orig_argv[2], "child"], check=True)
"""


@pytest.mark.parametrize("choice", [None, ""])
def test_where_the_extension_is_missing_pure_is_used_and_the_reason_is_told_once(choice: str | None) -> None:
    done = import_with(choice, HIDE_NATIVE + BUILD + TWICE)
    assert done.stdout == 2 * "shmlane._pure\n"
    assert done.stderr.count("extension _native is missing: there was no compiler; the pure backend is used") == 1


def test_native_is_never_replaced_where_it_was_asked_for() -> None:
    done = import_with("native", HIDE_NATIVE + BUILD)
    assert done.returncode == 1
    assert "ImportError: shmlane's extension _native is missing: there was no compiler;" in done.stderr


HIDE_LIBATOMIC = """
import ctypes
class PyDLL(ctypes.PyDLL):
    def __init__(self, name, *words, **options):
        super().__init__("libatomic.so.none" if name == "libatomic.so.1" else name, *words, **options)
ctypes.PyDLL = PyDLL
"""


@pytest.mark.parametrize(
    ("choice", "words"),
    [("pure", ""), (None, "shmlane's extension _native is missing: there was no compiler; and ")],
)
def test_without_libatomic_the_pure_backend_names_its_package(choice: str | None, words: str) -> None:
    done = import_with(choice, HIDE_NATIVE + BUILD + HIDE_LIBATOMIC)
    assert done.returncode == 1
    assert f"ImportError: {words}the pure backend of shmlane needs libatomic.so.1" in done.stderr
    assert "the Debian package libatomic1" in done.stderr


def test_a_broken_extension_is_not_called_missing() -> None:
    broken = HIDE_NATIVE.replace("ModuleNotFoundError(name, name=name)", "ModuleNotFoundError('x', name='libm')")
    done = import_with(None, broken)
    assert done.returncode == 1
    assert "ModuleNotFoundError: x" in done.stderr


def test_another_system_than_linux_is_a_clear_error() -> None:
    done = import_with(None, "sys.platform = 'darwin'")
    assert done.returncode == 1
    assert "ImportError: shmlane needs Linux" in done.stderr
