"""What the property tests share."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Keep thousands of expected failures and dead letters out of the report."""
    caplog.set_level(logging.CRITICAL, logger="trioakt")
