"""The core of what clusters of real processes go through, on PostgreSQL, which is killed in place of being frozen."""

from __future__ import annotations

import pytest

from tests.multiprocess.cluster_stores import Engine, postgresql_engine
from tests.multiprocess.test_cluster_faults import (
    test_a_node_that_is_frozen_beyond_its_lease_owns_nothing_when_it_goes_on,
    test_what_a_killed_node_owned_is_served_again_with_a_larger_token,
    test_without_a_store_for_longer_than_a_lease_nobody_owns_anything_until_it_is_back,
)

__all__ = [
    "postgresql_engine",
    "test_a_node_that_is_frozen_beyond_its_lease_owns_nothing_when_it_goes_on",
    "test_what_a_killed_node_owned_is_served_again_with_a_larger_token",
    "test_without_a_store_for_longer_than_a_lease_nobody_owns_anything_until_it_is_back",
]


@pytest.fixture
def engine(postgresql_engine: Engine) -> Engine:
    """Let those tests run on it."""
    return postgresql_engine
