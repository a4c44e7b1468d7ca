"""What every test run shares."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from trioakt._core.asking import holdings, waits
from trioakt.testing.fixtures import no_leaks

__all__ = ["no_leaks", "nothing_is_left"]

# A machine may be slow: no verdict of Hypothesis rests on real time.
settings.register_profile("trioakt", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("trioakt")


# A shell that starts the run in the background lets it ignore Ctrl-C, and tests that press it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_is_left(no_leaks: None) -> Generator[None]:
    """Every test leaves as little behind as a user's: no thread, descriptor or process, no handler, no wait."""
    before = {*holdings, *waits}
    yield
    assert {*holdings, *waits} <= before
