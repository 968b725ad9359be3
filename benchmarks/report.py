# SPDX-License-Identifier: Apache-2.0
"""The table of a run: case, shmlane, best peer, ratio, goal, met or not; and the same as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cases import Case
from goals import GOALS, Rounds

HEADINGS = ("case", "shmlane", "best peer", "ratio", "goal", "met")
NOISE = 5  # percent of the machine that others may use
TITLES = {
    "p50_ns": "p50",
    "p99_ns": "p99",
    "p999_ns": "p99.9",
    "cpu_ns": "CPU per object",
    "create_ns": "create",
    "attach_ns": "attach",
}
LESS_IS_BETTER: tuple[str, ...] = (
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "p999_ns",
    "cpu_ns",
    "create_ns",
    "attach_ns",
    "cpu_percent",
)
LESS_IS_BETTER += ("memory_bytes",)


def by_round(results: dict[str, Any], case: str, contender: str, figure: str) -> list[float]:
    rounds = results.get(case, {}).get(contender, {}).get("rounds", [])
    return [one[figure] for one in rounds if figure in one]


def median(results: dict[str, Any], case: str, contender: str, figure: str) -> float | None:
    values = by_round(results, case, contender, figure)
    return statistics.median(values) if values else None


def spread(results: dict[str, Any], case: str, contender: str, figure: str) -> float:
    """Half of what lies between the best and the worst round, as a part of the median."""
    values = by_round(results, case, contender, figure)
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def show(value: float, figure: str) -> str:
    if figure == "objects_per_s":
        return f"{value / 1e6:.3g} M/s" if value >= 1e6 else f"{value / 1e3:.3g} k/s"
    if figure == "bytes_per_s":
        return f"{value / 1e9:.3g} GB/s"
    if figure == "memory_bytes":
        return f"{value / (1 << 20):.3g} MiB"
    if figure == "share":
        return f"{value:.3g}"
    if figure == "cpu_percent":
        return f"{value:.2g} %"
    for unit, size in (("ms", 1e6), ("µs", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} ns"


@dataclass(frozen=True)
class Row:
    case: str
    shmlane: str
    best_peer: str
    ratio: str
    goal: str
    met: str

    def cells(self) -> tuple[str, ...]:
        return (self.case, self.shmlane, self.best_peer, self.ratio, self.goal, self.met)


def rows(cases: Iterable[Case], results: dict[str, Any]) -> list[Row]:
    """One row for each of our contenders and each figure of its case, and for others that have a goal."""
    out = []
    for case in cases:
        for contender in case.contenders:
            for figure in case.figures:
                if contender.ours or (case.name, contender.name, figure) in GOALS:
                    out.append(_row(case, contender.name, figure, results))
    return out


def _row(case: Case, contender: str, figure: str, results: dict[str, Any]) -> Row:
    look = partial(by_round, results)
    variant = contender.removeprefix("shmlane").strip()
    title = ", ".join(part for part in (case.name, variant, TITLES.get(figure)) if part)
    mine = median(results, case.name, contender, figure)
    if mine is None:
        return Row(
            title,
            results.get(case.name, {}).get(contender, {}).get("error", "-"),
            "",
            "",
            *_goal(case.name, contender, figure, look),
        )
    shown = f"{show(mine, figure)} ±{spread(results, case.name, contender, figure):.0%}"
    peers = {c.name: median(results, case.name, c.name, figure) for c in case.contenders if not (c.ours or c.limit)}
    measured = {name: value for name, value in peers.items() if value is not None and name != contender}
    best, ratio = "", ""
    if measured:
        less = figure in LESS_IS_BETTER
        name = (min if less else max)(measured, key=lambda peer: measured[peer])
        best = f"{name} {show(measured[name], figure)}"
        ratio = f"{mine / measured[name]:.3g}" if measured[name] else ""
    return Row(title, shown, best, ratio, *_goal(case.name, contender, figure, look))


def _goal(case: str, contender: str, figure: str, look: Rounds) -> tuple[str, str]:
    texts, verdicts = [], set()
    for goal in GOALS.get((case, contender, figure), ()):
        ratio = goal.ratio(look, case, contender, figure)
        verdicts.add("not measured" if ratio is None else "met" if goal.met(ratio) else "not met")
        texts.append(f"{goal}: {'?' if ratio is None else f'{ratio:.3g}'}")
    worst = next((verdict for verdict in ("not met", "not measured", "met") if verdict in verdicts), "")
    return "; ".join(texts), worst


PIPE_HEADINGS = ("ring against pipes", "ring", "stdio transport", "raw framing", "speed-up", "over raw framing")


def pipe_rows(cases: Iterable[Case], results: dict[str, Any]) -> list[tuple[str, ...]]:
    """The comparison with plain pipes: speed-up is the ring's throughput over that of our stdio transport."""
    out = []
    for case in cases:
        if case.group != "pipes":
            continue
        ring, *others = (median(results, case.name, who, "bytes_per_s") for who in ("shmlane", "stdio", "pipe"))
        shown = ["-" if value is None else show(value, "bytes_per_s") for value in (ring, *others)]
        ratios = [f"{ring / other:.3g}" if ring and other else "-" for other in others]
        out.append((case.name.removeprefix("pipes: "), *shown, *ratios))
    return out


BACKEND_HEADINGS = ("backends", "pure", "native", "pure / native")


def backend_rows(cases: Iterable[Case], results: dict[str, Any]) -> list[tuple[str, ...]]:
    """Python with the pure backend against Python with the native one."""
    out = []
    for case in cases:
        for way in ("leased", "popped") if case.group == "backends" else ():
            figure = case.figures[0]
            who = (f"shmlane pure {way}", f"native {way}")
            pure, native = (median(results, case.name, one, figure) for one in who)
            shown = ("-" if value is None else show(value, figure) for value in (pure, native))
            ratio = f"{pure / native:.3g}" if pure and native else "-"
            out.append((f"{case.name.removeprefix('backends: ')}, {way}", *shown, ratio))
    return out


LIMIT_HEADINGS = ("limits", "memcpy", "sum", "first touch")


def limit_rows(cases: Iterable[Case], results: dict[str, Any]) -> list[tuple[str, ...]]:
    """What one core can do with bytes, by the size of the piece."""
    out = []
    for case in cases:
        if case.group == "limits":
            found = [median(results, case.name, who, "bytes_per_s") for who in ("memcpy", "sum", "first-touch")]
            shown = ("-" if value is None else show(value, "bytes_per_s") for value in found)
            out.append((case.name.removeprefix("limits "), *shown))
    return out


EXTRAS = ((PIPE_HEADINGS, pipe_rows), (BACKEND_HEADINGS, backend_rows), (LIMIT_HEADINGS, limit_rows))
"""Small tables of their own: headings, and what gives the rows."""


def failures(results: dict[str, Any]) -> list[str]:
    """Who did not come through a case, and why."""
    return [
        f"{case}: {name}: {outcome['error']}"
        for case, contenders in results.items()
        for name, outcome in contenders.items()
        if "error" in outcome
    ]


def details(case: Case, results: dict[str, Any]) -> list[str]:
    """All contenders of one case, as a Markdown table."""
    lines = [f"#### {case.name}", "", "| | " + " | ".join(TITLES.get(f, "median") for f in case.figures) + " |"]
    lines.append("|---|" + "---|" * len(case.figures))
    for contender in case.contenders:
        outcome = results[case.name].get(contender.name, {})
        cells = []
        for figure in case.figures:
            value = median(results, case.name, contender.name, figure)
            cells.append(
                "-"
                if value is None
                else f"{show(value, figure)} ±{spread(results, case.name, contender.name, figure):.0%}"
            )
        note = f" ({outcome['error']})" if "error" in outcome else ""
        name = f"*{contender.name}*" if contender.limit else contender.name
        lines.append(f"| {name}{note} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def conditions(run: dict[str, Any]) -> str:
    text = (
        f"Medians of {run['rounds']} or more interleaved rounds of {run['seconds']} s on {run['machine']['processor']}"
    )
    busy = run["busy_percent"]
    return f"{text}; **the machine was not idle**: {busy:.0f} % were used by others." if busy > NOISE else f"{text}."


def markdown_table(headings: Iterable[str], cells: Iterable[Iterable[str]]) -> list[str]:
    heads = list(headings)
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(row) + " |" for row in cells]


def summary(run: dict[str, Any], cases: list[Case], plots: list[str]) -> list[str]:
    """For the README: the cases that have a goal, and the plots."""
    judged = [row.cells() for row in rows(cases, run["results"]) if row.met]
    path = "benchmarks/results"
    return [
        "",
        f"`make bench` on {run['date']}: {conditions(run)}",
        f"[All figures]({path}/{run['date']}.md); [how they are measured](benchmarks/NOTES.md).",
        "",
        *markdown_table(HEADINGS, judged),
        "",
        *(f"![{plot}]({path}/{plot})" for plot in plots),
        "",
    ]


def markdown(run: dict[str, Any], cases: list[Case], plots: list[str]) -> str:
    results = run["results"]
    table = rows(cases, results)
    lines = [f"# Benchmarks of {run['date']}", ""]
    lines += [f"- {key}: {value}" for key, value in run["machine"].items()]
    lines += ["", f"{conditions(run)} ± is half of the range of the rounds.", ""]
    lines += markdown_table(HEADINGS, (row.cells() for row in table))
    for headings, extra_rows in EXTRAS:
        if extra := extra_rows(cases, results):
            lines += ["", *markdown_table(headings, extra)]
    lines += ["", *(f"![{plot}]({plot})" for plot in plots), ""]
    lines += ["## Left out", "", *(f"- {name}: {why}" for name, why in run["left_out"].items()), ""]
    if failed := failures(results):
        lines += ["## Failed", "", *(f"- {line}" for line in failed), ""]
    lines += ["## Every contender", "", "Limits are in italics.", ""]
    for case in cases:
        lines += details(case, results)
    return "\n".join(lines)
