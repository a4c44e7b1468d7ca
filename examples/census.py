"""A census of the interpreter's own standard library, or of a directory given to it; the actors are in trioakt/demo."""

import sys
from pathlib import Path

from trioakt.demo import main

if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
