"""The messages that both contenders send, and what their servers do with them."""

from __future__ import annotations

from typing import Any

from benchmarks.savina import check
from trioakt import Request, message


@message(name="benchmarks.parcel")
class Parcel:
    """Told; the numbers of those to one server count from 0 on."""

    number: int
    body: bytes


@message(name="benchmarks.weigh")
class Weigh(Request[int]):
    """How many bytes are in it?"""

    body: bytes


@message(name="benchmarks.arrived")
class Arrived(Request[int]):
    """How many parcels have come?"""


class Depot:
    """What a server does; the order is checked, so that nothing is measured that goes wrong."""

    def __init__(self) -> None:
        self._parcels = 0

    def take(self, message: Any) -> int | None:
        """Handle a message and return the answer, if it is a request."""
        match message:
            case Parcel(number):
                check("number of a parcel", self._parcels, number)
                self._parcels += 1
                return None
            case Weigh(body):
                return len(body)
            case _:
                return self._parcels
