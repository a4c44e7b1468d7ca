"""The `trioakt` command, as it is installed."""

from __future__ import annotations

import subprocess
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

COMMAND = Path(sysconfig.get_path("scripts"), "trioakt")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_help_names_the_commands() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "demo" in done.stdout


def test_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"trioakt {version('trioakt')}\n"


def test_without_a_command_it_tells_how_it_is_used() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: trioakt" in done.stderr


def test_demo_takes_a_census_of_the_directory(tmp_path: Path) -> None:
    Path(tmp_path, "one.py").write_text("import two\n", encoding="utf-8")
    done = run("demo", tmp_path)
    said = [line for line in done.stderr.splitlines() if not line.endswith(" files")]  # a slow machine sees progress
    assert (done.returncode, said) == (0, [])
    assert done.stdout.startswith(f"Census of {tmp_path}\n")


def test_demo_refuses_what_is_not_a_directory(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    done = run("demo", nowhere)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"trioakt demo: {nowhere}: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--nodes", "1"], "there must be 2 or more"),
        (["--nodes", "3", "."], "not a directory"),
        (["--store", "sqlite://demo.db"], "goes with --nodes"),
    ],
)
def test_demo_refuses_what_does_not_go_together(arguments: list[str], complaint: str) -> None:
    done = run("demo", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
