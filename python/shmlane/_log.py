# SPDX-License-Identifier: Apache-2.0
"""Logging: one logger named ``shmlane``, silent until the program or ``enable_logging`` says otherwise."""

import logging

logger = logging.getLogger("shmlane")
logger.addHandler(logging.NullHandler())

_FORMAT = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"
_handler: logging.Handler | None = None


def enable_logging(level: int | str = logging.INFO) -> None:
    """Write the log of shmlane to standard error from ``level`` on; a second call only changes the level.

    ``level`` is one of ``logging`` or its name in any case. Raises ValueError for an unknown one.
    """
    global _handler
    set_log_level(level)
    if _handler is None:
        _handler = logging.StreamHandler()
        _handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(_handler)


def set_log_level(level: int | str) -> None:
    """Drop what is below ``level``, whoever handles the log. Raises ValueError for an unknown level."""
    logger.setLevel(level.upper() if isinstance(level, str) else level)
