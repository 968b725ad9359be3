# SPDX-License-Identifier: Apache-2.0
"""Processes on the pure backend that die before any instruction of Python: the others finish a checked transfer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import victims
from test_kill_steps import AT_ONCE, Death, Zygote, run_worlds

# Predecessors of these die at named steps of the extension.
SCENES = [name for name in victims.SCENES if not name.startswith("take_the_lock")]
SAMPLE = int(os.environ.get("SHMLANE_KILL_SAMPLE", "60"))
EVERYWHERE = os.environ.get("SHMLANE_KILL_ALL")


@pytest.fixture
def zygotes() -> Iterator[list[Zygote]]:
    started = [Zygote("pure") for _ in range(AT_ONCE)]
    yield started
    for zygote in started:
        zygote.close()


@pytest.mark.timeout(7200 if EVERYWHERE else 120)
def test_before_whatever_instruction_a_pure_process_dies_the_others_finish_a_checked_transfer(
    name: str, backend: ModuleType, tmp_path: Path, zygotes: list[Zygote], capsys: pytest.CaptureFixture[str]
) -> None:
    begin = time.monotonic()
    random = Random(time.time_ns())
    deaths = {}
    for life, world, died in run_worlds([Death(scene) for scene in SCENES], name, tmp_path, zygotes):
        assert not died
        for line in world.log.read_text().splitlines():
            where, count = line.rsplit(" ", 1)
            # Of the scenes in which an instruction is passed, one; of its passings there, one.
            if where not in deaths or random.random() < 0.3:
                deaths[where] = Death(life.scene, where, random.randint(1, int(count)))
    chosen = list(deaths.values()) if EVERYWHERE else random.sample(list(deaths.values()), SAMPLE)
    died_at_all, again = 0, 0
    for _, world, died in run_worlds(chosen, name, tmp_path, zygotes):
        died_at_all += died
        again += world.again
    with capsys.disabled():
        print(
            f"\ninstructions of the pure backend, survived on {backend.__name__}: {len(deaths)} passed, {died_at_all} "
            f"deaths of {len(chosen)} tried in {len(SCENES)} scenes, {again} redelivered (declared), "
            f"{time.monotonic() - begin:.0f} s"
        )
    assert died_at_all > 0.8 * len(chosen)
