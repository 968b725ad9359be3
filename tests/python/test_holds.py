# SPDX-License-Identifier: Apache-2.0
"""Reservations and leases: no copy where none is promised, and nothing pulled from under anybody's feet."""

from __future__ import annotations

import gc
import os
import re
import threading
import time
import tracemalloc
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shmlane import AsImage, Consumer, Lease, Producer, errors


def is_mapped(address: int, name: str) -> bool:
    """Whether the address lies in this process's mapping of the queue's segment."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if name in line:
            start, end = (int(part, 16) for part in re.split("[- ]", line)[:2])
            if start <= address < end:
                return True
    return False


def holds(backend: ModuleType, name: str) -> list[str]:
    participants = backend.inspect_segment(name)["participants"]
    return [hold["state"] for participant in participants for hold in participant["holds"]]


def test_a_reserved_array_lies_in_the_ring(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        with tx.reserve((100, 3), np.float32) as place:
            assert is_mapped(place.array.ctypes.data, name)
            assert place.array.ctypes.data % 64 == 0
            assert place.nbytes == 1200
            place.array[:] = 7
            with pytest.raises(errors.Empty):
                rx.try_pop()
            place.commit()
        back = rx.pop()
        assert back.shape == (100, 3)
        assert back.dtype == np.float32
        assert (back == 7).all()


def test_a_leased_array_lies_in_the_ring_and_a_popped_one_does_not(name: str) -> None:
    array = np.arange(1000.0)
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push_many([array, [array, b"x"], b"bytes", array])
        with rx.acquire() as lease:  # type: ignore[union-attr]
            view = lease.object
            assert is_mapped(view.ctypes.data, name)
            assert lease.object is view
            assert not view.flags.writeable
            assert np.array_equal(view, array)
            with pytest.raises(ValueError, match="read-only"):
                view[0] = 1
            assert is_mapped(lease.array.ctypes.data, name)
        with rx.acquire() as lease:  # type: ignore[union-attr]
            assert is_mapped(lease.object[0].ctypes.data, name)
        with rx.acquire() as lease:  # type: ignore[union-attr]
            assert isinstance(lease.object, memoryview)
            assert lease.object == b"bytes"
        popped = rx.pop()
        assert not is_mapped(popped.ctypes.data, name)
        assert popped.flags.owndata
        assert popped.flags.writeable
        del view


def test_pop_and_push_of_an_array_copy_once(name: str) -> None:
    size = 8 << 20
    with Producer(name) as tx, Consumer(name) as rx:
        for source in (np.zeros(size, np.uint8), np.zeros((size // 4096, 4096), np.uint8).T):
            tracemalloc.start()
            tx.push(source)
            assert tracemalloc.get_traced_memory()[1] < size // 8  # into the ring, without a temporary copy
            tracemalloc.reset_peak()
            popped = rx.pop()
            assert size <= tracemalloc.get_traced_memory()[1] < size + size // 8  # the result, and nothing else
            tracemalloc.stop()
            assert popped.nbytes == size


def test_a_number_of_bytes_arrives_as_bytes_and_may_be_committed_shorter(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        with tx.reserve(100) as place:
            place.array[:5] = list(b"hello")
            place.commit(5)
        assert rx.pop() == b"hello"
        with tx.reserve(0) as place:
            place.commit()
        assert rx.pop() == b""
        with tx.reserve(3, "<u2") as place:
            place.array[:] = [1, 2, 3]
            place.commit(2)
        assert np.array_equal(rx.pop(), np.array([1, 2], "<u2"))
        with tx.reserve((), float) as place:
            place.array[()] = 2.5
            place.commit()
        assert rx.pop() == np.array(2.5)


def test_a_reserved_picture_arrives_as_one(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        with tx.reserve((4, 5, 3), order="BGR") as place:
            place.array[:] = (3, 2, 1)
            place.commit(2)
        back = rx.pop()
        assert isinstance(back, Image.Image)
        assert back.size == (5, 2)
        assert back.getpixel((0, 0)) == (1, 2, 3)


def test_leaving_without_commit_gives_the_place_back(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        for _ in range(10):
            with tx.reserve(60_000, timeout=1) as place:
                pass
            assert place.closed
        with pytest.raises(ZeroDivisionError), tx.reserve(60_000, timeout=1):
            _ = 1 / 0
        tx.reserve(60_000, timeout=1).abort()
        tx.reserve(60_000, timeout=1)  # given back as it dies
        tx.push(bytes(60_000), 1)
        assert len(rx.pop()) == 60_000


def test_a_reservation_that_is_over_says_so_and_its_array_is_read_only(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        for end in ("commit", "abort"):
            place = tx.reserve(10)
            array = place.array
            array[:] = 1
            getattr(place, end)()
            with pytest.raises(errors.Closed):
                _ = place.array
            with pytest.raises(errors.Closed):
                place.commit()
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 2
            place.abort()
            assert repr(place) == "<Reservation closed>"
        assert rx.pop() == b"\1" * 10


@pytest.mark.parametrize(
    ("shape", "dtype", "order", "error"),
    [
        (-1, None, None, errors.InvalidArgument),
        ((2, -2), None, None, errors.InvalidArgument),
        (3, object, None, errors.UnsupportedType),
        ((2, 2), None, "RGB", errors.InvalidArgument),
        ((2, 2, 3), float, "RGB", errors.UnsupportedType),
        (2**62, None, None, errors.TooLarge),
        ((2**40, 2**40), None, None, (errors.TooLarge, errors.InvalidArgument)),
    ],
)
def test_what_cannot_be_reserved_is_refused(name: str, shape: Any, dtype: Any, order: str | None, error: Any) -> None:
    with Producer(name) as tx, Consumer(name):
        with pytest.raises(error):
            tx.reserve(shape, dtype, order=order)
        with tx.reserve((3, 2)) as place:
            for length in (4, -1):
                with pytest.raises(errors.InvalidArgument):
                    place.commit(length)


def test_others_are_delivered_while_a_reservation_is_kept_for_seconds(name: str) -> None:
    with Producer(name) as slow, Producer(name) as fast, Consumer(name) as rx, slow.reserve(4) as place:
        end = time.monotonic() + 2
        sent = 0
        while time.monotonic() < end:
            fast.push(sent)
            assert rx.pop(1) == sent
            sent += 1
            time.sleep(0.01)
        place.array[:] = 9
        place.commit()
        assert rx.pop(1) == b"\t\t\t\t"
    assert sent > 10


def test_a_released_lease_says_so(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push(b"abc")
        lease = rx.acquire()
        assert lease is not None
        assert (lease.nbytes, lease.attempt, lease.closed) == (3, 0, False)
        assert repr(lease) == "<Lease of 3 bytes>"
        assert lease.metadata == {"type": "bytes"}
        lease.release()
        lease.release()
        assert lease.closed
        for use in ("object", "array", "payload", "metadata", "nbytes", "attempt"):
            with pytest.raises(errors.Closed):
                getattr(lease, use)
        assert repr(lease) == "<Lease released>"


def test_a_view_keeps_its_place_until_it_dies(name: str, backend: ModuleType) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        for take in (lambda lease: lease.object[10:], lambda lease: lease.payload, lambda lease: lease.array[::2]):
            tx.push(np.full(50_000, 5, np.uint8))
            with rx.acquire() as lease:  # type: ignore[union-attr]
                view = take(lease)
            assert holds(backend, name) == ["leased"]
            with pytest.raises(errors.Full):
                tx.push(bytes(50_000), 0.05)
            assert bytes(view[:3]) == b"\5\5\5"
            del view, lease
            gc.collect()
            assert holds(backend, name) == []
            tx.push(bytes(50_000), 1)
            rx.pop()


def test_a_view_outlives_its_handle_and_the_queue(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push(np.arange(5))
        view = rx.acquire().object  # type: ignore[union-attr]
    assert view.sum() == 10
    del view


def test_views_die_in_any_order(name: str, backend: ModuleType) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push_many([np.full(10, i) for i in range(4)])
        views = [rx.acquire().object for _ in range(4)]  # type: ignore[union-attr]
        for i in (2, 0, 3, 1):
            assert (views[i] == i).all()
            views[i] = None
        assert holds(backend, name) == []


def test_others_go_on_while_a_lease_is_kept(name: str) -> None:
    with Producer(name, "1MiB") as tx, Consumer(name) as keeper, Consumer(name) as rx:
        tx.push("kept")
        lease = keeper.acquire()
        assert lease is not None
        for i in range(500):
            tx.push(bytes(1000))
            assert len(rx.pop(1)) == 1000, i
        assert lease.object == "kept"
        lease.release()


def test_the_error_of_a_pinned_ring_names_who_holds_it(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        tx.push(b"kept")
        lease = rx.acquire()
        assert lease is not None

        def fill() -> None:
            while True:
                tx.push(bytes(10_000), 0.2)
                rx.pop()

        with pytest.raises(errors.Full, match=rf"{os.getpid()}.*lease"):
            fill()
        lease.release()


def test_a_lease_crosses_threads(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push(np.arange(10))
        lease = rx.acquire()
        sums: list[int] = []
        thread = threading.Thread(target=lambda: sums.append(int(lease.object.sum())))  # type: ignore[union-attr]
        thread.start()
        thread.join()
        assert sums == [45]
        lease.release()  # type: ignore[union-attr]


def test_the_array_of_a_lease_is_what_was_pushed(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
        tx.push_many([AsImage(pixels, "BGR"), b"abc", AsImage(pixels, encoding="png")])
        with rx.acquire() as lease:  # type: ignore[union-attr]
            assert np.array_equal(lease.array, pixels)
            assert np.array_equal(np.asarray(lease.object), pixels[..., ::-1])
        with rx.acquire() as lease:  # type: ignore[union-attr]
            assert lease.array.tobytes() == b"abc"
        with rx.acquire() as lease, pytest.raises(errors.WrongType):  # type: ignore[union-attr]
            _ = lease.array


def test_nothing_keeps_a_lease_alive_behind_its_user_s_back(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push([np.arange(3), {"a": np.arange(3)}])
        lease = rx.acquire()
        assert lease is not None
        gone = weakref.ref(lease.object[0])
        lease.release()
        assert gone() is None


def test_only_a_consumer_makes_leases(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push(b"abc")
        lease = rx.acquire()
        for cls in (Lease, type(lease)):
            with pytest.raises(TypeError):
                cls()
        assert lease is not None
        assert bytes(lease.object) == b"abc"
        lease.release()


def test_a_lease_that_its_object_refers_to_is_collected(name: str, backend: ModuleType) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push([1, 2])
        lease = rx.acquire()
        assert isinstance(lease, Lease)
        lease.object.append(lease)
        gone = weakref.ref(lease)
        del lease
        assert holds(backend, name) == ["leased"]
        gc.collect()
        assert gone() is None
        assert holds(backend, name) == []
