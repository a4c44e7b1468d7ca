"""Every example runs and prints what its transcript says; CONTRIBUTING.md tells the rule."""

from __future__ import annotations

import doctest
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("[!_]*.py"))
LONGEST = 300.0
"""Seconds after which an example counts as hung."""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_prints_what_its_transcript_says(example: Path) -> None:
    first, _, expected = example.with_suffix(".out").read_text(encoding="utf-8").partition("\n")
    prompt, command, *arguments = shlex.split(first)
    assert (prompt, command, arguments[0]) == ("$", "python", f"examples/{example.name}")
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert doctest.OutputChecker().check_output(expected, done.stdout, doctest.ELLIPSIS), done.stdout
