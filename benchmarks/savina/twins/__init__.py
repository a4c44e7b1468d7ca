"""The same programs for Pykka's threading actors, as its users write them.

Pykka has no senders, so where an answer comes as a message the refs travel in the messages. A handler's result is the
answer to an ask; where the answer comes later, a future travels in the message. Messages are of the same kind, frozen
attrs classes, and what knows no actors is shared.
"""
