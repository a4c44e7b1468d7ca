"""Which program runs each contender; builds the throw-away environment of the one peer that needs an older Trio."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TRIOTP = "triotp==0.2.1"


class UnavailableError(Exception):
    """A contender cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Where a contender's code is and how it is run."""

    title: str
    module: str
    pinned: bool = True
    requires: str | None = None
    """What to install in an environment of its own; None runs it in this one."""

    def interpreter(self) -> str:
        """Return the Python that can run it.

        Raises:
            UnavailableError: its environment could not be made.
        """
        return sys.executable if self.requires is None else str(_environment(self.requires))


CONTENDERS = {
    "trioakt": Contender("trioakt", "subject"),
    "without": Contender("without it", "without"),
    "floor": Contender("floor", "floor"),
    "bare": Contender("bare task", "bare"),
    "sqlite": Contender("bare sqlite3", "bare_sqlite"),
    "in-sqlite": Contender("SQLite", "in_sqlite", pinned=False),
    "in-etcd": Contender("etcd", "in_etcd", pinned=False),
    "in-postgresql": Contender("PostgreSQL", "in_postgresql", pinned=False),
    "naive": Contender("naive", "naive"),
    "pykka": Contender("Pykka", "pykka_threads"),
    "pykka2": Contender("Pykka, all cores", "pykka_threads", pinned=False),
    "triotp": Contender("triotp", "triotp_servers", requires=TRIOTP),
}


@cache
def _environment(requirement: str) -> Path:
    """Return the Python of a cached environment that holds `requirement`, making it first if need be."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = requirement.replace("==", "-")
    folder = caches / "trioakt-benchmarks" / f"{name}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = folder / "complete"
    if complete.exists() and python.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True)
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement])
        _run([str(python), "-c", f"import {requirement.partition('==')[0]}"])
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"no environment with {requirement}: {last_line(error)}") from error
    complete.touch()
    return python


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)


def last_line(error: Exception) -> str:
    """Return the line of a failed command's output that says most, or the error's own text."""
    output = getattr(error, "stderr", None)
    lines = output.strip().splitlines() if isinstance(output, str) else []
    return lines[-1] if lines else str(error)
