"""Every program on a page of the documentation runs; CONTRIBUTING.md tells the rule."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST = 120.0
"""Seconds after which a program counts as hung."""


def _programs(page: Path) -> Iterator[tuple[int, str]]:
    """Yield each program of a page with its first line; blank lines keep its code on the lines it has on the page."""
    text = page.read_text(encoding="utf-8")
    program: list[str] = []
    start = 0
    for block in BLOCK.finditer(text):
        code, line = block[1], text.count("\n", 0, block.start(1))
        if program and _begins_with_an_import(code):
            yield start, "\n".join(program)
            program = []
        start = start if program else line + 1
        program += [""] * (line - len(program)) + code.splitlines()
    if program:
        yield start, "\n".join(program)


def _begins_with_an_import(code: str) -> bool:
    body = ast.parse(code).body
    return bool(body) and isinstance(body[0], ast.Import | ast.ImportFrom)


PROGRAMS = [
    pytest.param(page, program, id=f"{page.relative_to(ROOT)}:{line}")
    for page in PAGES
    for line, program in _programs(page)
]


@pytest.mark.parametrize(("page", "program"), PROGRAMS)
def test_the_program_on_the_page_runs(page: Path, program: str, tmp_path: Path) -> None:
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, f"{page.relative_to(ROOT)}\n{done.stdout}{done.stderr}"
