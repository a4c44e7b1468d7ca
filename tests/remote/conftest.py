"""What the tests of the wire share."""

from __future__ import annotations

import pynng  # pyright: ignore[reportMissingTypeStubs]
import pytest


@pytest.fixture(scope="session", autouse=True)
def nng_has_started() -> None:
    """With its first socket nng takes descriptors that it keeps for good; no test shall seem to leave them behind."""
    pynng.Pull0().close()
