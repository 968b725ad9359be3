# SPDX-License-Identifier: Apache-2.0
"""shmlane top: in a real terminal (a pty), and as text."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import workers

from shmlane import Consumer, Empty, Producer, _backend
from shmlane.cli import top_view

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SCREENSHOT = r"<!-- screenshot: top -->.*<!-- end of screenshot -->"
COMMAND = [sys.executable, "-m", "shmlane", "top"]
TRAFFIC = """
import sys, time, shmlane
tx, rx = shmlane.Producer(sys.argv[1]), shmlane.Consumer(sys.argv[1])
while True:
    tx.push(bytes(1000))
    try: rx.try_pop()
    except shmlane.Empty: pass
    time.sleep(0.001)
"""


class Terminal:
    """The program in a terminal of 100 columns, and what it has shown there."""

    def __init__(self, *arguments: str, command: list[str] = COMMAND) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.program = subprocess.Popen(
            [*command, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={key: value for key, value in os.environ.items() if key not in ("LINES", "COLUMNS")}
            | {"TERM": "xterm-256color"},
        )
        self.shown = ""

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self, seconds: float = 0.05) -> bool:
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        self.shown += os.read(self.ours, 65536).decode(errors="replace")
        return True

    def screen(self) -> str:
        """What was drawn last, without colours."""
        last = self.shown.rpartition("\x1b[H")[2]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)

    def wait_for(self, *words: str) -> str:
        while not all(word in self.screen() for word in words):
            self.read()
            assert self.program.poll() is None, self.shown[-2000:]
        return self.screen()

    def end(self) -> int:
        """Its exit status, after it gave the terminal back as it was."""
        while self.program.poll() is None or self.read(0):
            self.read()
        status = self.program.wait()
        # The first one to an alternate screen, the last one back from it; the cursor is hidden, then shown.
        assert self.shown.index("\x1b[?1049h") < self.shown.rindex("\x1b[?1049l")
        assert self.shown.index("\x1b[?25l") < self.shown.rindex("\x1b[?25h")
        assert termios.tcgetattr(self.theirs) == self.before
        return status

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*arguments: str, **options: Any) -> Terminal:
        opened.append(Terminal(*arguments, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@contextmanager
def traffic(name: str) -> Iterator[int]:
    """A process that pushes and pops all the time, in a segment that this one ends."""
    with Producer(name, "16MiB") as tx, Consumer(name):
        child = subprocess.Popen([sys.executable, "-c", TRAFFIC, name])
        try:
            while tx.stat()["popped"] < 10:
                assert child.poll() is None
                time.sleep(0.01)
            yield child.pid
        finally:
            child.kill()
            child.wait()
            # What the dead one was just pushing never comes: nobody may wait for it.
            with Consumer(name) as rx, suppress(Empty):
                while True:
                    rx.pop(0)


def test_it_is_live_and_q_gives_the_terminal_back(name: str, terminal: Callable[..., Terminal]) -> None:
    with traffic(name):
        program = terminal(name, "--interval", "0.2")
        first = program.wait_for(name, "IN/S", "P/C", "2/2")
        (line,) = [line for line in first.splitlines() if name in line]
        in_rate = line.split()[3]
        assert float(in_rate.rstrip("k")) > 0
        while program.screen() == first:  # it goes on by itself
            program.read()
        program.press("q")
        assert program.end() == 0


def test_enter_shows_the_participants_and_escape_goes_back(name: str, terminal: Callable[..., Terminal]) -> None:
    other = f"{name}-next"
    with traffic(name) as pid, Producer(other, "64KiB", wait_for_consumer=None), Consumer(other):
        program = terminal(name, other, "--interval", "0.1")
        for key, selected in (("", name), ("j", other), ("k", name), ("\x1b[B", other), ("\x1b[A", name)):
            program.press(key)
            wait_for_selected(program, selected)
        program.press("\r")
        shown = program.wait_for("PROCESS", str(pid), "producer", "consumer", "WAITS/S")
        assert name in shown
        program.press("\x1b")
        program.wait_for(name, "OUT B/S")
        program.press("q")
        assert program.end() == 0


def wait_for_selected(program: Terminal, name: str) -> None:
    """The selected row is drawn in reverse."""
    while not re.search(rf"\x1b\[7m{re.escape(name)}[ \x1b]", program.shown.rpartition("\x1b[H")[2]):
        program.read()


def test_s_sorts_p_pauses_and_question_mark_shows_the_keys(name: str, terminal: Callable[..., Terminal]) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None) as tx, Consumer(name) as rx:
        program = terminal(name, "--interval", "0.1")
        program.wait_for(name)
        program.press("s")
        program.wait_for("by objects")
        program.press("?")
        program.wait_for("sort by the next column", "redelivered")
        program.press("?p")
        program.wait_for(name, "paused")
        tx.push(b"x")
        time.sleep(0.5)
        while program.read():
            pass
        assert row_of(program.screen(), name)[1] == "0"
        program.press("p")
        while row_of(program.wait_for(name), name)[1] != "1":
            program.read()
        program.press("q")
        assert program.end() == 0
        assert rx.pop() == b"x"


def row_of(screen: str, name: str) -> list[str]:
    (line,) = [line for line in screen.splitlines() if name in line]
    return line.split()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_terminal_back_too(
    name: str, terminal: Callable[..., Terminal], number: signal.Signals, status: int
) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None), Consumer(name):
        program = terminal(name)
        program.wait_for(name)
        if number is signal.SIGINT:
            program.press("\x03")
        else:
            program.program.send_signal(number)
        assert program.end() == status


BREAKS = """
import sys
from shmlane.cli import main, watch
look, looks = watch.Watch.look, []
def fail(self):
    looks.append(1)
    if len(looks) > 5: raise OSError("it broke")
    return look(self)
watch.Watch.look = fail
main(sys.argv[1:])
"""


def test_an_error_gives_the_terminal_back_and_is_told(name: str, terminal: Callable[..., Terminal]) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None), Consumer(name):
        program = terminal("top", "--interval", "0.1", command=[sys.executable, "-c", BREAKS])
        assert program.end() == 1
        assert program.shown.endswith("shmlane: it broke\r\n")


def run(*arguments: str) -> str:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=True).stdout


def test_once_prints_text_with_rates_and_ends(name: str) -> None:
    with traffic(name):
        shown = run("--once", "--interval", "0.3")
        row = row_of(shown, name)
        assert float(row[3].rstrip("k")) > 0
        assert float(row[4].rstrip("k")) > 0
        assert "\x1b" not in shown
        assert run("-n", "2", "-i", "0.1").count(name) == 2
        assert run("-i", "0.1").count(name) == 1  # standard output is no terminal


def test_json_has_a_line_per_look_with_rates_and_the_holder_at_the_tail(name: str) -> None:
    with traffic(name), Consumer(name) as rx:
        with rx.acquire():  # type: ignore[union-attr]
            lines = run("--json", "-n", "2", "-i", "0.3").splitlines()
        assert len(lines) == 2
        for line in lines:
            (segment,) = [found for found in json.loads(line) if found["name"] == name]
            assert segment["pushed_per_second"] > 0
            assert segment["pushed_bytes_per_second"] == pytest.approx(1000 * segment["pushed_per_second"])
            assert segment["tail_pid"] == os.getpid()


def test_who_sleeps_and_what_was_dropped_or_redelivered_is_shown(name: str) -> None:
    sleeper = "import sys, shmlane; shmlane.Consumer(sys.argv[1]).pop()"
    with Producer(name, "64KiB", policy="drop_oldest", max_objects=2, wait_for_consumer=None) as tx:
        tx.push_many([b"x"] * 5)
        with Consumer(name) as rx:
            assert len(rx.pop_many(5)) == 2
            tx.push(b"y")
            child = subprocess.Popen(
                [sys.executable, "-c", f"import workers; workers.acquire_and_die({name!r})"],
                env={**os.environ, "PYTHONPATH": os.path.dirname(workers.__file__)},
            )
            child.wait()
            assert rx.pop(30) == b"y"
            child = subprocess.Popen([sys.executable, "-c", sleeper, name])
            while len(segments(name)) == 0 or not segments(name)[0]["items_waiters"]:
                time.sleep(0.01)
            row = row_of(run("--once", "-i", "0.1"), name)
            tx.push(b"end")
            child.wait()
        assert row[-5:-1] == ["1/2", "0/1", "3", "1"]


def segments(name: str) -> list[dict[str, Any]]:
    return [found for found in _backend.active.list_segments() if found["name"] == name]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.04, "0.0"),
        (1.25, "1.2"),
        (999, "999"),
        (999.6, "1.0k"),
        (12345, "12.3k"),
        (999_499, "999k"),
        (999_999, "1.0M"),
        (123e9, "123G"),
        (5e15, "5000T"),
    ],
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert top_view.short(number) == text


def test_only_the_segments_that_were_named_are_shown(name: str) -> None:
    with Producer(f"{name}-a", "64KiB", wait_for_consumer=None), Producer(f"{name}-b", "64KiB", wait_for_consumer=None):
        shown = run("--once", "-i", "0.1", f"{name}-b")
        assert len(shown.splitlines()) == 3
        assert f"{name}-b" in shown
        for part in ("a", "b"):
            _backend.active.remove_segment(f"{name}-{part}", True)


def test_the_screenshot_in_the_readme_is_made_by_a_command(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    before = README.read_text()
    copy.write_text(before)
    subprocess.run([sys.executable, ROOT / "tools/screenshots.py", copy], check=True, timeout=60)
    after = copy.read_text()
    shown = [re.search(SCREENSHOT, text, re.DOTALL) for text in (before, after)]
    assert all(shown)
    assert re.sub(SCREENSHOT, "", before, flags=re.DOTALL) == re.sub(SCREENSHOT, "", after, flags=re.DOTALL)
    lines = shown[1][0].splitlines()  # type: ignore[index]
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[5:8]] == ["camera", "faces", "log"]
    assert lines[4].split() == shown[0][0].splitlines()[4].split()  # type: ignore[index]
    assert not [path for path in Path("/dev/shm").iterdir() if path.name.split(".")[1:2] == ["camera"]]


def test_a_senseless_interval_is_refused() -> None:
    done = subprocess.run([*COMMAND, "--interval", "0"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "--interval" in done.stderr
