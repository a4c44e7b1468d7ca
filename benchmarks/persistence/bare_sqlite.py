"""A loop around `sqlite3`: the events of all writers together, then one commit, and so on."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

EVENT = b'["benchmarks.deposited",1,{"amount":1}]'
"""As large as what the journal keeps for one."""


def persist(writers: int, each: int) -> dict[str, float]:
    """Insert one event of each writer and commit, again and again; events per second."""
    with TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder) / "events")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE events (line, sequence, data, PRIMARY KEY (line, sequence)) WITHOUT ROWID")
        started = time.perf_counter()
        for sequence in range(each):
            rows = [(writer, sequence, EVENT) for writer in range(writers)]
            connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
            connection.commit()
        return {"value": writers * each / (time.perf_counter() - started)}


WORKLOADS = {"persist": persist}
