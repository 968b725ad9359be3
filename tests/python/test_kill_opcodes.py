# SPDX-License-Identifier: Apache-2.0
"""Processes on the pure backend that die before any instruction of Python, and how the others fare."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import victims
from array_scenes import ARRAY_SCENES, LENGTH, write_next
from conftest import left_over
from test_kill_steps import AT_ONCE, Death, World, Zygote, run_worlds

from shmlane import Exists, Stream, stream, tensor

# Predecessors of the others die at named steps of the extension.
QUEUE_SCENES = [name for name in victims.SCENES if not name.startswith("take_the_lock")]
SAMPLE = int(os.environ.get("SHMLANE_KILL_SAMPLE", "60"))
EVERYWHERE = os.environ.get("SHMLANE_KILL_ALL")
PATIENCE = 60.0


class ArrayWorld:
    """A stream and a tensor around one victim."""

    def __init__(self, name: str, death: Death, folder: Path) -> None:
        self.name, self.death = name, death
        self.ledger, self.log = folder / f"{name}.ledger", folder / f"{name}.log"
        self.again = 0

    def run(self, zygote: Zygote) -> bool:
        """All that the victim's survivors find is whole, and nothing keeps them waiting."""
        with ExitStack() as stack:
            survivor = stack.enter_context(stream.stream(self.name, LENGTH, np.int64))
            t = stack.enter_context(tensor.create_shared_tensor(self.name + "t", np.zeros(3)))
            died = zygote.bring_about(self.death, self.name, self.ledger, self.log)
            newcomer = stack.enter_context(stream.open(self.name))
            self.judge(survivor, newcomer)
            self.judge(newcomer, survivor)
            with t.read_locked(PATIENCE):
                pass
            with tensor.attach_shared_tensor(self.name + "t") as other, other.write_locked(PATIENCE):
                pass
            self.go_on_with(self.name + "own")
        assert left_over(self.name + ".") == []
        return died

    def judge(self, writer: Stream, reader: Stream) -> None:
        for _ in range(writer.slots + 1):
            value = reader.read()
            assert len(set(value.tolist())) == 1
            assert value[0] in (0, reader.count)
            write_next(writer, PATIENCE)
        assert reader.read_after(writer.count - 1, PATIENCE)[0] == writer.count

    def go_on_with(self, name: str) -> None:
        """A stream and a tensor that the victim was making or removing are there, or are not, and not half."""
        try:
            own = stream.create(name, LENGTH, np.int64)
        except Exists:
            own = stream.open(name)
        write_next(own, PATIENCE)
        own.delete()
        try:
            made = tensor.create_shared_tensor(name + "t", np.full(LENGTH, 5))
        except Exists:
            made = tensor.attach_shared_tensor(name + "t")
        assert (made.array == 5).all()
        made.delete()


@pytest.fixture
def zygotes() -> Iterator[list[Zygote]]:
    started = [Zygote("pure") for _ in range(AT_ONCE)]
    yield started
    for zygote in started:
        zygote.close()


@pytest.mark.timeout(7200 if EVERYWHERE else 120)
@pytest.mark.parametrize(
    ("world_of", "scenes"), [(World, QUEUE_SCENES), (ArrayWorld, list(ARRAY_SCENES))], ids=["queues", "arrays"]
)
def test_before_whatever_instruction_a_pure_process_dies_the_others_go_on_with_all_that_is_sound(
    name: str,
    backend: ModuleType,
    tmp_path: Path,
    zygotes: list[Zygote],
    capsys: pytest.CaptureFixture[str],
    world_of: type[Any],
    scenes: list[str],
) -> None:
    begin = time.monotonic()
    random = Random(time.time_ns())
    deaths = {}
    for life, world, died in run_worlds([Death(scene) for scene in scenes], name, tmp_path, zygotes, world_of):
        assert not died
        for line in world.log.read_text().splitlines():
            where, count = line.rsplit(" ", 1)
            # Of the scenes in which an instruction is passed, one; of its passings there, one.
            if where not in deaths or random.random() < 0.3:
                deaths[where] = Death(life.scene, where, random.randint(1, int(count)))
    chosen = list(deaths.values()) if EVERYWHERE else random.sample(list(deaths.values()), SAMPLE)
    died_at_all, again = 0, 0
    for _, world, died in run_worlds(chosen, name, tmp_path, zygotes, world_of):
        died_at_all += died
        again += world.again
    with capsys.disabled():
        print(
            f"\ninstructions of the pure backend, survived on {backend.__name__}: {len(deaths)} passed, {died_at_all} "
            f"deaths of {len(chosen)} tried in {len(scenes)} scenes, {again} redelivered (declared), "
            f"{time.monotonic() - begin:.0f} s"
        )
    assert died_at_all > 0.8 * len(chosen)
