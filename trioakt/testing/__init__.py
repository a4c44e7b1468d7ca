"""The test kit: probes, a system that tells what went wrong unseen, and checks for extensions of your own.

Under ``trio.testing.MockClock(autojump_threshold=0)``, the fixture ``autojump_clock`` of pytest-trio, all its seconds
are virtual. The fixture ``no_leaks`` is in ``trioakt.testing.fixtures``, which needs pytest.
"""

from trioakt.remote.memory import MemoryNetwork
from trioakt.testing.conformance import check_mailbox
from trioakt.testing.journals import check_journal
from trioakt.testing.kit import open_test_system
from trioakt.testing.nodes import SimulatedNodes
from trioakt.testing.probe import Probe
from trioakt.testing.simulation import Simulation, SimulationResult
from trioakt.testing.stores import check_store
from trioakt.testing.trace import TraceEntry
from trioakt.testing.transports import check_transport

__all__ = [
    "MemoryNetwork",
    "Probe",
    "SimulatedNodes",
    "Simulation",
    "SimulationResult",
    "TraceEntry",
    "check_journal",
    "check_mailbox",
    "check_store",
    "check_transport",
    "open_test_system",
]
