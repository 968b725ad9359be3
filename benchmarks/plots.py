# SPDX-License-Identifier: Apache-2.0
"""Plots of a run: throughput over size, latencies, scaling over producers and consumers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

from cases import SIZES, Case
from report import median

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

PERCENTILES = {"p50_ns": "p50", "p90_ns": "p90", "p99_ns": "p99", "p999_ns": "p99.9"}
OURS = {"color": "black", "linewidth": 2.5}


def draw(cases: list[Case], results: dict[str, Any], stem: Path) -> list[str]:
    """Write the plots that this run has data for next to ``stem``; returns their file names."""
    names = []
    for name, plot in (("throughput", _throughput), ("latency", _latency), ("scaling", _scaling)):
        if figure := plot(cases, results):
            path = stem.with_name(f"{stem.name}-{name}.png")
            figure.savefig(path, dpi=90)
            plt.close(figure)
            names.append(path.name)
    return names


def _line(axes: Axes, x: list[Any], y: list[float | None], name: str, limit: bool = False) -> None:
    points = [(a, b) for a, b in zip(x, y, strict=True) if b is not None]
    if not points:
        return
    style: dict[str, Any] = {"marker": ".", "linestyle": ":" if limit else "-"}
    if name.startswith("shmlane"):
        style |= OURS | {"linestyle": {"shmlane": "-", "shmlane leased": "-"}.get(name, "--")}
    axes.plot([a for a, _ in points], [b for _, b in points], label=name, **style)


def _finish(axes: Axes, title: str, unit: str) -> None:
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=7)


def _throughput(cases: list[Case], results: dict[str, Any]) -> Any:
    titles = ("C++", "Python bytes", "Python NumPy")
    by_title = {title: [case for case in cases if case.name in {f"{title} {s} 1x1" for s in SIZES}] for title in titles}
    if not any(len(found) > 1 for found in by_title.values()):
        return None
    figure, all_axes = plt.subplots(1, 3, figsize=(16, 5), layout="constrained")
    for axes, (title, found) in zip(all_axes, by_title.items(), strict=True):
        sizes = [next(size for size in SIZES if f" {size} 1x1" in case.name) for case in found]
        who = dict.fromkeys((c.name, c.limit) for case in found for c in case.contenders)
        for name, limit in who:
            rates = [median(results, case.name, name, "bytes_per_s") for case in found]
            _line(axes, sizes, [rate and rate / 1e9 for rate in rates], name, limit)
        axes.set_yscale("log")
        axes.tick_params(axis="x", labelrotation=20)
        _finish(axes, f"{title}, one producer, one consumer", "GB/s")
    return figure


def _latency(cases: list[Case], results: dict[str, Any]) -> Any:
    found = [case for case in cases if " latency, " in case.name]
    if not found:
        return None
    figure, all_axes = plt.subplots(1, len(found), figsize=(5 * len(found), 5), layout="constrained", squeeze=False)
    for axes, case in zip(all_axes[0], found, strict=True):
        for contender in case.contenders:
            times = [median(results, case.name, contender.name, figure_) for figure_ in PERCENTILES]
            _line(axes, list(PERCENTILES.values()), [t and t / 1e3 for t in times], contender.name, contender.limit)
        axes.set_yscale("log")
        _finish(axes, case.name, "µs one way")
    return figure


def _scaling(cases: list[Case], results: dict[str, Any]) -> Any:
    panels = [(title, size) for title in ("C++", "Python bytes") for size in ("64 B", "64 KiB")]
    shapes = ("1x1", "2x2", "4x4", "8x1", "1x8")
    figure, all_axes = plt.subplots(1, 4, figsize=(18, 5), layout="constrained")
    for axes, (title, size) in zip(all_axes, panels, strict=True):
        found = {case.name: case for case in cases}
        names = [f"{title} {size} {shape}" for shape in shapes]
        who = dict.fromkeys(c.name for name in names if name in found for c in found[name].contenders if not c.limit)
        key, unit, scale = ("objects_per_s", "M/s", 1e6) if size == "64 B" else ("bytes_per_s", "GB/s", 1e9)
        for contender in who:
            rates = [median(results, name, contender, key) for name in names]
            if sum(rate is not None for rate in rates) > 1:
                _line(axes, list(shapes), [rate and rate / scale for rate in rates], contender)
        axes.set_ylim(bottom=0)
        _finish(axes, f"{title}, {size}, producers x consumers", unit)
    drawn = any(axes.lines for axes in all_axes)
    if not drawn:
        plt.close(figure)
    return figure if drawn else None
