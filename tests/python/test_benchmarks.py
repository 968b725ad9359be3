# SPDX-License-Identifier: Apache-2.0
"""The data of the benchmarks fits together: a goal with a misspelt name would never be judged."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_every_goal_compares_contenders_that_are_measured(load: Load) -> None:
    cases, goals = load("cases"), load("goals")
    by_name = {case.name: case for case in cases.all_cases()}
    for (name, contender, figure), wanted in goals.GOALS.items():
        names = {one.name for one in by_name[name].contenders}
        assert figure in by_name[name].figures
        assert {contender}.union(*(goal.refers_to for goal in wanted)) <= names


def test_no_case_and_no_contender_of_a_case_has_the_name_of_another(load: Load) -> None:
    cases = load("cases").all_cases()
    assert len({case.name for case in cases}) == len(cases)
    assert all(len({one.name for one in case.contenders}) == len(case.contenders) for case in cases)


def test_a_missed_goal_is_told_as_not_met(load: Load) -> None:
    cases, report = load("cases"), load("report")
    case = next(case for case in cases.all_cases() if case.name == "C++ 64 B 2x2")

    def results(shmlane: float, boost: float) -> dict[str, object]:
        figures = {"shmlane": shmlane, "boost": boost}
        return {case.name: {name: {"rounds": [{"objects_per_s": value}]} for name, value in figures.items()}}

    assert [row.met for row in report.rows([case], results(1.6e6, 1e6))] == ["met"]
    assert [row.met for row in report.rows([case], results(1.4e6, 1e6))] == ["not met"]
    failed = {case.name: {"shmlane": {"rounds": [], "error": "it died"}, "boost": {"rounds": [{"objects_per_s": 1e6}]}}}
    assert [(row.shmlane, row.met) for row in report.rows([case], failed)] == [("it died", "not measured")]


def test_a_goal_is_held_against_the_ratios_within_rounds(load: Load) -> None:
    cases, report = load("cases"), load("report")
    case = next(case for case in cases.all_cases() if case.name == "C++ 64 B 2x2")
    rounds = {"shmlane": [3e6, 3e6, 1.6e6], "boost": [1e6, 2.5e6, 1e6]}  # goal 1.5; the medians' ratio would be 3
    results = {case.name: {name: {"rounds": [{"objects_per_s": v} for v in values]} for name, values in rounds.items()}}
    (row,) = report.rows([case], results)
    assert (row.goal, row.met) == ("≥ 1.5 x boost: 1.6", "met")


def test_a_peer_that_stalls_is_not_asked_again_in_that_shape(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    run, cases = load("run"), load("cases")
    asked = []
    now = 0.0

    def measure(ask: Any, seconds: float) -> dict[str, float]:
        nonlocal now
        asked.append((ask.peer, ask.producers))
        now += seconds if ask.peer == "quick" else 100
        return {"objects_per_s": 1.0}

    monkeypatch.setattr(run, "measure", measure)
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now))
    who = [cases.cpp("slow"), cases.cpp("quick")]
    many = [cases.Case(name, "", "throughput", (), tuple(who), shape=(2, 2)) for name in ("first", "second")]
    alone = cases.Case("third", "", "throughput", (), tuple(who))
    stalled: dict[Any, str] = {}
    outcomes = [run.run_case(case, who, 0.5, 2, stalled) for case in (*many, alone)]
    assert asked[:3] == [("slow", 2), ("quick", 2), ("quick", 2)]
    assert asked[3:5] == [("quick", 2)] * 2
    assert ("slow", 1) in asked
    assert "had 1" in outcomes[0]["slow"]["error"]
    assert outcomes[1]["slow"] == {"rounds": [], "error": "not asked, since it stalled in first"}
    assert "error" not in outcomes[2]["quick"]
    for who in ([cases.ours()], [cases.limit("what we are held against", "shmlane")], [cases.ours()]):
        assert run.run_case(alone, who, 0.5, 2, stalled)[who[0].name]["rounds"]


def test_the_layout_of_the_board_is_the_same_in_both_languages(load: Load) -> None:
    harness = load("harness")
    text = (BENCHMARKS / "cpp/board.hpp").read_text()
    assert re.findall(r"kMaxWorkers = (\d+);", text) == [str(harness.MAX_WORKERS)]
    assert re.findall(r"kMaxTimes = 1 << (\d+);", text) == [str(harness.MAX_TIMES.bit_length() - 1)]
