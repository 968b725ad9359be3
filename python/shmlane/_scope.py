# SPDX-License-Identifier: Apache-2.0
"""What things are at the end of a ``with``: closed, or aborted."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AbortedAtExit", "ClosedAtExit"]


class ClosedAtExit:
    """The end of a ``with`` closes it."""

    __slots__ = ()

    def close(self) -> None:
        """Idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AbortedAtExit:
    """The end of a ``with`` aborts it, which does nothing after a commit."""

    __slots__ = ()

    def abort(self) -> None:
        """Idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()
