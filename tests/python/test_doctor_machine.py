# SPDX-License-Identifier: Apache-2.0
"""What shmlane doctor says of the machine and as a command: limits, room, systemd, a broken extension."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doctoring import COMMAND, clean, die_in, files_of, push_and_keep

from shmlane.doctor import machine


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, True),
        ({"etc/logind.conf": "[Login]\n#RemoveIPC=no\n"}, True),
        ({"etc/logind.conf": "[Login]\nRemoveIPC=no\n"}, False),
        ({"usr/logind.conf": "[Login]\nRemoveIPC=no\n", "etc/logind.conf": "[Login]\nKillUserProcesses=no\n"}, True),
        ({"etc/logind.conf": "[Login]\nRemoveIPC=no\n", "usr/logind.conf.d/a.conf": "[Login]\nRemoveIPC=yes\n"}, True),
        ({"usr/logind.conf.d/a.conf": "[Login]\nRemoveIPC=yes\n", "etc/logind.conf.d/a.conf": ""}, True),
        ({"etc/logind.conf.d/z.conf": "[Login]\nRemoveIPC=off\n", "usr/logind.conf.d/a.conf": "rubbish"}, False),
    ],
)
def test_remove_ipc_is_read_as_systemd_reads_it(files: dict[str, str], expected: bool, tmp_path: Path) -> None:
    for relative, contents in files.items():
        path = tmp_path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents)
    folders = [tmp_path / "usr", tmp_path / "etc"]
    assert machine.remove_ipc(folders) is expected
    (finding,) = machine.check_logind(folders, uid=1000)
    assert finding.severity == ("warning" if expected else "ok")
    (finding,) = machine.check_logind(folders, uid=0)
    assert finding.severity == "ok"


def run(*arguments: str, prefix: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments]
    if prefix:
        command = ["bash", "-c", f'{prefix}; exec "$@"', "bash", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **options)


def test_the_whole_machine_is_looked_at_and_nothing_is_changed(name: str) -> None:
    die_in(name, lambda: push_and_keep(name))
    before = files_of(name)
    done = run("--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["healthy"] is False
    assert {"backend", "memory", "limits", "membarrier"} <= {finding["topic"] for finding in report["findings"]}
    (finding,) = [finding for finding in report["findings"] if finding["segment"] == name]
    assert finding["fixable"]
    assert files_of(name) == before
    shown = run()
    assert shown.returncode == 1
    assert f"warning  {name}: all 1 participant in it died" in shown.stdout
    clean(name)


def test_the_command_mends_and_its_status_says_whether_all_is_well(name: str) -> None:
    die_in(name, lambda: push_and_keep(name, b"x"))
    done = run(name, "--fix")
    assert done.returncode == 1
    assert "--force" in done.stdout
    done = run(name, "--fix", "--force")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 fixed; all is well")
    assert run(name, "--force").returncode == 2


def test_a_small_limit_is_a_warning() -> None:
    findings = json.loads(run("--json", prefix="ulimit -n 64; ulimit -f 1000").stdout)["findings"]
    limits = [finding for finding in findings if finding["topic"] == "limits"]
    assert [finding["severity"] for finding in limits] == ["warning", "warning"]


def test_a_small_shared_memory_is_a_warning_that_names_docker_s_option(tmp_path: Path) -> None:
    mounted = "unshare --mount --map-root-user bash -c 'mount -t tmpfs -o size=8m none /dev/shm && exec \"$@\"' bash"
    done = subprocess.run(
        f"{mounted} {' '.join(COMMAND)} --json", shell=True, capture_output=True, text=True, timeout=100, check=False
    )
    if not done.stdout:
        pytest.skip(f"no name spaces here: {done.stderr}")
    (memory,) = [finding for finding in json.loads(done.stdout)["findings"] if finding["topic"] == "memory"]
    assert memory["severity"] == "warning"
    assert "--shm-size" in memory["todo"]


BROKEN = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "shmlane._native": raise ImportError("undefined symbol: x", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["shmlane", *sys.argv[1:]]
from shmlane.cli import main
main()
"""


def test_it_works_when_the_extension_is_what_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHMLANE_BACKEND", raising=False)
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "doctor", "--json"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert findings[0]["severity"] == "error"
    assert "undefined symbol: x" in findings[0]["what"]
    assert "memory" in {finding["topic"] for finding in findings}
    for command in (["ls"], ["doctor", "x"]):
        done = subprocess.run([sys.executable, "-c", BROKEN, *command], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (1, "shmlane: undefined symbol: x\n")
