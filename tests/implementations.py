# SPDX-License-Identifier: Apache-2.0
"""The implementations of the wire format, for tests that set one against the other: the one place that lists them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = Path(os.environ.get("SHMLANE_BUILD_DIR", ROOT / "build/release"))

BACKENDS = ("native", "pure")
"""Of the Python package."""
ALL = ("cpp", *BACKENDS)


def command(implementation: str, cpp_program: str, python_module: str) -> tuple[list[str], dict[str, str]]:
    """How to start one of two twins, and its environment: a program in the build folder, or a module of Python."""
    if implementation == "cpp":
        return [str(BUILD / cpp_program)], dict(os.environ)
    return [sys.executable, "-m", python_module], {**os.environ, "SHMLANE_BACKEND": implementation}
