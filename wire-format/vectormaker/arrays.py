# SPDX-License-Identifier: Apache-2.0
"""The vectors of sound streams and tensors: every dtype, every state, and whatever the dead and the living hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

from .array import STREAM, TENSOR, Array
from .array_steps import array_vector, attach, create, lock, read, write
from .frames import Vector
from .gpu_streams import valid_gpu_streams
from .more_objects import MAY_BE_UNKNOWN, more_objects
from .objects import OBJECTS
from .segment import BODY, FULL_FENCE, HEADER, REMOVED, Entry, id_of
from .steps import failing, inspect, peek, vector

_ZEROS, _OLD, _NEW, _NEXT = (bytes([byte]) * 24 for byte in (0, 0x11, 0x22, 0x33))
_HALF = b"\x99" * 12
_ME = id_of(0)
_WROTE = Array({1: _OLD}, count=1, slot=1, writer=_ME, written_ns=10**18)
_DEAD, _LIVING = {0: Entry()}, {"living": [0]}
_NOT_FOUND = {"do": "read", "expect": {"error": "NotFound"}}


def _values() -> Iterator[Vector]:
    yield array_vector(
        "fresh",
        "nobody has written: zeros",
        Array(),
        read(Array(), _ZEROS, 0, slots=3, write_sequence=0, writer_alive=False),
        inspect(kind="stream", state="ready", count=0, nbytes=24, slots=3, shape=[2, 3], dtype="<f4"),
        write(_NEW, 1),
        peek(StreamControl__published=1 << 8 | 1, StreamControl__writing=1, StreamControl__write_lock=0),
        read(Array(), _NEW, 1, write_sequence=2),
    )
    yield array_vector(
        "written_once", "in slot 1", _WROTE, read(_WROTE, _OLD, 1), write(_NEW, 2), read(_WROTE, _NEW, 2)
    )
    full = Array({0: _NEW, 1: _NEXT, 2: _OLD}, count=5, slot=2, writer=_ME)
    yield array_vector(
        "every_slot_used",
        "the newest is in the last slot: the next one goes to the first (W-126)",
        full,
        read(full, _OLD, 5),
        write(_NEXT, 6),
        peek(StreamControl__published=6 << 8),
        read(full, _NEXT, 6),
    )
    many = replace(full, slots=255, slot=254, values={254: _OLD})
    yield array_vector(
        "255_slots",
        "as many as there may be",
        many,
        read(many, _OLD, 5, slots=255),
        write(_NEXT, 6),
        read(many, _NEXT, 6),
    )
    late = replace(full, count=2**40)
    yield array_vector("count_of_a_long_life", "2^40 values", late, read(late, _OLD, 2**40), write(_NEW, 2**40 + 1))
    longer = replace(_WROTE, segment={"beyond": 4096})
    yield array_vector("file_longer_than_the_body", "which may be (W-3)", longer, read(longer, _OLD, 1))
    roomy = replace(_WROTE, segment={"capacity": 8192})
    yield array_vector(
        "body_longer_than_the_slots", "which may be (W-120)", roomy, read(roomy, _OLD, 1), write(_NEW, 2)
    )
    spaced = replace(_WROTE, dtype_bytes=b' "<f4" ')
    yield array_vector("dtype_with_spaces", "it is JSON", spaced, read(spaced, _OLD, 1))
    fences = replace(_WROTE, segment={"flags": FULL_FENCE})
    yield array_vector(
        "full_fence", "somebody may not use membarrier (W-32)", fences, write(_NEW, 2), read(fences, _NEW, 2)
    )


def _deaths() -> Iterator[Vector]:
    dying = replace(_WROTE, entries=_DEAD, write_lock=_ME, writing=2, values={1: _OLD, 2: _HALF})
    yield array_vector(
        "writer_died_in_mid_write",
        "readers get the last whole value; the next writer fills the same slot (W-126)",
        dying,
        inspect(count=1),
        read(dying, _OLD, 1, write_sequence=3, writer_alive=False),
        write(_NEW, 2),
        peek(StreamControl__write_lock=0, StreamControl__published=2 << 8 | 2, StreamControl__writing=2),
        read(dying, _NEW, 2, write_sequence=4),
    )
    published = replace(_WROTE, entries=_DEAD, write_lock=_ME)
    yield array_vector(
        "writer_died_after_publishing", "with the lock, and the value stands", published, read(published, _OLD, 1),
        write(_NEW, 2),
    )  # fmt: skip
    holding = replace(Array(), entries=_DEAD, write_lock=_ME)
    yield array_vector("lock_held_by_the_dead", "who wrote nothing", holding, read(holding, _ZEROS, 0), write(_NEW, 1))
    gone = replace(_WROTE, write_lock=id_of(7, 3), writer=id_of(7, 3))
    yield array_vector(
        "lock_held_by_who_has_no_entry", "an id of no entry is dead (W-12)", gone, read(gone, _OLD, 1), write(_NEW, 2)
    )
    writing = replace(dying, values={1: _OLD, 2: _HALF})
    yield array_vector(
        "being_written",
        "readers do not wait, writers do",
        writing,
        read(writing, _OLD, 1, write_sequence=3, writer_alive=True),
        write(_NEW, None),
        inspect(count=1),
        read(writing, _OLD, 1, write_sequence=3),
        **_LIVING,
    )
    reaped = replace(_WROTE, entries={0: Entry(), 1: Entry(), 2: Entry(generation=9)})
    yield array_vector(
        "the_dead_are_reaped_by_who_comes",
        "under the creation lock, before it claims an entry (W-125)",
        reaped,
        read(reaped, _OLD, 1),
        peek(**{"ParticipantEntry[1]__word": 1 << 32, "ParticipantEntry[2]__word": 9 << 32}),
        {"do": "reap", "expect": {"reaped": 0}},
    )
    yield array_vector(
        "the_dead_are_reaped_by_a_reaper", "as above", reaped, {"do": "reap", "expect": {"reaped": 3}},
        inspect(participants=[]),
    )  # fmt: skip
    rung = replace(_WROTE, value_bell=7, lock_bell=2**63 + 1)
    yield array_vector(
        "sleepers_that_died",
        "their bells are odd: one needless ring each (W-122)",
        rung,
        inspect(items_waiters=1, space_waiters=1),
        write(_NEW, 2),
        peek(StreamControl__value_bell=8, StreamControl__lock_bell=2**63 + 2),
    )


def _lives() -> Iterator[Vector]:
    removed = replace(_WROTE, segment={"state": REMOVED})
    yield array_vector(
        "removed", "its remover died before the name was gone (W-77)", removed, _NOT_FOUND, create(Array()),
        read(Array(), _ZEROS, 0),
    )  # fmt: skip
    bare = replace(Array(), segment={"state": HEADER, "epoch": 0})
    yield array_vector(
        "made_but_not_laid_out",
        "its maker died: who opens finds nothing, who creates lays it out (W-135)",
        bare,
        _NOT_FOUND,
        create(Array()),
        read(Array(), _ZEROS, 0),
    )
    half = replace(bare, shape=(9, 9), segment={"state": HEADER, "body_size": 8192})
    yield array_vector(
        "laid_out_but_for_the_state", "another maker has another array", half, create(_WROTE), read(_WROTE, _ZEROS, 0)
    )
    yield vector("half_made_zeros", "its maker died at once", bytes(BODY), create(Array()), read(Array(), _ZEROS, 0))
    yield array_vector(
        "there_already",
        "a maker does not open it (W-135)",
        _WROTE,
        failing(create(_WROTE), "Exists"),
        read(_WROTE, _OLD, 1),
    )


def _tensors() -> Iterator[Vector]:
    plain = Array({0: _OLD}, kind=TENSOR)
    yield array_vector(
        "tensor", "two rows of three floats", plain, attach(plain, _OLD), lock("read"), lock("write"),
        inspect(kind="tensor", nbytes=24, slots=1, shape=[2, 3], dtype="<f4"),
    )  # fmt: skip
    item = replace(plain, shape=(), values={0: b"\0\0\x80\x3f"})
    yield array_vector("tensor_0d", "no dimensions: one item", item, attach(item, b"\0\0\x80\x3f"))
    empty = replace(plain, shape=(0, 3), values={})
    yield array_vector("tensor_empty", "no items, and 64 bytes all the same", empty, attach(empty, b""), lock("write"))
    held = {
        "tensor_write_locked_by_the_dead": ({"write_lock": _ME}, {}, (), "taken", "taken"),
        "tensor_write_locked": ({"write_lock": _ME}, {}, [0], "held", "held"),
        "tensor_read_locked_by_the_dead": ({}, {"consumers_busy": 2}, (), "taken", "taken"),
        "tensor_read_locked": ({}, {"consumers_busy": 2}, [0], "taken", "held"),
    }
    for name, (words, busy, living, to_read, to_write) in held.items():
        array = replace(plain, entries={0: Entry(**busy)}, **words)  # type: ignore[arg-type]
        steps = (attach(array, _OLD), lock("read", to_read), lock("write", to_write))
        yield array_vector(name, "W-132 to W-134", array, *steps, living=living)
    yield array_vector("tensor_there_already", "W-135", plain, failing(create(plain, "tensor"), "Exists"))


def _dtypes() -> Iterator[Vector]:
    for name, (metadata, payload, what) in {**OBJECTS, **more_objects()}.items():
        facts = json.loads(metadata)
        if facts["type"] != "ndarray" or "version" in facts or name in MAY_BE_UNKNOWN:
            continue
        items = math.prod(facts["shape"])
        itemsize = len(payload) // items if items else {"|u1": 1, "<i4": 4}[facts["dtype"]]
        array = Array({1: payload}, facts["dtype"], itemsize, facts["shape"], STREAM, count=1, slot=1, writer=_ME)
        cleared = bytes(len(payload))
        yield array_vector(
            f"of_{name.removeprefix('ndarray_')}", what, array, read(array, payload, 1), write(cleared, 2),
            read(array, cleared, 2),
        )  # fmt: skip


def valid_arrays() -> Iterator[Vector]:
    yield from _values()
    yield from _deaths()
    yield from _lives()
    yield from _tensors()
    yield from _dtypes()
    yield from valid_gpu_streams()
