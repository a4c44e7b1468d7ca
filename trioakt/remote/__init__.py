"""Actors on several nodes: sessions between nodes, and the transports that carry their frames."""
