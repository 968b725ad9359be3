# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from shmlane.errors import Error

SEVERITIES: Final = ("ok", "note", "warning", "error")
"""In order; from the third on somebody has to act."""


@dataclass
class Finding:
    """One thing that was looked at.

    what: a sentence about it; ``todo``: what its reader can do, "" if nothing.
    remedy: does that; True if it is mended, False if things changed meanwhile. Raises Error or OSError.
    needs_force: whether the remedy throws objects away, or something that may still be wanted.
    outcome: what became of the remedy: "", "fixed", or why it is not.
    """

    severity: str
    topic: str
    what: str
    todo: str = ""
    segment: str | None = None
    remedy: Callable[[], bool] | None = None
    needs_force: bool = False
    outcome: str = ""

    @property
    def fixable(self) -> bool:
        return self.remedy is not None and not self.needs_force

    @property
    def needs_action(self) -> bool:
        return SEVERITIES.index(self.severity) >= SEVERITIES.index("warning") and self.outcome != "fixed"

    def fix(self, force: bool = False) -> None:
        """Apply the remedy, if there is one and it throws nothing away or ``force`` is said; sets ``outcome``."""
        if self.remedy is None or (self.needs_force and not force):
            return
        try:
            self.outcome = "fixed" if self.remedy() else "not fixed: it changed meanwhile; look again"
        except (Error, OSError) as error:
            self.outcome = f"not fixed: {error}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "topic": self.topic,
            "segment": self.segment,
            "what": self.what,
            "todo": self.todo,
            "fixable": self.fixable,
            "needs_force": self.needs_force,
            "outcome": self.outcome,
        }
