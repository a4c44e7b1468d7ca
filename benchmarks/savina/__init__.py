"""Savina: the message-passing part of the actor benchmark suite of Imam and Sarkar (AGERE 2014).

Each module is one program, written as a user of trioakt would write it: an async function that takes a system and the
sizes, raises `WrongResultError` unless the actors have come to the right result, and returns how many messages it took.
`twins` has the same programs for Pykka.
"""

from __future__ import annotations


class WrongResultError(Exception):
    """A program has come to another result than it must."""


def check(what: str, got: object, expected: object) -> None:
    """Compare a result with what it must be.

    Raises:
        WrongResultError: They differ.
    """
    if got != expected:
        raise WrongResultError(f"{what}: expected {expected!r}, got {got!r}")
