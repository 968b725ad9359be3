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
    assert import_with(choice).stdout == "shmlane._native\n"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("pure", "the pure backend is not part of this version"),
        ("fast", "SHMLANE_BACKEND is 'fast'; it must be one of"),
    ],
)
def test_a_backend_that_there_is_not_is_a_clear_error(choice: str, words: str) -> None:
    done = import_with(choice)
    assert done.returncode == 1
    assert f"ImportError: {words}" in done.stderr


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


def test_a_missing_extension_is_told_with_the_reason_of_the_build() -> None:
    done = import_with(None, HIDE_NATIVE + BUILD)
    assert done.returncode == 1
    assert "ImportError: shmlane's extension _native is missing: there was no compiler;" in done.stderr


def test_a_broken_extension_is_not_called_missing() -> None:
    broken = HIDE_NATIVE.replace("ModuleNotFoundError(name, name=name)", "ModuleNotFoundError('x', name='libm')")
    done = import_with(None, broken)
    assert done.returncode == 1
    assert "ModuleNotFoundError: x" in done.stderr


def test_another_system_than_linux_is_a_clear_error() -> None:
    done = import_with(None, "sys.platform = 'darwin'")
    assert done.returncode == 1
    assert "ImportError: shmlane needs Linux" in done.stderr
