"""What the property tests of delivery share with the others."""

from __future__ import annotations

from tests.properties.conftest import quiet

__all__ = ["quiet"]
