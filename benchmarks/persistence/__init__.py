"""What it costs to keep events: event-sourced actors on a SQLite journal, beside a loop around `sqlite3` alone.

The files are where Python makes temporary ones, so TMPDIR chooses the disk.
"""
