# SPDX-License-Identifier: Apache-2.0
"""Runs cases x contenders, interleaved (A B C A B C ...), prints the table, writes results, tables and plots."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

import report
from cases import Case, Contender, all_cases
from harness import Ask, MeasurementError, cpp_peers, longest_start, measure, python_peers

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE.parent / "README.md"
LANGUAGES = {"cpp": "C++", "python": "Python", "pure": "Python"}
QUICK_SECONDS, QUICK_ROUNDS = 0.2, 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer cases, one short round; writes no results")
    parser.add_argument("--only", metavar="PATTERN", help="cases whose name has this regular expression")
    parser.add_argument("--contenders", metavar="PATTERN", help="contenders whose name has this regular expression")
    parser.add_argument(
        "--rounds", type=int, help="of each contender in each case; 3, or 5 where goals are close to a limit"
    )
    parser.add_argument("--seconds", type=float, help="of each round, where the case has no time of its own; 0.4")
    parser.add_argument("--results", type=Path, help="folder to write to; benchmarks/results, unless --quick or --only")
    parser.add_argument("--list", action="store_true", help="list the cases and contenders")
    return parser.parse_args()


def machine() -> dict[str, str]:
    def first(path: str, pattern: str) -> str:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
        return found[1] if found else "unknown"

    memory = int(first("/proc/meminfo", r"MemTotal: *(\d+)"))
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    return {
        "commit": commit.stdout.strip() or "unknown",
        "processor": f"{len(os.sched_getaffinity(0))} cores of {first('/proc/cpuinfo', r'^model name.*: (.*)')}",
        "cache": first("/proc/cpuinfo", r"^cache size.*: (.*)"),
        "memory": f"{memory / (1 << 20):.0f} GiB",
        "huge pages for shared memory": _huge_pages(),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()),
    }


def _huge_pages() -> str:
    setting = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    found = re.search(r"\[(\w+)\]", setting.read_text()) if setting.exists() else None
    return found[1] if found else "unknown"


def busy_percent() -> float:
    """How much of the processors others use now."""

    def idle() -> int:
        return int(Path("/proc/stat").read_text().split()[4])  # in ticks, all processors together

    before = idle()
    time.sleep(1)
    ticks = os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
    return max(0.0, round(100 - 100 * (idle() - before) / ticks))


def select(options: argparse.Namespace) -> list[Case]:
    cases = [case for case in all_cases() if not options.quick or case.quick]
    return [case for case in cases if options.only is None or re.search(options.only, case.name)]


def left_out(cases: list[Case]) -> dict[str, str]:
    """Peers that are not there, and why, by name and language."""
    cpp, python = cpp_peers(), python_peers()
    missing = {}
    for contender in (contender for case in cases for contender in case.contenders):
        for language in contender.languages:
            why = python.get(contender.peer) if language != "cpp" else contender.peer not in cpp and "was not built"
            if why:
                missing[f"{contender.peer} ({LANGUAGES[language]})"] = why
    return missing


def is_there(contender: Contender, missing: dict[str, str]) -> bool:
    return not any(f"{contender.peer} ({LANGUAGES[language]})" in missing for language in contender.languages)


def rounds_of(case: Case, options: argparse.Namespace) -> int:
    return int(options.rounds or (QUICK_ROUNDS if options.quick else case.rounds))


def run_case(
    case: Case, who: list[Contender], seconds: float, rounds: int, stalled: dict[tuple[str, tuple[int, int]], str]
) -> dict[str, Any]:
    """Outcomes by contender: the figures of each round, and the error that ended its part.

    ``stalled``: in which case a peer made the machine stand still, by peer and shape. It is not asked again in that
    shape, because such a stall takes minutes.
    """
    outcomes: dict[str, Any] = {contender.name: {"rounds": []} for contender in who}
    for contender in who:
        if before := stalled.get((contender.peer, case.shape)):
            outcomes[contender.name]["error"] = f"not asked, since it stalled in {before}"
    for _ in range(rounds):
        for contender in who:
            outcome = outcomes[contender.name]
            if "error" in outcome:
                continue
            options = {**case.options, **contender.options}
            shape = (1, 1) if contender.kind == "alone" else case.shape
            ask = Ask(contender.kind or case.kind, contender.peer, contender.languages, *shape, options)
            begin = time.monotonic()
            try:
                outcome["rounds"].append(measure(ask, seconds))
            except MeasurementError as error:
                outcome["error"] = str(error)
            took = time.monotonic() - begin
            if took > seconds + longest_start(ask) and "error" not in outcome:
                outcome["error"] = f"a round of {seconds:g} s took {took:.0f} s; it had {len(outcome['rounds'])}"
                if not (contender.ours or contender.limit):
                    stalled[contender.peer, case.shape] = case.name
    return outcomes


def print_table(cases: list[Case], results: dict[str, Any], missing: dict[str, str]) -> None:
    # As wide as it needs when nobody looks: in a file each case shall be one line.
    console = Console(width=None if sys.stdout.isatty() else 180)
    table = Table(*report.HEADINGS, box=box.SIMPLE_HEAD)
    rows = report.rows(cases, results)
    for row in rows:
        style = {"met": "green", "not met": "red"}.get(row.met, "")
        table.add_row(*row.cells()[:-1], f"[{style}]{row.met}[/]" if style else row.met)
    console.print(table)
    for headings, lines in report.EXTRAS:
        if cells := lines(cases, results):
            extra = Table(*headings, box=box.SIMPLE_HEAD)
            for row_ in cells:
                extra.add_row(*row_)
            console.print(extra)
    for name, why in missing.items():
        console.print(f"left out: {name}: {why}", highlight=False)
    for line in report.failures(results):
        console.print(f"failed: {line}", highlight=False)
    judged = [row.met for row in rows if row.met]
    console.print(f"{judged.count('met')} of {len(judged)} goals met", highlight=False)


def write(folder: Path, run: dict[str, Any], cases: list[Case]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem: Path = folder / run["date"]
    try:
        from plots import draw
    except ImportError as error:
        print(f"no plots: {error}", file=sys.stderr)
        plots = []
    else:
        plots = draw(cases, run["results"], stem)
    stem.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n")
    stem.with_suffix(".md").write_text(report.markdown(run, cases, plots))
    if folder == RESULTS:
        show_in_readme("\n".join(report.summary(run, cases, plots)))
    return stem.with_suffix(".md")


def show_in_readme(text: str) -> None:
    """Between the two marks, if README.md has them."""
    before, mark, rest = README.read_text().partition("<!-- benchmarks, written by make bench -->\n")
    _, end, after = rest.partition("<!-- end of benchmarks -->\n")
    if end:
        README.write_text(before + mark + text + end + after)


def run_all(cases: list[Case], options: argparse.Namespace, missing: dict[str, str], seconds: float) -> dict[str, Any]:
    """Outcomes by case and contender."""
    started = time.monotonic()
    results = {}
    stalled: dict[tuple[str, tuple[int, int]], str] = {}
    for number, case in enumerate(cases):
        past = f"{time.monotonic() - started:.0f} s"
        print(f"[{number + 1}/{len(cases)}, {past}] {case.name}", file=sys.stderr, flush=True)
        who = [contender for contender in case.contenders if is_there(contender, missing)]
        who = [one for one in who if options.contenders is None or re.search(options.contenders, one.name)]
        length = case.seconds if case.seconds and not options.quick and not options.seconds else seconds
        results[case.name] = run_case(case, who, length, rounds_of(case, options), stalled)
    return results


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # and not without cleaning up
    cases = select(options)
    if options.list or not cases:
        for case in cases:
            print(f"{case.name}: {', '.join(contender.name for contender in case.contenders)}")
        sys.exit(0 if cases else f"no case has {options.only!r} in its name")
    seconds = options.seconds or (QUICK_SECONDS if options.quick else 0.4)
    missing = left_out(cases)
    busy = busy_percent()
    started = time.monotonic()
    results = run_all(cases, options, missing, seconds)
    run = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "busy_percent": busy,
        "seconds": seconds,
        "rounds": min(rounds_of(case, options) for case in cases),
        "took_s": round(time.monotonic() - started),
        "left_out": missing,
        "results": results,
    }
    print_table(cases, results, missing)
    if busy > report.NOISE:
        print(f"The machine was not idle: {busy:.0f} % of it was used by others. These figures mean little.")
    folder = options.results or (None if options.quick or options.only or options.contenders else RESULTS)
    if folder is not None:
        print(f"written: {write(folder, run, cases)}")


if __name__ == "__main__":
    main()
