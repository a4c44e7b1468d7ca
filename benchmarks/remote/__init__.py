"""What it costs to reach another process: trioakt over nng beside the same messages over nng alone.

Each server is a process of its own, on other cores than the one that measures, where there are others.
"""
