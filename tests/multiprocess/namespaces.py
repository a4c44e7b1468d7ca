"""Network namespaces: sides of a network between which links can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def run(*command: str, check: bool = True) -> None:
    """Run a command to its end."""
    subprocess.run(command, check=check, capture_output=True, timeout=30)


def inside(space: str) -> list[str]:
    """What to put in front of a command, to run it in a namespace."""
    return ["ip", "netns", "exec", space]


def need_ip() -> None:
    """Skip the test where there is no way to make namespaces, or fail it where there has to be."""
    if shutil.which("ip") is None:
        if os.environ.get("CI"):
            pytest.fail("there is no `ip` here; CI installs it (Debian's package `iproute2`)")
        pytest.skip("there is no `ip` to make network namespaces with")


def add_or_skip(space: str) -> None:
    """Make a network namespace; only where that is not allowed is there nothing to test."""
    try:
        run("ip", "netns", "add", space)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode().strip()
        if "not permitted" in said or "Permission denied" in said:
            pytest.skip(f"network namespaces may not be made here: {said}")
        raise


def remove(space: str) -> None:
    """Let a network namespace be no more, with all its links."""
    run("ip", "netns", "delete", space, check=False)
