"""How far an actor has been told to go; each order outranks those before it."""

from __future__ import annotations

import enum


class Order(enum.IntEnum):
    """What the actor's own task must do next, instead of another message."""

    NONE = 0
    RESTART = 1
    """Cancel the message in hand and make a new instance."""
    STOP = 2
    """Finish the message in hand, then stop."""
    SHUTDOWN = 3
    """The same, with ``stop_grace`` seconds for the message in hand."""
    KILL = 4
    """Cancel the message in hand and stop."""


class State(enum.Enum):
    """Where an actor is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
