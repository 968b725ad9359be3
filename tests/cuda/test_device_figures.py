# SPDX-License-Identifier: Apache-2.0
"""The figures of `make test-cuda` can be taken: on the stand-in, where they mean nothing, and small."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import PATIENCE, ROOT
from .figures import Figure


def test_each_figure_is_measured_or_says_why_not(name: str, standin: None) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.cuda.device",
        "--figures",
        name,
        "--sizes",
        "4096",
        "65536",
        "--rounds",
        "3",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for part in (
        "in the arena",
        "plain device copy",
        "stream 1000 x 1000",
        "vector of the host",
        "vector of the device",
    ):
        assert part in done.stdout
    assert "SKIPPED: torch.multiprocessing.Queue" in done.stdout


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("a time", 19.0, "us", 20, at_most=True), "reached"),
        (Figure("a time", 21.0, "us", 20, at_most=True), "MISSED"),
        (Figure("a ratio", 0.95, "", 0.9), "reached"),
        (Figure("a ratio", 0.85, "", 0.9), "MISSED"),
    ],
)
def test_a_figure_tells_whether_its_goal_is_reached(figure: Figure, verdict: str) -> None:
    assert str(figure).endswith(verdict)
