# SPDX-License-Identifier: Apache-2.0
"""A process that forks victims, which load the extension with named steps, do a scene and may die in it.

As a program, ``victims.py EXTENSION``, or ``victims.py pure``, it reads one request per line (scene, queue, ledger,
environment), and answers with the victim's exit status.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import opcodes
from array_scenes import ARRAY_SCENES

CAPACITY = 8192
PUSHERS = ("victim", "predecessor", "survivor", "newcomer")


def make(pusher: str, number: int) -> Any:
    """Bytes, an array or a dict, of several sizes, in which everything follows from pusher and number."""
    text = f"{pusher}:{number}:".encode() + bytes((number + i) % 251 for i in range(100 + 173 * number % 900))
    if number % 3 == 0:
        return text
    if number % 3 == 1:
        return np.frombuffer(text, np.uint8)
    return {"stamp": [pusher, number], "rest": text, "pi": 3.14}


def read(obj: Any) -> tuple[str, int]:
    """Who pushed it, and its number. AssertionError if it is not exactly what was made."""
    text = bytes(obj["rest"] if isinstance(obj, dict) else obj)
    pusher, number = text.split(b":", 2)[:2]
    made = make(pusher.decode(), int(number))
    assert type(made) is dict if isinstance(obj, dict) else bytes(made) == text
    if isinstance(obj, dict):
        assert {**obj, "rest": text} == made
    return pusher.decode(), int(number)


class Ledger:
    """What somebody does who may die at any moment, one line before and one after each deed."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(self, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())


class Actor:
    """A victim, or somebody who died before it."""

    def __init__(self, queue: str, ledger: Ledger, pusher: str = "victim") -> None:
        import shmlane

        self.lib, self.queue, self.ledger, self.pusher = shmlane, queue, ledger, pusher
        self.pushed = 0

    def producer(self, **options: Any) -> Any:
        return self.lib.Producer(self.queue, CAPACITY, wait_for_consumer=None, **options)

    def consumer(self, **options: Any) -> Any:
        return self.lib.Consumer(self.queue, **options)

    @contextlib.contextmanager
    def pushing(self, count: int = 1) -> Iterator[list[Any]]:
        numbers = range(self.pushed, self.pushed + count)
        self.pushed += count
        for number in numbers:
            self.ledger.note("try", self.pusher, number)
        try:
            yield [make(self.pusher, number) for number in numbers]
        except self.lib.Full:
            return
        for number in numbers:
            self.ledger.note("done", self.pusher, number)

    def push(self, tx: Any, count: int = 1, timeout: float | None = 0) -> None:
        for _ in range(count):
            with self.pushing() as objs:
                tx.push(objs[0], timeout)

    def pop(self, rx: Any, count: int = 1, timeout: float = 0) -> None:
        for _ in range(count):
            self.ledger.note("taking", 1)
            with contextlib.suppress(self.lib.Empty):
                self.took([rx.pop(timeout)])
            self.ledger.note("taking", 0)

    def took(self, objs: list[Any]) -> None:
        for obj in objs:
            self.ledger.note("took", *read(obj))

    def predecessor(self, work: Callable[[Actor], Any], **environment: str) -> None:
        """Somebody who does that and is killed by SIGKILL with all that it holds; before the victim's first step."""
        pid = os.fork()
        if pid == 0:
            for name in ("SHMLANE_CRASH_AT", "SHMLANE_CRASH_LOG"):
                os.environ.pop(name, None)
            os.environ.update(environment)
            held = work(Actor(self.queue, self.ledger, "predecessor"))
            os.kill(os.getpid(), signal.SIGKILL)
            del held
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


# ---- Scenes ----------------------------------------------------------------------------------------------------------


def attach(me: Actor) -> None:
    tx, rx = me.producer(), me.consumer()
    tx.close()
    rx.close()


def push(me: Actor) -> None:
    with me.producer() as tx:
        me.push(tx, 6)


def push_many(me: Actor) -> None:
    with me.producer() as tx, me.pushing(5) as objs:
        tx.push_many(objs, 0)


def reserve(me: Actor) -> None:
    def fill(place: Any, obj: bytes) -> None:
        place.array[:] = np.frombuffer(obj, np.uint8)

    with me.producer() as tx, me.pushing() as objs:
        first, second = tx.reserve(500), tx.reserve(len(objs[0]))
        fill(second, objs[0])
        first.abort()
        second.commit()


def transfer(me: Actor) -> None:
    """So often that the ring goes round, and its locks are left to the one who uses them."""
    with me.producer() as tx, me.consumer() as rx:
        for _ in range(24):
            me.push(tx)
            me.pop(rx)


def acquire(me: Actor) -> None:
    with me.producer() as tx, me.consumer() as rx:
        me.push(tx, 4)
        leases = [rx.acquire(0) for _ in range(3)]
        for lease in (leases[2], leases[0]):
            me.ledger.note("took", *read(lease.object))
            lease.release()
        rx.close()
        me.ledger.note("took", *read(leases[1].object))
        leases[1].release()


def pop_many(me: Actor) -> None:
    with me.producer() as tx, me.consumer() as rx:
        me.push(tx, 5)
        me.ledger.note("taking", 3)
        me.took(rx.pop_many(3, 0))
        me.ledger.note("taking", 0)


def wait_for_an_object(me: Actor) -> None:
    with me.consumer() as rx:
        me.pop(rx, timeout=0.25)


def wait_for_room(me: Actor) -> None:
    with me.producer() as tx:
        me.push(tx, 24)
        me.push(tx, 1, 0.25)


def take_the_locks_of_another_handle(me: Actor) -> None:
    with me.producer() as tx, me.consumer() as rx:
        for _ in range(20):
            me.push(tx)
            me.pop(rx)
        with me.producer() as late, me.consumer() as other:
            me.push(late)
            me.pop(other)


def drop_oldest(me: Actor) -> None:
    with me.producer(policy="drop_oldest") as tx:
        me.push(tx, 30)


def drop_oldest_of_few(me: Actor) -> None:
    with me.producer(policy="drop_oldest", max_objects=2) as tx:
        me.push(tx, 4)


def drop_newest(me: Actor) -> None:
    with me.producer(policy="drop_newest") as tx:
        me.push(tx, 24)


def hold_both(other: Actor, on_death: str = "redeliver") -> Any:
    tx, rx = other.producer(), other.consumer(on_death=on_death)
    other.push(tx, 3)
    return tx.reserve(200), rx.acquire(0), tx, rx


def reap(me: Actor) -> None:
    me.predecessor(hold_both)
    attach(me)


def reap_what_is_dropped(me: Actor) -> None:
    me.predecessor(lambda other: hold_both(other, "drop"))
    attach(me)


def take_the_locks_of_the_dead(me: Actor) -> None:
    me.predecessor(lambda other: other.push(other.producer(), 3), SHMLANE_CRASH_AT="lock.give_back_or_keep:2")
    transfer(me)


def take_the_lock_of_a_dead_consumer(me: Actor) -> None:
    def work(other: Actor) -> None:
        tx, rx = other.producer(), other.consumer()
        other.push(tx, 1)
        rx._native.wait(0)

    me.predecessor(work, SHMLANE_CRASH_AT="lock.give_back")
    transfer(me)


def replace_what_a_crash_left(me: Actor) -> None:
    me.predecessor(lambda other: other.producer())
    with me.producer() as tx:
        me.push(tx)


def be_the_only_one(me: Actor) -> None:
    with me.consumer() as rx, me.producer() as tx:
        me.push(tx, 2)
        me.pop(rx, 2)


def leave_objects(me: Actor) -> None:
    with me.producer() as tx:
        me.push(tx, 2)


ALONE = (replace_what_a_crash_left, be_the_only_one, leave_objects)
"""Scenes of queues in which nobody else is yet."""
DROPPING = (drop_oldest, drop_oldest_of_few, drop_newest, reap_what_is_dropped)
"""Scenes in which objects may go that were pushed; the counters tell how many."""
SCENES = {
    scene.__name__: scene
    for scene in (
        *(attach, push, push_many, reserve, transfer, acquire, pop_many, wait_for_an_object, wait_for_room),
        *(take_the_locks_of_another_handle, reap),
        *(take_the_locks_of_the_dead, take_the_lock_of_a_dead_consumer),
        *ALONE,
        *DROPPING,
    )
}


# ---- The process -----------------------------------------------------------------------------------------------------


def load_extension(path: str) -> None:
    """Have the package use this extension."""
    spec = spec_from_file_location("shmlane._native", path, loader=ExtensionFileLoader("shmlane._native", path))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["shmlane._native"] = module
    spec.loader.exec_module(module)
    os.environ["SHMLANE_BACKEND"] = "native"
    import shmlane

    assert Path(shmlane._backend.active.__file__) == Path(path)


def act(scene: str, queue: str, ledger: str, environment: dict[str, str]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        signal.alarm(60)
        os.environ.update(environment)
        try:
            with opcodes.watched(environment) if PURE else contextlib.nullcontext():
                {**SCENES, **ARRAY_SCENES}[scene](Actor(queue, Ledger(ledger)))
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


PURE = sys.argv[1:] == ["pure"]

if __name__ == "__main__":
    if PURE:
        os.environ["SHMLANE_BACKEND"] = "pure"
        import shmlane._pure  # noqa: F401  (warm for those who are forked)
    else:
        load_extension(sys.argv[1])
    for line in sys.stdin:
        print(act(*json.loads(line)), flush=True)
