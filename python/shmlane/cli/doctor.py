# SPDX-License-Identifier: Apache-2.0
"""The command doctor: what shmlane.doctor found, for people and for programs."""

from typing import Annotated

import typer
from rich.text import Text

from shmlane.doctor import Finding, examine
from shmlane.doctor import fix as mend

from .describe import printable
from .tables import console, write_json

_COLORS = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}


def doctor(
    names: Annotated[
        list[str] | None, typer.Argument(help="Look at these segments only, not at the machine.", metavar="NAME")
    ] = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Mend what is surely nobody's: settle what the dead held in living segments; remove half-made "
            "segments, segments without objects in which everybody died, and lost semaphores.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --fix: remove every segment that nobody lives in, with its objects.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Say what is wrong, and mend it with --fix.

    Looks for left-overs of crashes, stopped processes that are in the way of others, and limits of the machine. The
    exit status is 0 if all is well, and 1 if a warning or an error remains.
    """
    if force and not fix:
        raise typer.BadParameter("--force goes with --fix")
    findings = examine(names or ())
    if fix:
        mend(findings, force)
    healthy = not any(finding.needs_action for finding in findings)
    if as_json:
        write_json({"healthy": healthy, "findings": [finding.as_dict() for finding in findings]})
    else:
        _show(findings)
    raise typer.Exit(0 if healthy else 1)


def _show(findings: list[Finding]) -> None:
    out = console()
    for finding in findings:
        about = printable(finding.segment) if finding.segment is not None else finding.topic
        line = Text.assemble(
            (f"{finding.severity:8} ", _COLORS[finding.severity]), (about, "bold"), ": ", printable(finding.what)
        )
        out.print(line, soft_wrap=True)
        more = finding.outcome or finding.todo
        if more:
            out.print(
                Text(f"         {printable(more)}", "green" if finding.outcome == "fixed" else "dim"), soft_wrap=True
            )
    out.print(_summary(findings))


def _summary(findings: list[Finding]) -> Text:
    fixed = sum(finding.outcome == "fixed" for finding in findings)
    open_ = [finding for finding in findings if finding.needs_action]
    parts = [f"{fixed} fixed"] if fixed else []
    parts += [f"{len(open_)} to act on"] if open_ else ["all is well"]
    fixable = sum(finding.fixable and not finding.outcome for finding in findings)
    forcible = sum(finding.needs_force and not finding.outcome for finding in findings)
    parts += [f"shmlane doctor --fix mends {fixable}"] if fixable else []
    parts += [f"with --force it throws away {forcible}"] if forcible else []
    return Text("; ".join(parts))
