# SPDX-License-Identifier: Apache-2.0
"""``python -m shmlane`` is the command ``shmlane``."""

from .cli import main

main()
