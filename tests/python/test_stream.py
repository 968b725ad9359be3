# SPDX-License-Identifier: Apache-2.0
"""Streams: creating, opening, reading, writing, and what handles say when they are misused."""

from __future__ import annotations

import gc
import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import left_over

import shmlane
from shmlane import (
    Closed,
    Exists,
    InvalidArgument,
    NoDevice,
    NotFound,
    Removed,
    Stream,
    UnsupportedType,
    stream,
)


def test_a_fresh_stream_is_all_zeros_of_float32(name: str) -> None:
    s = stream.create(name, (2, 3))
    assert s.read().dtype == np.float32
    assert not s.read().any()
    assert (s.count, s.write_sequence, s.write_time, s.age) == (0, 0, 0.0, None)


def test_a_reader_gets_the_newest_value(name: str) -> None:
    writer, reader = stream.create(name, 4, np.int16), stream.open(name)
    for i in range(5):
        writer.write(np.full(4, i, np.int16))
    assert reader.read().tolist() == [4, 4, 4, 4]
    assert reader.missed == 4
    assert reader.last_read == writer.count == 5


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("<f8", (480, 640, 3)),
        (">i2", ()),
        ("?", (7,)),
        ("<M8[us]", (3, 0)),
        ("<U5", (2,)),
        ([("pose", "<f4", (3,)), ("id", "|u1")], (4,)),
    ],
)
def test_an_opened_stream_has_the_shape_and_dtype_of_its_creation(
    name: str, dtype: object, shape: tuple[int, ...]
) -> None:
    value = np.zeros(shape, dtype)  # type: ignore[call-overload]
    made = stream.create(name, shape, value.dtype)
    found = stream.open(name)
    assert (found.shape, found.dtype, found.size) == (shape, value.dtype, value.nbytes)
    assert made.owner
    assert not found.owner
    made.write(value)
    assert found.read().tobytes() == value.tobytes()


def test_ml_dtypes_cross_too(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    s = stream.create(name, 3, ml_dtypes.bfloat16)
    s.write(np.array([1, 2, 3], ml_dtypes.bfloat16))
    assert stream.open(name).read().tolist() == [1, 2, 3]


def test_reading_into_an_array_allocates_none(name: str) -> None:
    s = stream.create(name, (3, 4))
    s.write(np.ones((3, 4), np.float32))
    out = np.zeros((3, 4), np.float32)
    assert s.read(out=out) is out
    assert out.all()
    strided = np.zeros((3, 8), np.float32)[:, ::2]
    assert s.read(strided) is strided
    assert strided.all()


@pytest.mark.parametrize(
    "out", [np.zeros(4, np.float32), np.zeros((3, 4)), np.zeros((3, 4), np.float32)[:2], [1.0], memoryview(b"abc")]
)
def test_reading_into_another_array_is_refused_with_what_was_expected(name: str, out: object) -> None:
    s = stream.create(name, (3, 4))
    with pytest.raises(InvalidArgument, match=r"\(3, 4\)"):
        s.read(out)  # type: ignore[arg-type]


def test_reading_into_a_read_only_array_is_refused(name: str) -> None:
    s = stream.create(name, 4)
    out = np.zeros(4, np.float32)
    out.flags.writeable = False
    with pytest.raises(InvalidArgument, match="read-only"):
        s.read(out)


def test_a_value_of_another_shape_or_dtype_is_refused_with_what_was_expected(name: str) -> None:
    s = stream.create(name, (2, 2))
    with pytest.raises(InvalidArgument, match=r"expected shape \(2, 2\), got \(3,\)"):
        s.write(np.zeros(3, np.float32))
    with pytest.raises(InvalidArgument, match="expected dtype float32, got float64"):
        s.write(np.zeros((2, 2)))
    with pytest.raises(InvalidArgument, match=r"expected shape \(2, 2\)"):
        s.write([1, 2])
    with pytest.raises(InvalidArgument, match=r"expected shape \(2, 2\)"):
        s.write([[1, 2], [3, "x"]])
    with pytest.raises(UnsupportedType):
        s.write(object())
    assert s.count == 0


def test_arrays_of_any_layout_and_lists_are_written(name: str) -> None:
    s = stream.create(name, (2, 2))
    s.write(np.arange(4, dtype=np.float32).reshape(2, 2).T)
    assert s.read().tolist() == [[0, 2], [1, 3]]
    s.write([[1, 2], [3, 4]])
    assert s.read().tolist() == [[1, 2], [3, 4]]
    s.write(memoryview(np.ones((2, 2), np.float32)))
    assert s.read().all()


def test_clearing_gives_zeros_and_counts_as_a_write(name: str) -> None:
    s = stream.create(name, 2)
    s.write([1, 2])
    s.clear()
    assert s.read().tolist() == [0, 0]
    assert s.count == 2


def test_a_write_view_is_published_at_the_end_of_its_with(name: str) -> None:
    s = stream.create(name, 4)
    with s.write_view() as array:
        array[:] = 7
        assert not s.read().any()
        assert s.write_sequence == 1
    assert s.read().tolist() == [7] * 4
    assert not array.flags.writeable


def test_a_write_view_that_ends_with_an_exception_leaves_the_old_value(name: str) -> None:
    s = stream.create(name, 4)
    s.write([1, 2, 3, 4])

    def fill_half() -> None:
        with s.write_view(keep=True) as array:
            assert array.tolist() == [1, 2, 3, 4]
            array[0] = 9
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill_half()
    assert s.read().tolist() == [1, 2, 3, 4]
    assert (s.count, s.write_sequence) == (1, 2)
    assert s.acquire(0)
    s.release()


def test_a_write_view_may_be_committed_or_aborted_by_hand_once(name: str) -> None:
    s = stream.create(name, 2)
    view = s.write_view()
    view.array[:] = 5
    assert view.commit() == 1
    view.abort()
    with pytest.raises(Closed):
        view.commit()
    s.write_view().abort()
    assert s.read().tolist() == [5, 5]


def test_while_a_write_view_is_open_its_thread_can_write_nothing_else(name: str) -> None:
    s = stream.create(name, 2)
    with s.write_view() as array:
        array[:] = 1
        with pytest.raises(InvalidArgument, match="write view"):
            s.write([2, 2])
    assert s.read().tolist() == [1, 1]


def test_memory_of_a_view_outlives_its_stream(name: str) -> None:
    s = stream.create(name, 1000)
    with s.write_view() as array:
        array[:] = 3
    s.delete()
    del s
    gc.collect()
    assert array.sum() == 3000


def test_creating_what_exists_says_to_open_it_and_opening_what_does_not_is_an_error(name: str) -> None:
    with pytest.raises(NotFound, match=r"no stream named.*create it"):
        stream.open(name)
    stream.create(name, 4)
    with pytest.raises(Exists, match="open it"):
        stream.create(name, 4)


def test_unlinking_what_is_not_there_is_silent(name: str) -> None:
    stream.unlink(name)


def test_a_stream_is_no_queue(name: str) -> None:
    stream.create(name, 4)
    with pytest.raises(shmlane.errors.WrongKind):
        shmlane.Producer(name)
    with shmlane.Producer(name + "q"), shmlane.Consumer(name + "q"), pytest.raises(shmlane.errors.WrongKind):
        stream.open(name + "q")


def test_the_with_of_stream_removes_it_at_the_end(name: str) -> None:
    with stream.stream(name, shape=3) as s:
        assert name in stream.list_streams()
        assert not s.closed
    assert s.closed
    assert left_over(name) == []


def test_a_stream_stays_when_all_handles_are_closed(name: str) -> None:
    with stream.create(name, 2) as s:
        s.write([1, 2])
    assert stream.open(name).read().tolist() == [1, 2]


def test_with_auto_unlink_it_goes_with_its_creator(name: str) -> None:
    made = stream.create(name, 2, auto_unlink=True)
    stream.open(name).close()
    assert name in stream.list_streams()
    made.close()
    assert left_over(name) == []


def test_handles_of_an_unlinked_stream_raise_removed(name: str) -> None:
    s, other = stream.create(name, 2), stream.open(name)
    other.unlink()
    for use in (s.read, s.clear, lambda: s.count, lambda: s.write([1, 2]), s.write_view, lambda: s.wait_after(0, 0)):
        with pytest.raises(Removed, match=name):
            use()  # type: ignore[operator]
    s.unlink()
    s.close()
    assert not stream.create(name, 3).read().any()


USES = [
    *("read", "clear", "describe", "acquire", "write_view", "unlink", "to_config", "read_new"),
    *("shape", "dtype", "size", "owner", "count", "missed", "last_read", "write_time", "write_sequence", "age"),
    *("gpu_device", "gpu_enabled", "cpu_mirror", "writer_alive", "slots"),
]


@pytest.mark.parametrize("use", USES)
def test_every_use_of_a_closed_handle_says_which_stream_it_was_and_how_to_open_it(name: str, use: str) -> None:
    s = stream.create(name, 2)
    s.close()
    s.close()

    def use_it() -> None:
        getattr(s, use)()

    with pytest.raises(Closed, match=rf"{name}.*open\("):
        use_it()


def test_repr_is_short_and_stable(name: str) -> None:
    s = stream.create(name, (2, 3))
    assert repr(s) == f"<Stream {name!r} float32 (2, 3)>"
    s.close()
    assert repr(s) == f"<Stream {name!r} closed>"
    assert s.name == name


def test_description_has_one_line_a_field(name: str) -> None:
    s = stream.create(name, (2, 3))
    s.clear()
    lines = dict(line.split(None, 1) for line in s.describe().splitlines())
    assert lines["shape"] == "(2, 3)"
    assert lines["count"] == "1"
    assert lines["writer"].startswith("process ")
    assert float(lines["age"].split()[0]) >= 0


def test_a_config_makes_the_same_stream_anew_also_through_json(name: str) -> None:
    s = stream.create(name, (2, 3), [("a", "<f4"), ("b", "|u1")], slots=5)
    config = json.loads(json.dumps(s.to_config()))
    s.delete()
    again = stream.create_from_config(config)
    assert (again.shape, again.dtype, again.slots) == ((2, 3), np.dtype([("a", "<f4"), ("b", "|u1")]), 5)
    other = stream.create_from_config(config, name=name + "b", dtype=np.int8)
    assert other.dtype == np.int8


def test_a_pickled_handle_opens_the_stream_by_its_name(name: str) -> None:
    s = stream.create(name, 2)
    s.write([3, 4])
    assert pickle.loads(pickle.dumps(s)).read().tolist() == [3, 4]


def test_a_stream_is_an_array_to_numpy_and_to_dlpack(name: str) -> None:
    s = stream.create(name, 3)
    s.write([1, 2, 3])
    assert np.asarray(s).tolist() == [1, 2, 3]
    assert np.asarray(s, np.int64).dtype == np.int64
    assert np.from_dlpack(s).tolist() == [1, 2, 3]
    assert s.__buffer__(0).tolist() == [1, 2, 3]  # what memoryview() asks for, from Python 3.12 on


def test_asking_for_a_gpu_is_a_clear_error(name: str) -> None:
    if not stream.gpu_available():
        with pytest.raises(NoDevice):
            stream.create(name, 3, gpu_device="cuda:0")
    with pytest.raises(InvalidArgument, match="cpu_mirror"):
        stream.create(name, 3, cpu_mirror=False)
    s = stream.create(name, 3)
    assert (s.gpu_enabled, s.gpu_device, s.cpu_mirror) == (False, None, True)


def test_impossible_arrays_are_refused_and_nothing_is_made(name: str) -> None:
    for shape in (-1, (2, -3), "ab", 1.5):
        with pytest.raises(InvalidArgument):
            stream.create(name, shape)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedType):
        stream.create(name, 2, object)
    with pytest.raises(shmlane.Error):
        stream.create(name, (1 << 40, 1 << 20))
    with pytest.raises(InvalidArgument, match="slots"):
        stream.create(name, 2, slots=2)
    assert left_over(name) == []


def test_streams_are_of_one_class(name: str) -> None:
    assert isinstance(stream.create(name, 1), Stream)
    assert stream.Stream is shmlane.Stream is Stream


def test_the_example_in_the_readme_does_what_it_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    found = re.search(r"<!-- example: python, streams -->\s*```python\n(.*?)```", readme, re.DOTALL)
    assert found
    exec(compile(found[1].replace("lanes-readme", name), "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == ["[0. 1. 2. 3. 4. 5.]", "[1. 1. 1. 1. 1. 1.] 2 0", "3.0"]
    assert left_over(name) == []
