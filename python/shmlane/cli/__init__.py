# SPDX-License-Identifier: Apache-2.0
"""The command ``shmlane``: exit status 0 if it did what was asked, 1 if it could not, 2 if it was asked wrongly."""

from __future__ import annotations

import sys
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command with ``arguments``, by default those of the process, and exit."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        warn(f"the command line needs the package {error.name}: pip install 'shmlane[cli]'")
        sys.exit(1)
    app(arguments, prog_name="shmlane")
    sys.exit(0)


def warn(message: str) -> None:
    """One line on standard error."""
    print("shmlane:", " ".join(message.split()), file=sys.stderr)
