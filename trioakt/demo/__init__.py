"""The demonstration: a census of Python source files, by default of the interpreter's own standard library.

Read it in this order:

- ``counting``: what is counted in one source text, as pure functions;
- ``worker``: the process that does it, as a resource;
- ``actors``: packages, parsers, their pool and the tally, and how failures are answered;
- ``display``: the line of progress and the table, as text;
- ``program``: the system that holds it together, from start to end or Ctrl-C.
"""

from trioakt.demo.program import main

__all__ = ["main"]
