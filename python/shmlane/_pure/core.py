# SPDX-License-Identifier: Apache-2.0
"""What the cores of queues, streams and tensors share: a participant, and the note of who still uses the handle."""

from __future__ import annotations

import abc
import itertools
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from .attachment import Attachment, AttachOptions
from .participants import NOBODY, Participants

_CLOSE_TRIES = 300
_CLOSE_PAUSE = 0.001  # seconds

_keys = itertools.count()
_attached: set[Core] = set()
"""Those that have not left yet: the garbage collector takes things in any order, so it must take none they need."""


class Use:
    """A call under way, which keeps the participant attached. Raises Closed."""

    _core: Core | None = None

    def __init__(self, core: Core) -> None:
        if core.closed and core.attachment.inherited:
            core.throw_closed()  # a child must not become a participant by a handle that is closed
        self.me = core.attachment.me
        self._key = next(_keys)
        self._core = core
        core.calls[self._key] = weakref.ref(self)
        # Counted first, looked second: close() does it the other way round, so one of us sees the other.
        if core.closed:
            self.__exit__()
            core.throw_closed()

    def __enter__(self) -> Use:
        return self

    def __exit__(self, *_: object) -> None:
        if self._core is not None:
            self._core.end_call(self._key)

    def __del__(self) -> None:
        self.__exit__()


class Hold(NamedTuple):
    """A lease, a reservation, a write view: it keeps the participant attached, too."""

    who: weakref.ref[Any]
    me: int
    end: Callable[[], None]
    """Gives it back; nothing, if that was done before."""


class Core(abc.ABC):
    """Thread-safe. The participant leaves when its handle is closed and the last call and hold is over."""

    def __init__(self, name: str, options: AttachOptions) -> None:
        self._closing = threading.RLock()
        self.closed = False
        self.calls: dict[int, weakref.ref[Use]] = {}
        self.holds: dict[int, Hold] = {}
        self._cancellations = 0
        self._counted_for = NOBODY
        self.attachment = Attachment(name, options, self._renewed)
        self._counted_for = self.attachment.me
        _attached.add(self)

    @property
    def name(self) -> str:
        return self.attachment.name

    @property
    def participants(self) -> Participants:
        return self.attachment.participants

    @abc.abstractmethod
    def throw_closed(self) -> NoReturn: ...

    def count(self, me: int, counter: int) -> None:
        self.participants.count(me, counter)

    # ---- Who uses it -------------------------------------------------------------------------------------------------

    def end_call(self, key: int) -> None:
        if self.calls.pop(key, None) is not None:
            self._leave_if_unused()

    def hold(self, who: Any, me: int, end: Callable[[], None]) -> int:
        """``who`` holds something from now on; gives the key to end that."""
        key = next(_keys)
        self.holds[key] = Hold(weakref.ref(who), me, end)
        return key

    def end_hold(self, key: int) -> None:
        """Idempotent. After a fork it is the parent's to end."""
        hold = self.holds.get(key)
        if hold is not None and self.owns(hold.me):
            hold.end()
            self.holds.pop(key, None)
            self._leave_if_unused()

    def sweep(self) -> None:
        """End what is over already, if an exception of a signal's handler came into its last moment."""
        for key in [key for key, call in list(self.calls.items()) if call() is None]:
            self.end_call(key)
        for key in [key for key, hold in list(self.holds.items()) if hold.who() is None]:
            self.end_hold(key)

    def _in_use(self) -> bool:
        return bool(self.calls or self.holds)

    def _leave_if_unused(self) -> None:
        if self.closed and not self._in_use():
            self.attachment.leave(self._settle)
            _attached.discard(self)

    def owns(self, me: int) -> bool:
        """Whether a hold of the participant ``me`` is this process's to end; after a fork it is the parent's."""
        return not self.attachment.inherited and me == self._counted_for

    def _renewed(self, me: int) -> None:
        # What the parent's threads had under way is not under way in the child.
        self._closing = threading.RLock()
        self.calls, self.holds = {}, {}
        self._counted_for = me

    def close(self) -> None:
        """Waits a moment for the calls that it ends, so that a process that exits next has left before."""
        with self._closing:
            closed, self.closed = self.closed, True
        if self.attachment.inherited:
            _attached.discard(self)
            return
        if not closed:
            self._give_up()
            self.cancel_waits()
        self.sweep()
        for _ in range(0 if closed else _CLOSE_TRIES):
            if not self.calls:
                break
            time.sleep(_CLOSE_PAUSE)
        self._leave_if_unused()

    def cancel_waits(self) -> None:
        self._cancellations += 1
        if not self.attachment.inherited:
            self._wake_waiters()

    # ---- What the kinds do in their own ways -------------------------------------------------------------------------

    @abc.abstractmethod
    def _wake_waiters(self) -> None: ...

    @abc.abstractmethod
    def _give_up(self) -> None:
        """What is to be done at once when the handle closes, even if something of it is still in use."""

    @abc.abstractmethod
    def _settle(self) -> bool:
        """Give back what this participant holds; whether nothing is left in the segment for others."""
