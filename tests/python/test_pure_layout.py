# SPDX-License-Identifier: Apache-2.0
"""The layout that the pure backend spells is the one of wire-format/layout.json."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Any

import pytest

from shmlane._pure import wire

LAYOUT = json.loads((Path(__file__).parents[2] / "wire-format" / "layout.json").read_text())


def number(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) else int(value)


def test_version_and_layout_are_those_that_it_speaks() -> None:
    assert (LAYOUT["version"], number(LAYOUT["layout"])) == (wire.VERSION, wire.LAYOUT)


@pytest.mark.parametrize("name", LAYOUT["constants"])
def test_a_constant_is_the_same(name: str) -> None:
    assert getattr(wire, name.upper()) == number(LAYOUT["constants"][name])


@pytest.mark.parametrize("name", LAYOUT["enums"])
def test_an_enumeration_has_the_same_values(name: str) -> None:
    ours: type[enum.IntEnum] = getattr(wire, name)
    assert {one.name.lower(): one.value for one in ours} == LAYOUT["enums"][name]["values"]


@pytest.mark.parametrize("name", sorted(LAYOUT["structs"].keys() - {"Line"}))
def test_a_struct_has_the_same_fields_at_the_same_offsets(name: str) -> None:
    ours = vars(getattr(wire, name))
    theirs = {field["name"]: field["offset"] for field in LAYOUT["structs"][name]["fields"]}
    expected = {field: at for field, at in theirs.items() if not field.startswith("reserved")}
    assert {field: at for field, at in ours.items() if field[0] != "_" and field != "SIZE"} == expected
    assert ours["SIZE"] == LAYOUT["structs"][name]["size"]
