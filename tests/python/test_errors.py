# SPDX-License-Identifier: Apache-2.0
"""The table of errors."""

import pickle
import queue
import re
from pathlib import Path

import pytest

from shmlane import errors

HEADER = Path(__file__).parents[2] / "cpp/include/shmlane/error.hpp"


def test_the_table_is_the_same_as_in_cpp() -> None:
    table = dict(re.findall(r'^  X\((\w+), "([^"]+)"\)', HEADER.read_text(), re.MULTILINE))
    assert list(errors.by_name) == list(table)
    for name, meaning in table.items():
        text = str(errors.by_name[name].__doc__).lower().rstrip(".")
        assert text == meaning.lower()


@pytest.mark.parametrize("error", errors.by_name.values(), ids=lambda error: error.__name__)
def test_an_error_has_its_code_and_crosses_processes(error: type[errors.Error]) -> None:
    assert error.code == error.__name__
    copy = pickle.loads(pickle.dumps(error("what, where, what to do")))
    assert type(copy) is error
    assert str(copy) == "what, where, what to do"


@pytest.mark.parametrize(
    ("error", "standard"),
    [
        (errors.Full, queue.Full),
        (errors.Full, TimeoutError),
        (errors.Empty, queue.Empty),
        (errors.Empty, TimeoutError),
        (errors.NoConsumers, TimeoutError),
        (errors.TimedOut, TimeoutError),
        (errors.NotFound, FileNotFoundError),
        (errors.PermissionDenied, PermissionError),
        (errors.NoSpace, OSError),
        (errors.BrokenPipe, BrokenPipeError),
        (errors.Truncated, EOFError),
        (errors.InvalidName, ValueError),
        (errors.CapacityMismatch, ValueError),
        (errors.TooLarge, ValueError),
        (errors.Closed, ValueError),
        (errors.Corrupt, ValueError),
        (errors.UnsupportedType, TypeError),
        (errors.WrongType, TypeError),
    ],
)
def test_an_error_is_what_the_standard_library_raises(error: type[errors.Error], standard: type[BaseException]) -> None:
    with pytest.raises(standard):
        raise error("message")
