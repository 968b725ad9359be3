# SPDX-License-Identifier: Apache-2.0
"""Tensors: one memory for all who attach, their locks, and pools of them."""

from __future__ import annotations

import gc
import os
import pickle
import signal
from multiprocessing import get_context

import numpy as np
import pytest
import workers
from conftest import left_over

from shmlane import Closed, Exists, InvalidArgument, NotFound, TensorPool, TimedOut, UnsupportedType, errors, tensor

SPAWN = get_context("spawn")
PATIENCE = 60.0


def test_a_tensor_is_one_memory_to_all_who_attach(name: str) -> None:
    data = np.arange(12, dtype=np.int32).reshape(3, 4)
    made = tensor.create_shared_tensor(name, data)
    found = tensor.attach_shared_tensor(name)
    assert found.array.tolist() == data.tolist()
    assert (found.shape, found.dtype, found.size) == ((3, 4), np.int32, 48)
    found.array[1, 2] = 77
    assert made.array[1, 2] == 77
    assert made.array.ctypes.data % 64 == 0
    assert data[1, 2] == 6


def test_a_tensor_of_a_shape_is_all_zeros_of_float32(name: str) -> None:
    made = tensor.create_shared_tensor(name, shape=(2, 2))
    assert made.dtype == np.float32
    assert not made.array.any()


def test_a_shape_and_dtype_that_are_given_are_compared(name: str) -> None:
    tensor.create_shared_tensor(name, shape=(2, 3), dtype=np.int8)
    assert tensor.attach_shared_tensor(name, (2, 3), np.int8).array.nbytes == 6
    with pytest.raises(errors.WrongType, match=r"int8 \(2, 3\), not \(3, 2\)"):
        tensor.attach_shared_tensor(name, (3, 2))
    with pytest.raises(errors.WrongType, match="not float64"):
        tensor.attach_shared_tensor(name, dtype=np.float64)


def test_names_that_exist_or_do_not_and_bad_arrays_are_clear_errors(name: str) -> None:
    with pytest.raises(NotFound, match=r"no tensor named.*create it"):
        tensor.attach_shared_tensor(name)
    with pytest.raises(InvalidArgument, match="either data or a shape"):
        tensor.create_shared_tensor(name)
    with pytest.raises(UnsupportedType):
        tensor.create_shared_tensor(name, np.array([object()]))
    with pytest.raises(InvalidArgument):
        tensor.create_shared_tensor(name, shape=(2, -1))
    with pytest.raises(UnsupportedType, match="gpu_device"):
        tensor.create_shared_tensor(name, shape=2, gpu_device=0)
    assert left_over(name) == []
    tensor.create_shared_tensor(name, shape=1)
    with pytest.raises(Exists, match="open it"):
        tensor.create_shared_tensor(name, shape=1)


def test_what_is_attached_to_read_only_cannot_be_written(name: str) -> None:
    tensor.create_shared_tensor(name, np.ones(4))
    found = tensor.attach_shared_tensor(name, writable=False)
    assert not found.array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        found.array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        found.array.flags.writeable = True


def test_a_tensor_stays_until_it_is_removed_and_its_arrays_for_longer(name: str) -> None:
    tensor.create_shared_tensor(name, np.ones(4)).close()
    found = tensor.attach_shared_tensor(name)
    array = found.array
    found.delete()
    del found
    gc.collect()
    assert left_over(name) == []
    assert array.sum() == 4


def test_the_with_of_its_creator_removes_it_and_that_of_others_does_not(name: str) -> None:
    with tensor.create_shared_tensor(name, shape=2):
        with tensor.attach_shared_tensor(name) as found:
            pass
        assert found.closed
        assert name in tensor.list_tensors()
    assert left_over(name) == []


def test_with_auto_unlink_it_goes_with_its_creator(name: str) -> None:
    made = tensor.create_shared_tensor(name, shape=2, auto_unlink=True)
    tensor.attach_shared_tensor(name).close()
    assert name in tensor.list()
    made.close()
    assert left_over(name) == []


def test_a_tensor_is_made_of_data_of_any_layout(name: str) -> None:
    for number, data in enumerate((np.arange(6).reshape(2, 3).T, np.array(3.5), np.zeros((0, 4)))):
        assert np.array_equal(tensor.create_shared_tensor(f"{name}{number}", data).array, data)
    assert tensor.create_shared_tensor(name, np.array([1.5]), dtype=np.int8).array.tolist() == [1]


def test_a_maker_killed_while_it_copies_its_data_leaves_no_tensor(name: str) -> None:
    process = SPAWN.Process(target=workers.die_making_a_tensor, args=(name,))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGSEGV
    with pytest.raises(NotFound):
        tensor.attach_shared_tensor(name)
    assert not tensor.create_shared_tensor(name, shape=3 * 4096, dtype=np.uint8).array.any()


def test_a_closed_handle_says_how_to_attach_again(name: str) -> None:
    made = tensor.create_shared_tensor(name, shape=2)
    assert repr(made) == f"<Tensor {name!r} float32 (2,)>"
    made.close()
    made.close()
    assert repr(made) == f"<Tensor {name!r} closed>"
    for use in (lambda: made.array, lambda: made.shape, lambda: made.read_locked().__enter__()):
        with pytest.raises(Closed, match=rf"{name}.*attach_shared_tensor"):
            use()


def test_cleanup_removes_what_is_named_or_what_nobody_uses(name: str) -> None:
    used, unused = name + "a", name + "b"
    keep = tensor.create_shared_tensor(used, shape=1)
    tensor.create_shared_tensor(unused, shape=1).close()
    gone = tensor.cleanup()
    assert unused in gone
    assert used not in gone
    assert tensor.cleanup(used, unused) == [used]
    assert keep.array.sum() == 0


def test_other_processes_write_into_it_and_a_pickled_handle_attaches(name: str) -> None:
    made = tensor.create_shared_tensor(name, shape=8, dtype=np.int64)
    process = SPAWN.Process(target=workers.fill_tensor, args=(made, 5))
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert made.array.tolist() == [5] * 8
    assert pickle.loads(pickle.dumps(made)).array[0] == 5


def test_readers_exclude_writers_and_not_each_other(name: str) -> None:
    first, second = tensor.create_shared_tensor(name, shape=1), tensor.attach_shared_tensor(name)
    with first.read_locked() as array, second.read_locked(0):
        assert array is first.array
        with pytest.raises(TimedOut), second.write_locked(0.02):
            pytest.fail("beside readers")
    with first.write_locked(), first.write_locked(0):
        with pytest.raises(TimedOut), second.read_locked(0.02):
            pytest.fail("beside a writer")
        with pytest.raises(TimedOut), second.write_locked(0):
            pytest.fail("beside a writer")
    with second.write_locked(0):
        pass


@pytest.mark.parametrize("way", ["read", "write"])
def test_the_death_of_who_holds_a_lock_gives_it_back(name: str, way: str) -> None:
    made = tensor.create_shared_tensor(name, shape=1)
    process = SPAWN.Process(target=workers.hold_tensor, args=(name, way))
    process.start()
    while not made.array[0]:
        pass
    with pytest.raises(TimedOut), made.write_locked(0.01):
        pytest.fail("it is held")
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with made.write_locked(PATIENCE):
        pass
    with made.read_locked(PATIENCE):
        pass
    process.join()


def test_dlpack_and_numpy_see_the_memory_itself(name: str) -> None:
    made = tensor.create_shared_tensor(name, shape=3)
    np.asarray(made)[0] = 1
    np.from_dlpack(made.array)
    assert made.array[0] == 1
    assert np.shares_memory(np.asarray(made), made.array)
    assert np.shares_memory(np.from_dlpack(made), made.array)
    assert np.shares_memory(np.asarray(made.__buffer__(0)), made.array)  # what memoryview() asks for, from 3.12 on


def test_a_pool_hands_out_the_same_memory_again(name: str) -> None:
    with TensorPool(name, (4, 4)) as pool:
        with pool.taken() as first:
            first.array[:] = 3
            second = pool.take()
            assert second.name != first.name
        again = pool.take()
        assert again is first
        assert tensor.attach_shared_tensor(again.name).array[0, 0] == 3
        with pytest.raises(InvalidArgument):
            pool.give_back(tensor.attach_shared_tensor(again.name))
        pool.give_back(again)
        with pytest.raises(InvalidArgument):
            pool.give_back(again)
    with pytest.raises(Closed):
        pool.take()
    assert left_over(name) == []


def test_a_pool_may_be_closed_while_somebody_has_one_of_its_tensors(name: str) -> None:
    pool = TensorPool(name, 4)
    with pool.taken() as mine:
        array = mine.array
        pool.close()
        array[:] = 1
    assert array.sum() == 4
    assert left_over(name) == []
