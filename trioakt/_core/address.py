"""Names, paths and addresses as plain text: checking, parsing and formatting; it knows nothing of live actors.

An address is ``trioakt://SYSTEM[@HOST:PORT]/GUARDIAN/NAME/...``; a path is the part from the first slash on.
"""

from __future__ import annotations

import re

import attrs

SCHEME = "trioakt"
_NAME = re.compile(r"[A-Za-z0-9_.-][A-Za-z0-9_.$-]{0,254}")
_ADDRESS = re.compile(r"trioakt://(?P<system>[^@/]+)(?:@(?P<node>[^/]+))?(?P<path>/.*)?")


def check_name(name: str) -> str:
    """Return the name of an actor or a system if it is a good one.

    Raises:
        TypeError: It is not a string.
        ValueError: It is empty, too long, starts with ``$`` or has a character other than letters, digits and ``-_.``.
    """
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"a name must be a str, got {name!r}")
    if not _NAME.fullmatch(name) or "$" in name:
        raise ValueError(
            f"bad name {name[:80]!r}: use 1 to 255 letters, digits, '-', '_' and '.' ('$' is trioakt's own)"
        )
    return name


@attrs.frozen
class Address:
    """Where an actor or a node lives.

    Attributes:
        system: Name of the actor system.
        node: ``host:port`` of the node; empty for a system that listens nowhere.
        path: Path of the actor; empty for the node itself.
    """

    system: str
    node: str = ""
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address.

        Raises:
            ValueError: The text is not an address.
        """
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(f"not an address: {text[:200]!r}; expected trioakt://system[@host:port][/path]")
        return cls(match["system"], match["node"] or "", match["path"] or "")

    def __str__(self) -> str:
        where = f"@{self.node}" if self.node else ""
        return f"{SCHEME}://{self.system}{where}{self.path}"
