"""State that outlives its actor: event-sourced and snapshotted actors, and the journals that keep what they write.

Give the system a journal, ``ActorSystem("bank", extensions=[journal])``, and the actors find it.
"""

from trioakt.persistence.event_sourced import EventSourced
from trioakt.persistence.journal import Journal, Record
from trioakt.persistence.memory import MemoryJournal
from trioakt.persistence.snapshotted import Snapshotted
from trioakt.persistence.sqlite import JournalStatistics, SqliteJournal, open_sqlite_journal

__all__ = [
    "EventSourced",
    "Journal",
    "JournalStatistics",
    "MemoryJournal",
    "Record",
    "Snapshotted",
    "SqliteJournal",
    "open_sqlite_journal",
]
