"""The telemetry of this machine: how much memory its parts and its programs take, as lines of text; plain functions."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePath

PROC = Path("/proc")
"""What the kernel tells on Linux; elsewhere ``ps`` is asked."""
PROGRAMS = 20
"""Programs that are measured, the largest first."""

ADDRESSES = ("VmallocTotal", "DirectMap")
"""What counts addresses, and no memory."""

_LINE = re.compile(r"(?P<device>.+): +(?P<kilobytes>\d+) kB", re.ASCII)


def measure() -> list[str]:
    """Measure once, and return a line for each device, such as ``MemFree:  812 kB`` or ``python3/4711: 20184 kB``.

    Some lines that the kernel has are no readings of this kind: ``HugePages_Total:  0``.

    Raises:
        OSError, subprocess.SubprocessError: This machine does not tell.
    """
    if (PROC / "meminfo").exists():
        lines = (PROC / "meminfo").read_text(encoding="ascii").splitlines()
        return [line for line in lines if not line.startswith(ADDRESSES)] + _largest(_from_proc())
    return _largest(_from_ps())


def parse(lines: Iterable[str]) -> dict[str, int]:
    """Return the kilobytes by device, of those lines that are readings."""
    matches = [match for match in map(_LINE.fullmatch, lines) if match]
    return {match["device"]: int(match["kilobytes"]) for match in matches}


def _largest(programs: Iterable[tuple[int, int, str]]) -> list[str]:
    """Turn kilobytes, process numbers and names into lines."""
    largest = sorted(programs, reverse=True)[:PROGRAMS]
    return [f"{_printable(name)}/{pid}: {kilobytes} kB" for kilobytes, pid, name in largest]


def _from_proc() -> Iterable[tuple[int, int, str]]:
    page = os.sysconf("SC_PAGE_SIZE") // 1024
    for path in PROC.glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended meanwhile
            continue
        pid, _, rest = text.partition(" (")
        name, _, fields = rest.rpartition(") ")
        yield int(fields.split()[21]) * page, int(pid), name


def _from_ps() -> Iterable[tuple[int, int, str]]:
    listed = subprocess.run(["ps", "-A", "-o", "rss=,pid=,comm="], capture_output=True, check=True)
    for line in listed.stdout.decode(errors="replace").splitlines():
        kilobytes, pid, path = line.split(maxsplit=2)
        yield int(kilobytes), int(pid), PurePath(path).name


def _printable(name: str) -> str:
    """Leave nothing in a name that somebody gave to a program to play with a terminal."""
    return "".join(each if each.isprintable() else "?" for each in name)[:100]
