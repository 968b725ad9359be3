# SPDX-License-Identifier: Apache-2.0
"""What of the machine, the user and the installation matters to shmlane."""

from __future__ import annotations

import configparser
import os
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shmlane import _backend
from shmlane.sizes import format_size

from .finding import Finding

SHARED_MEMORY = Path("/dev/shm")
_DEFAULT_CAPACITY = 32 << 20
_DOCKER_DEFAULT = 64 << 20
_FEW_FILES = 256
_LOGIND = tuple(Path(root, "systemd") for root in ("/usr/lib", "/usr/local/lib", "/run", "/etc"))
_LAST_SYSTEM_UID = 999


def check_backend(backend: Any, problem: str) -> Iterator[Finding]:
    """``backend`` is None if it could not be loaded because of ``problem``."""
    if backend is None:
        yield Finding("error", "backend", problem, "until then shmlane cannot be used, and segments are not looked at")
        return
    name = backend.__name__.rpartition("_")[2]
    yield Finding("ok", "backend", f"{name}, which speaks wire format {backend.WIRE_VERSION}")
    if name != "native":
        try:
            _backend.load("native")
        except ImportError as error:
            yield Finding("warning", "backend", str(error), "the native backend is much faster")


def check_memory(folder: Path = SHARED_MEMORY) -> Iterator[Finding]:
    try:
        space = os.statvfs(folder)
    except OSError as error:
        yield Finding("error", "memory", f"there is no {folder}: {error.strerror}", "mount a tmpfs there")
        return
    total, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    what = f"{folder} has {format_size(total)}, of which {format_size(free)} are free"
    todo = "remove what is left over (shmlane ls, shmlane rm), or enlarge it: mount -o remount,size=4G /dev/shm"
    if in_container() or total <= _DOCKER_DEFAULT:
        todo += "; in a container: docker run --shm-size=4g, or --ipc=host"
    if total == 0:  # without a limit
        yield Finding("ok", "memory", f"{folder} has no limit")
    elif free < _DEFAULT_CAPACITY:
        what += f", less than a queue takes by default ({format_size(_DEFAULT_CAPACITY)})"
        yield Finding("warning", "memory", what, todo)
    elif total <= _DOCKER_DEFAULT:
        yield Finding("note", "memory", what, todo)
    else:
        yield Finding("ok", "memory", what)


def in_container() -> bool:
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))


def check_limits() -> Iterator[Finding]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = False
    if files != resource.RLIM_INFINITY and files < _FEW_FILES:
        found = True
        what = f"this user's processes may open {files} files; every handle takes one"
        yield Finding("warning", "limits", what, "raise it: ulimit -n 4096")
    for limit, letter, means in (
        (resource.RLIMIT_FSIZE, "f", "make no file, so no segment, of more than"),
        (resource.RLIMIT_AS, "v", "map no more memory than"),
    ):
        size, _ = resource.getrlimit(limit)
        if size != resource.RLIM_INFINITY:
            found = True
            severity = "warning" if size < 2 * _DEFAULT_CAPACITY else "note"
            what = f"this user's processes can {means} {format_size(size)}"
            yield Finding(severity, "limits", what, f"if that is too little: ulimit -{letter} unlimited")
    if not found:
        yield Finding("ok", "limits", "open files, file sizes and memory are not limited in a way that matters")


def check_membarrier(backend: Any) -> Iterator[Finding]:
    if backend.has_membarrier():
        yield Finding("ok", "membarrier", "the kernel has membarrier(2)")
    else:
        what = "the kernel or the container refuses membarrier(2): small objects cross at about half the speed"
        yield Finding("note", "membarrier", what, "allow the system call in the container's seccomp profile")


def check_logind(folders: Sequence[Path] = _LOGIND, uid: int | None = None) -> Iterator[Finding]:
    """systemd-logind removes what a user has in /dev/shm when that user's last session ends, unless told not to."""
    uid = os.getuid() if uid is None else uid
    if not Path("/run/systemd/system").exists() and folders is _LOGIND:
        return
    if uid <= _LAST_SYSTEM_UID:
        yield Finding("ok", "logind", f"user {uid} is a system user, whose segments outlive its sessions")
    elif remove_ipc(folders):
        what = "RemoveIPC is on: when you log out, systemd deletes your segments, also those in use"
        todo = "set RemoveIPC=no in /etc/systemd/logind.conf, or keep your session: loginctl enable-linger"
        yield Finding("warning", "logind", what, todo)
    else:
        yield Finding("ok", "logind", "RemoveIPC is off: your segments outlive your sessions")


def remove_ipc(folders: Sequence[Path]) -> bool:
    """What systemd makes of its files: drop-ins after logind.conf, by name; of one name, the last folder's counts."""
    main = [folder / "logind.conf" for folder in folders]
    drop_ins = {path.name: path for folder in folders for path in sorted((folder / "logind.conf.d").glob("*.conf"))}
    files = [path for path in main if path.is_file()][-1:] + [drop_ins[name] for name in sorted(drop_ins)]
    answer = "yes"
    for path in files:
        parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
        try:
            parser.read_string(path.read_text(errors="replace"))
        except (configparser.Error, OSError):
            continue
        # An empty value means the default again.
        answer = parser.get("Login", "RemoveIPC", fallback=answer).strip() or "yes"
    return answer.lower() not in ("no", "n", "false", "f", "off", "0")
