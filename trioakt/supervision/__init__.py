"""Supervision as data: what a failure is, and which directive a strategy gives; it knows neither Trio nor actors."""

from trioakt.supervision.failure import Failure
from trioakt.supervision.strategy import (
    Backoff,
    Directive,
    Ledger,
    OneForAll,
    OneForOne,
    RestForOne,
    Siblings,
    Strategy,
    Verdict,
)

__all__ = [
    "Backoff",
    "Directive",
    "Failure",
    "Ledger",
    "OneForAll",
    "OneForOne",
    "RestForOne",
    "Siblings",
    "Strategy",
    "Verdict",
]
