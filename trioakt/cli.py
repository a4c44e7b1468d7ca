"""The `trioakt` command: it reads the command line and knows nothing of what the commands do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from trioakt.demo import main as demo


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command on the command line, or in ``arguments``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="trioakt", description="An actor toolkit on Trio.")
    parser.add_argument("--version", action="version", version=f"trioakt {version('trioakt')}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True)
    census = commands.add_parser(
        "demo",
        help="take a census of Python source files",
        description="Count what Python source files are made of, with actors and worker processes. Ctrl-C ends it.",
    )
    census.add_argument(
        "directory", nargs="?", type=Path, help="by default the standard library of the running interpreter"
    )
    chosen = parser.parse_args(arguments)
    return demo(chosen.directory)
