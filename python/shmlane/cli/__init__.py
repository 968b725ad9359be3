# SPDX-License-Identifier: Apache-2.0
"""The command ``shmlane``: exit status 0 if it did what was asked, 1 if it could not, 2 if it was asked wrongly."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from shmlane.errors import Error

_INTERRUPTED = 128 + signal.SIGINT
_BROKEN_PIPE = 128 + signal.SIGPIPE


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command with ``arguments``, by default those of the process, and exit."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        fail(f"the command line needs the package {error.name}: pip install 'shmlane[cli]'")
    try:
        app(arguments, prog_name="shmlane")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # As other tools end when their reader has seen enough; and Python shall not try to flush once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_BROKEN_PIPE)
    except (Error, OSError) as error:
        fail(str(error))
    sys.exit(0)


def fail(message: str) -> NoReturn:
    warn(message)
    sys.exit(1)


def warn(message: str) -> None:
    """One line on standard error."""
    print("shmlane:", " ".join(message.split()), file=sys.stderr)
