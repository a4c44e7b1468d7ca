"""Kinds: actor classes by name, as nodes and stores know them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioakt.patterns.worker import MAIN

if TYPE_CHECKING:
    from trioakt.lowlevel import Actor


def kind_name(kind: type[Actor]) -> str:
    """Return the name of an actor class between nodes; a process node has its parent's main module by another name."""
    module = "__main__" if kind.__module__ == MAIN else kind.__module__
    return f"{module}.{kind.__qualname__}"
