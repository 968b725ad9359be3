# SPDX-License-Identifier: Apache-2.0
"""The option that picks one backend; without it every test of backends runs on each."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=["native", "pure"], help="run tests of backends on this one only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = config.getoption("--backend")
    if only is None:
        return
    others = [item for item in items if _backend_of(item) not in (None, only)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


def _backend_of(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    return None if call is None else call.params.get("backend")
