"""The demonstration on several nodes: readings of this machine, counted by a cluster of which one node is killed.

Read it in this order:

- ``telemetry``: what is measured, as lines of text;
- ``actors``: parsers, devices and the aggregator, which live on the nodes;
- ``node``: one node, in a process of its own;
- ``processes``: how the parent starts these processes, and that none outlives it;
- ``feed``: the readings, from the measurement until each is acknowledged;
- ``verdict``: the accounts of input, devices and aggregator, side by side;
- ``display``, ``watching``: the view, what it tells of, and the accident;
- ``program``: what holds it together, from start to end or Ctrl-C.
"""

from trioakt.demo.cluster.program import main

__all__ = ["main"]
