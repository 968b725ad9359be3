# SPDX-License-Identifier: Apache-2.0
"""Every backend answers every vector of wire-format/vectors/v1 as it should; CTest asks the C++ testee likewise."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..implementations import BACKENDS
from .judge import INDEX, faults
from .run import vectors_are_right
from .testees import Testee, new_testee


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def testee(backend: str) -> Iterator[Testee]:
    one = new_testee(backend)
    yield one
    one.close()


@pytest.mark.parametrize("group", INDEX)
def test_every_vector_is_answered_as_it_says(testee: Testee, group: str) -> None:
    assert len(INDEX[group]) > 10
    wrong = {name: found for name in INDEX[group] if (found := faults(testee, group, name))}
    assert not wrong
    assert not [path for path in Path("/dev/shm").iterdir() if f"vectors-{os.getpid()}-" in path.name]


def test_the_testee_runs_on_the_backend_that_it_is_named_after(testee: Testee) -> None:
    assert testee.ask({"case": "backend"}) == {"backend": testee.name}


class Liar(Testee):
    """Bends one sort of value in all answers."""

    sort: type = int

    def ask(self, case: dict[str, Any]) -> dict[str, Any]:
        return self._bent(super().ask(case))

    def _bent(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._bent(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._bent(item) for item in value] if self.sort is not list else value[:-1]
        if type(value) is not self.sort:
            return value
        return value + 1 if type(value) is int else value[:-1] + chr(ord(value[-1:] or "0") ^ 1)


@pytest.mark.parametrize(
    ("sort", "group", "name"),
    [
        (str, "frame/valid", "list_nested"),
        (int, "frame/valid", "ndarray_f4"),
        (list, "frame/valid", "map"),
        (str, "frame/invalid", "wrong_segment"),
        (int, "segment/valid", "leased"),
        (list, "segment/valid", "leased"),
        (str, "segment/valid", "dead_consumer"),
        (str, "segment/invalid", "body_size_zero"),
        (int, "array/valid", "written_once"),
        (str, "array/valid", "of_f4"),
        (list, "array/valid", "tensor"),
        (str, "array/invalid", "slots_none"),
        (int, "stdio/valid", "one_frame"),
        (list, "stdio/invalid", "magic_wrong"),
        (str, "stdio/invalid", "magic_wrong"),
    ],
)
def test_a_wrong_answer_is_found(sort: type, group: str, name: str) -> None:
    honest = new_testee(BACKENDS[0])
    liar = Liar("liar", honest.words, honest.environment)
    liar.sort = sort
    try:
        assert faults(liar, group, name)
    finally:
        liar.close()


def test_a_testee_that_dies_has_no_answer_and_is_started_again() -> None:
    testee = new_testee(BACKENDS[0])
    try:
        assert testee.ask({"case": "backend"})["backend"] == testee.name
        os.kill(testee.pid, signal.SIGKILL)
        assert testee.ask({"case": "backend"})["error"] == "none"
        assert testee.ask({"case": "backend"})["backend"] == testee.name
    finally:
        testee.close()


def test_the_vectors_are_what_the_rules_make() -> None:
    assert vectors_are_right()
