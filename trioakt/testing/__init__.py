"""The test kit: probes, a system that tells what went wrong unseen, and checks for extensions of your own.

Under ``trio.testing.MockClock(autojump_threshold=0)``, the fixture ``autojump_clock`` of pytest-trio, all its seconds
are virtual. The fixture ``no_leaks`` is in ``trioakt.testing.fixtures``, which needs pytest.
"""

from trioakt.testing.conformance import check_mailbox
from trioakt.testing.journals import check_journal
from trioakt.testing.kit import open_test_system
from trioakt.testing.probe import Probe

__all__ = ["Probe", "check_journal", "check_mailbox", "open_test_system"]
