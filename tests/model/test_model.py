# SPDX-License-Identifier: Apache-2.0
"""The quick part of what spin checks in the models; `make model` checks all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "model.py"


@pytest.mark.skipif(not shutil.which("spin"), reason="spin is not installed (Debian package: spin)")
@pytest.mark.timeout(400)
def test_the_models_hold_and_their_mutations_do_not() -> None:
    done = subprocess.run(
        [sys.executable, TOOL, "--quick"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "mutations caught" in done.stdout
