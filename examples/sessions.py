"""Shopping carts: an actor for each session, dropped when it is idle, made again when somebody comes back.

What is in a cart is saved at each change, for it must outlive the actor. What was looked at is kept in the actor alone:
it may be forgotten.
"""

import random

import attrs
import trio
import trio.testing

from trioakt import Actor, ActorPassivated, ActorSystem, Context, Eviction, Idle, Never, Request, message
from trioakt.persistence import MemoryJournal, Snapshotted


@message
class ForSession:
    """A request for a session, wherever it is now."""

    session: str
    request: "Look | Add | Show | CheckOut"


@message
class Look(Request[None]):
    item: str
