# SPDX-License-Identifier: Apache-2.0
"""Which backend carries the frames: ``SHMLANE_BACKEND=native`` (the C++ extension) or ``pure``.

Without a choice it is native, or pure where the package was built without the extension.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

NAMES: Final = {
    "WIRE_VERSION": (),
    "Producer": ("push_plain", "push_plain_many", "push", "reserve"),
    "Consumer": ("acquire", "acquire_as", "pop_plain", "pop_plain_many"),
    "Reservation": ("nbytes", "open", "commit", "abort"),
    "Lease": ("metadata", "attempt", "nbytes", "plain_array", "array"),
    "LeaseHandle": (),
    "StdioWriter": ("write", "end"),
    "StdioReader": ("read", "offset"),
    "Stream": (
        *("name", "dtype", "shape", "nbytes", "slots", "owner", "closed", "count", "missed", "last_read", "stat"),
        *("set_dtype", "read", "write", "wait_after", "cancel_wait", "write_view", "clear", "live"),
        *("acquire", "release", "locked_here", "close", "unlink"),
    ),
    "WriteView": ("commit", "abort"),
    "Tensor": (
        *("name", "dtype", "shape", "nbytes", "owner", "writable", "closed", "memory"),
        *("lock", "lock_shared", "unlock", "unlock_shared", "close", "unlink"),
    ),
    "wait_any": (),
    "unlink_stream": (),
    "list_streams": (),
    "unlink_tensor": (),
    "list_tensors": (),
    "list_segments": (),
    "inspect_segment": (),
    "remove_segment": (),
    "remove_remains": (),
    "reap_segment": (),
    "has_membarrier": (),
    "parse_frame": (),
    "make_frame": (),
}
"""What every backend must have, and of its classes the methods; ``_native.pyi`` says what each does."""

_HANDLE = ("name", "capacity", "closed", "close", "size", "stat", "wait", "cancel_wait")
_TOLD = "SHMLANE_PURE_TOLD"  # for the processes that this one starts
_MODULES = {"native": "shmlane._native", "pure": "shmlane._pure"}


def load(choice: str | None = None) -> Any:
    """The backend of that name, or the one that there is; checked. Raises ImportError that says what to do."""
    if not sys.platform.startswith("linux"):
        raise ImportError(f"shmlane needs Linux (open file description locks, glibc); this is {sys.platform}")
    if choice and choice not in _MODULES:
        raise ImportError(f"SHMLANE_BACKEND is {choice!r}; it must be one of {', '.join(_MODULES)}")
    backend = _import(choice or "native")
    if backend is None and choice:
        raise ImportError(f"{_why_missing()}; install again with SHMLANE_BUILD=native to see why")
    if backend is None:
        backend = _fall_back()
    check(backend)
    return backend


def _import(choice: str) -> Any:
    """None if there is no such module. Whatever else keeps it from being imported is raised."""
    try:
        return importlib.import_module(_MODULES[choice])
    except ModuleNotFoundError as error:
        if error.name != _MODULES[choice]:
            raise
        return None


def _fall_back() -> Any:
    try:
        backend = _import("pure")
    except ImportError as error:
        raise ImportError(f"{_why_missing()}; and {error}") from None
    if _TOLD not in os.environ:
        os.environ[_TOLD] = "1"
        warnings.warn(
            f"{_why_missing()}; the pure backend is used, which is slower (SHMLANE_BACKEND=pure says that you know)",
            RuntimeWarning,
            stacklevel=2,
        )
    return backend


def _why_missing() -> str:
    try:
        build = importlib.import_module("shmlane._build")
    except ModuleNotFoundError:
        reason = "it was not built"
    else:
        reason = build.REASON or "its file is gone"
    return f"shmlane's extension _native is missing: {reason}"


def check(backend: ModuleType) -> None:
    """Raises ImportError if a backend lacks a name."""
    missing = [name for name in NAMES if not hasattr(backend, name)]
    for name in NAMES.keys() - missing:
        methods = NAMES[name] + (_HANDLE if name in ("Producer", "Consumer") else ())
        missing += [f"{name}.{method}" for method in methods if not hasattr(getattr(backend, name), method)]
    if missing:
        raise ImportError(f"the backend {backend.__name__} lacks {', '.join(sorted(missing))}: another version")


def is_command() -> bool:
    """Whether this process is the command ``shmlane``, which tells people itself if there is no backend."""
    program = (sys.argv or [""])[0]
    # While this package is imported for -m, the program is not known yet.
    return Path(program).name == "shmlane" or (program == "-m" and "shmlane" in sys.orig_argv)


if TYPE_CHECKING:
    from . import _native

    active = _native
else:

    def __getattr__(name: str) -> Any:
        """``active`` is loaded when it is first used."""
        if name != "active":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = load(os.environ.get("SHMLANE_BACKEND"))
        return globals()[name]
