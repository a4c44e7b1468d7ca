"""The wire needs the same care here as in its own tests."""

from __future__ import annotations

from tests.remote.conftest import nng_has_closed, nng_has_started

__all__ = ["nng_has_closed", "nng_has_started"]
