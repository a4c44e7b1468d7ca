"""What can go wrong when something is to be delivered reliably."""

from __future__ import annotations

from trioakt.errors import DeliveryError


class MessageTooLargeError(DeliveryError):
    """The encoded message is larger than its consumer takes; it was not accepted."""


class SupersededError(DeliveryError):
    """Another producer has taken over this one's name at the consumer, and this one ends."""


class QueueError(DeliveryError):
    """The file of a durable queue is in use by another process, is none, or fails."""


class QueueFullError(QueueError):
    """A durable queue has no room; the message was not accepted."""
