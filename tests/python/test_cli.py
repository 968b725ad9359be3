# SPDX-License-Identifier: Apache-2.0
"""The command shmlane, as people and scripts run it."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.util
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import workers
from PIL import Image

from shmlane import Consumer, Producer, RawObject, StdioConsumer, StdioProducer
from shmlane.cli import main

COMMAND = [sys.executable, "-m", "shmlane"]


def run(*arguments: str, stdin: Any = None, stdout: Any = None) -> subprocess.CompletedProcess[str]:
    """The command with its output, in a forked process, which need not import everything again."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err, Path(os.devnull).open() as nothing:
        child = os.fork()
        if child == 0:
            become_command([stdin or nothing, stdout or out, err], list(arguments))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


def become_command(streams: list[Any], arguments: list[str]) -> None:
    """Run the command and end this process as Python does."""
    status: Any = "died"
    try:
        for descriptor, stream in enumerate(streams):
            os.dup2(stream if isinstance(stream, int) else stream.fileno(), descriptor)
        sys.stdin, sys.stdout, sys.stderr = (open(i, "r" if i == 0 else "w") for i in range(3))  # noqa: SIM115
        main(arguments)
    except SystemExit as ending:
        status = ending.code
    finally:
        if status == "died":
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        multiprocessing.util._exit_function()
        os._exit(status if isinstance(status, int) else 99)


def assert_fails(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 1, and one line that says what."""
    assert done.returncode == 1
    assert done.stderr.startswith("shmlane: ")
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


def test_ls_shows_a_queue(name: str) -> None:
    with Producer(name, "1MiB") as tx, Consumer(name) as rx:
        tx.push(bytes(1000))
        (line,) = [line for line in run("ls").stdout.splitlines() if name in line]
        assert line.split()[:6] == [name, "queue", "1.0", "MiB", "1.1", "KiB"]
        (segment,) = [found for found in json.loads(run("ls", "--json").stdout) if found["name"] == name]
        assert (segment["kind"], segment["capacity"], segment["objects"]) == ("queue", 1 << 20, 1)
        assert [participant["roles"] for participant in segment["participants"]] == [["producer"], ["consumer"]]
        rx.pop()


def test_ls_shows_rates_if_asked(name: str) -> None:
    stop = threading.Event()
    with Producer(name, "1MiB") as tx, Consumer(name) as rx:

        def work() -> None:
            while not stop.wait(0.001):
                tx.push(bytes(100))
                rx.pop()

        thread = threading.Thread(target=work)
        thread.start()
        shown = subprocess.check_output([*COMMAND, "ls", "--json", "--interval", "0.5"], timeout=60)
        stop.set()
        thread.join()
    (segment,) = [found for found in json.loads(shown) if found["name"] == name]
    assert segment["objects_per_second"] > 1
    assert segment["bytes_per_second"] == pytest.approx(100 * segment["objects_per_second"])
    assert_fails(run("ls", "--interval", "-1"), "--interval")


def test_a_name_cannot_move_the_terminal_s_cursor(name: str) -> None:
    evil = f"{name}\x1b[2J\n[red]"
    with Producer(evil, "64KiB"), Consumer(evil):
        for done in (run("ls"), run("stat", evil)):
            assert f"{name}\\x1b[2J\\n[red]" in done.stdout
            assert "\x1b" not in done.stdout


def test_stat_shows_everything(name: str) -> None:
    with Producer(name, "1MiB") as tx, Consumer(name) as rx:
        tx.push_many([bytes(1000), bytes(10)])
        with rx.acquire():  # type: ignore[union-attr]
            shown = run("stat", name).stdout
            segment = json.loads(run("stat", name, "--json").stdout)
        rx.pop()
    assert f"leased {1000} B" in shown
    for word in (name, "1.0 MiB", "0600", str(os.getpid()), "producer", "consumer", "2 (1010 B)"):
        assert word in shown, word
    assert segment["pushed"] == 2
    assert segment["participants"][1]["holds"][0]["state"] == "leased"


def test_the_dead_are_not_counted_among_the_living(name: str) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push(b"x")
        victim = multiprocessing.get_context("spawn").Process(target=workers.acquire_and_die, args=(name,))
        victim.start()
        victim.join()
        (line,) = [line for line in run("ls").stdout.splitlines() if name in line]
        assert line.split()[8:10] == ["1", "0"]
        dead = [other for other in json.loads(run("stat", name, "--json").stdout)["participants"] if not other["alive"]]
        assert [other["pid"] for other in dead] == [victim.pid]
        assert "dead" in run("stat", name).stdout
    with Consumer(name) as rx:
        assert list(rx) == [b"x"]


def test_stat_of_what_is_not_there_fails(name: str) -> None:
    assert_fails(run("stat", name), name)


def test_stat_of_what_is_no_segment_fails(name: str) -> None:
    path = Path(f"/dev/shm/shmlane.{name}")
    path.write_bytes(b"something else" * 10_000)
    try:
        assert_fails(run("stat", name), name)
        assert run("ls").returncode == 0
    finally:
        path.unlink()


def test_rm_removes_what_nobody_lives_in(name: str) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push(b"x")
    assert run("rm", name).returncode == 0
    assert_fails(run("rm", name), name)


def test_rm_asks_if_somebody_lives_in_it(name: str) -> None:
    with Producer(name, wait_for_consumer=None):
        assert_fails(run("rm", name), name, "--force")
        assert run("stat", name).returncode == 0
        assert answer(name, "n") == 1
        assert run("stat", name).returncode == 0
        assert answer(name, "y") == 0
        assert run("stat", name).returncode == 1
    with Producer(name, wait_for_consumer=None):
        assert run("rm", "--force", name).returncode == 0


def answer(name: str, word: str) -> int:
    """The exit status of `rm` for somebody who sits at a terminal."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{word}\n".encode())
    status = run("rm", name, stdin=theirs).returncode
    os.close(ours)
    os.close(theirs)
    return status


def test_rm_goes_on_after_a_failure(name: str) -> None:
    for part in ("a", "b"):
        with Producer(f"{name}-{part}", wait_for_consumer=None) as tx:
            tx.push(b"x")
    done = run("rm", f"{name}-a", f"{name}-nobody", f"{name}-b")
    assert_fails(done, f"{name}-nobody")
    assert run("stat", f"{name}-b").returncode == 1


def frames_of(path: Path, objs: list[Any]) -> Path:
    with path.open("wb") as file, StdioProducer(file) as tx:
        tx.push_many(objs)
    return path


def test_frames_go_from_a_file_to_a_queue_and_back(name: str, tmp_path: Path) -> None:
    source = frames_of(tmp_path / "in", [b"x", {"a": 1}, np.arange(3), RawObject({"type": "odd", "version": 9}, b"y")])
    with source.open("rb") as file:
        assert run("push", name, "--capacity", "1MiB", stdin=file).returncode == 0
    with (tmp_path / "out").open("wb") as file:
        assert run("pop", name, stdout=file).returncode == 0
    assert (tmp_path / "out").read_bytes() == source.read_bytes()


def test_a_shell_pipe_and_a_ring_feed_each_other(name: str) -> None:
    with Consumer(f"{name}-b") as rx:
        pipe = f"{' '.join(COMMAND)} pop {name}-a | {' '.join(COMMAND)} push {name}-b"
        shell = subprocess.Popen(pipe, shell=True)
        with Producer(f"{name}-a") as tx:
            tx.push_many([b"x", "text", np.arange(1000)])
        assert rx.pop() == b"x"
        assert rx.pop() == "text"
        assert np.array_equal(rx.pop(), np.arange(1000))
        assert rx.pop() is None
        assert shell.wait() == 0


def test_push_takes_texts_and_files(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"contents")
    assert run("push", name, "--text", "one", "--text", "two", "--file", str(tmp_path / "file")).returncode == 0
    with Consumer(name) as rx:
        assert list(rx) == ["one", "two", b"contents"]
    assert_fails(run("push", name, "--file", str(tmp_path / "none")), "none")


def test_push_waits_for_room_and_for_a_consumer_as_long_as_asked(name: str) -> None:
    done = run("push", name, "--capacity", "64KiB", "--timeout", "0.1", "--text", "x" * 40_000, "--text", "y" * 40_000)
    assert_fails(done, name)
    with Consumer(name) as rx:
        assert list(rx) == ["x" * 40_000]
    assert_fails(run("push", name, "--wait", "0.1", "--text", "x"), "consumer")
    assert run("rm", name).returncode == 0


def test_push_of_a_damaged_stream_keeps_what_was_sound(name: str, tmp_path: Path) -> None:
    path = frames_of(tmp_path / "in", ["one", "two"])
    path.write_bytes(path.read_bytes()[:-50])
    with path.open("rb") as file:
        assert_fails(run("push", name, stdin=file), "byte")
    with Consumer(name) as rx:
        assert list(rx) == ["one"]
    path.write_text("this is no frame and it is longer than a header")
    with path.open("rb") as file:
        assert_fails(run("push", name, stdin=file), "byte 0")
    assert run("rm", name).returncode == 0


def test_pop_stops_at_a_count_or_when_nothing_comes(name: str, tmp_path: Path) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push_many(range(5))
        for options, expected in ((["--count", "2"], [0, 1]), (["--count", "0"], []), (["--timeout", "0"], [2, 3, 4])):
            with (tmp_path / "out").open("wb") as file:
                assert run("pop", name, *options, stdout=file).returncode == 0
            with (tmp_path / "out").open("rb") as file:
                assert list(StdioConsumer(file)) == expected
        assert_fails(run("pop", name, "--timeout", "0.1"), name)
        tx.push("keeps the segment")
    with Consumer(name) as rx:
        assert rx.pop() == "keeps the segment"


def test_pop_does_not_write_frames_to_a_terminal(name: str) -> None:
    ours, theirs = pty.openpty()
    done = run("pop", name, stdout=theirs)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert "terminal" in done.stderr


SHOWN = [
    ("text\x1b[31m\nline", "text\\x1b[31m\\nline"),
    ({"a": [1, None, "ü"]}, '{"a": [1, null, "ü"]}'),
    (b"\x00\xff", "bytes 2 B 00ff"),
    (b"", "bytes 0 B"),
    (bytes(100), "bytes 100 B " + "00" * 32 + "..."),
    (np.arange(10, dtype="<f4").reshape(2, 5), "ndarray <f4 [2, 5] [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, ...] 40 B"),
    (np.array(True), "ndarray |b1 [] [True] 1 B"),
    (np.zeros(1, [("a", "u1")]), 'ndarray [["a", "|u1"]] [1] [(0,)] 1 B'),
    (Image.new("RGB", (4, 3)), "image 4x3 RGB |u1 raw 36 B"),
    ([b"\x01", "x"], "list 65 B [bytes 1 B 01; x]"),
    ({"k": b"\x01"}, "map 1 B [k: bytes 1 B 01]"),
    (RawObject({"type": "odd", "version": 2, "x": [1]}, b"abc"), 'odd {"version": 2, "x": [1]} 3 B'),
    (RawObject({"type": "ndarray", "dtype": "float4", "shape": [6]}, b"abc"), "ndarray float4 [6] 3 B"),
]


def test_cat_shows_a_line_for_each_object(name: str, tmp_path: Path) -> None:
    path = frames_of(tmp_path / "in", [obj for obj, _ in SHOWN])
    with path.open("rb") as file:
        done = run("cat", stdin=file)
    assert done.stdout.splitlines() == [line for _, line in SHOWN]
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push_many(["a", "b", "c"])
    assert run("cat", name, "--count", "2").stdout == "a\nb\n"
    assert run("cat", name).stdout == "c\n"


def test_cat_shows_json_if_asked(tmp_path: Path) -> None:
    path = frames_of(tmp_path / "in", ["text", {"a": 1}, b"abc"])
    with path.open("rb") as file:
        lines = run("cat", "--json", "-", stdin=file).stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"metadata": {"type": "text"}, "nbytes": 4, "value": "text"},
        {"metadata": {"type": "json"}, "nbytes": 7, "value": {"a": 1}},
        {"metadata": {"type": "bytes"}, "nbytes": 3},
    ]


def test_cat_of_a_damaged_object_fails(tmp_path: Path) -> None:
    path = frames_of(tmp_path / "in", ["fine", RawObject({"type": "json"}, b"{")])
    with path.open("rb") as file:
        done = run("cat", stdin=file)
    assert done.stdout == "fine\n"
    assert_fails(done, "json")


@pytest.mark.parametrize("command", ["cat", "pop"])
def test_a_reader_that_has_seen_enough_is_no_error(name: str, command: str) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push_many(["x" * 1000] * 5000)
        child = subprocess.Popen([*COMMAND, command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.read(10)
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 128 + 13
        child.stderr.close()
    with Consumer(name) as rx:
        assert all(obj == "x" * 1000 for obj in rx)


@pytest.mark.parametrize("arguments", [["--bogus"], ["nope"], ["stat"], ["pop", "a", "--count", "x"], ["ls", "extra"]])
def test_a_wrong_use_ends_with_status_2_and_the_usage(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Usage: shmlane" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name_", ["", "a/b", "x" * 201])
def test_a_name_that_is_none_is_a_failure_of_one_line(name_: str) -> None:
    for command in ("stat", "rm", "pop"):
        assert_fails(run(command, name_))


def test_ctrl_c_ends_with_status_130(name: str, backend: ModuleType) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        child = subprocess.Popen([*COMMAND, "cat", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not tx.stat()["consumers"]:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        child.wait(60)
    _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in stderr


def test_bench_outside_a_source_tree_says_where_it_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shmlane.cli.bench._ROOT", tmp_path)
    done = run("bench", "--quick")
    assert done.returncode == 1
    assert "clone" in done.stderr


def test_the_version_is_shown() -> None:
    try:
        expected = version("shmlane")
    except PackageNotFoundError:
        pytest.skip("shmlane runs from its sources and has no version")
    assert run("--version").stdout == f"shmlane {expected}\n"


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_packages_it_says_what_to_install(missing: str, backend: ModuleType) -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {missing!r}: raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import shmlane.cli; shmlane.cli.main(['ls'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert_fails(done, missing, "shmlane[cli]")
