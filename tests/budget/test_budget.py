# SPDX-License-Identifier: Apache-2.0
"""Pushes and takes cost no more instructions than benchmarks/budget.json allows; times are for `make bench`.

`python tests/budget/test_budget.py` writes the budget anew from what is counted here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("SHMLANE_BUILD_DIR", ROOT / "build/release")) / "tests/budget"
BUDGET = ROOT / "benchmarks/budget.json"
PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
ROUNDS = 2000
# Compilers and interpreters of one version differ a little, and so does the memcpy that a processor is given; a step
# that is added to a path costs more.
TOLERANCE = {"C++": 1.10, PYTHON: 1.25}


def counts(language: str) -> dict[str, float]:
    """Instructions per round, by name."""
    queue = f"budget-{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        program = [str(BUILD / "shmlane_budget")]
        if language != "C++":
            marks = next(BUILD.glob("*shmlane_budget_marks.so"))
            program = [sys.executable, str(Path(__file__).with_name("worker.py")), str(marks)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # its threads are slow to start there
        done = subprocess.run(
            [*valgrind, *program, queue, str(ROUNDS)], env=environment, capture_output=True, text=True, timeout=500
        )
        assert done.returncode == 0, done.stderr
        found = {}
        for path in Path(folder).glob("out*"):
            text = path.read_text()
            name = re.search(r"^desc: Trigger: Client Request: (.*)", text, re.MULTILINE)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            if name and total:
                found[name[1]] = int(total[1]) / ROUNDS
    return found


def skip_without_tools() -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    if not (BUILD / "shmlane_budget").exists():
        pytest.skip("valgrind's headers were not there when the tests were built")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", ["C++", PYTHON])
def test_pushes_and_takes_cost_no_more_instructions_than_the_budget_allows(language: str) -> None:
    skip_without_tools()
    budget = json.loads(BUDGET.read_text())
    if language not in budget:
        pytest.skip(f"there is no budget for {language}")
    found = counts(language)
    assert found.keys() == budget[language].keys()
    spent = {name: (round(found[name]), allowed) for name, allowed in budget[language].items()}
    assert not {name: pair for name, pair in spent.items() if pair[0] > pair[1] * TOLERANCE[language]}


if __name__ == "__main__":
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    for language in ("C++", PYTHON):
        budget[language] = {name: round(count) for name, count in counts(language).items()}
    BUDGET.write_text(json.dumps(budget, indent=2, sort_keys=True) + "\n")
    print(BUDGET.read_text(), end="")
