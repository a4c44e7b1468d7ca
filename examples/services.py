"""Services that hear of events and never call each other; and events of an old shape, which a new service reads.

    order.placed -> stock.reserved -> invoice.paid    -> parcel.sent
                                   -> invoice.refused -> (the stock is released)
                 -> stock.missing

`services.archive` was written years ago, when an order was a single item with its price in euros.
"""

import base64
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, message, upcast
from trioakt.codec import Codec

CODEC = Codec()


@message(name="order.placed", version=2)
class OrderPlaced:
    number: int
    customer: str
    items: dict[str, int]
    """How many of which."""
    cents: int


@upcast("order.placed", 1)
def several_items(old: dict[str, Any]) -> dict[str, Any]:
    """Until 2021 an order had an ``item`` and a ``price``."""
    item, price = old.pop("item"), old.pop("price")
    return {**old, "items": {item: 1}, "cents": round(100 * price)}


@message(name="stock.reserved")
class StockReserved:
    order: OrderPlaced


@message(name="stock.missing")
class StockMissing:
    number: int
    items: tuple[str, ...]


@message(name="invoice.paid")
class InvoicePaid:
    number: int
    customer: str


@message(name="invoice.refused")
class InvoiceRefused:
    order: OrderPlaced


@message(name="parcel.sent")
class ParcelSent:
    number: int


def publish(ctx: Context, event: Any) -> None:
    """Publish an event under the name of its type."""
    ctx.system.topics.publish(topic(event), event)
