"""What the tests of the wire share."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import pynng  # pyright: ignore[reportMissingTypeStubs]
import pytest

from tests.remote.authority import Authority

PATIENCE = 30.0
"""Seconds, at most, that the thread of nng takes on a busy machine."""
_DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(scope="session", autouse=True)
def nng_has_started() -> None:
    """With its first socket nng takes descriptors that it keeps for good; no test shall seem to leave them behind."""
    pynng.Pull0().close()


@pytest.fixture(autouse=True)
def nng_has_closed() -> Generator[None]:
    """Wait for the thread of nng that closes the descriptors of closed sockets a little later."""
    before = _descriptors()
    yield
    patience = time.monotonic() + PATIENCE
    while _descriptors() - before and time.monotonic() < patience:
        time.sleep(0.001)


def _descriptors() -> set[str]:
    return {each.name for each in _DESCRIPTORS.iterdir()} if _DESCRIPTORS.exists() else set()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority of the nodes."""
    (tmp_path / "ours").mkdir()
    return Authority(tmp_path / "ours")


@pytest.fixture
def rogue(tmp_path: Path) -> Authority:
    """Another authority, which no node trusts."""
    (tmp_path / "rogue").mkdir()
    return Authority(tmp_path / "rogue")
