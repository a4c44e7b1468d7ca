"""What a worker process runs: it is sent functions with their arguments, and sends back what they return or raise.

It is run as a script, and imports nothing but the standard library, so that it is up in a few milliseconds. The other
end of its socket is in ``processes``.
"""

from __future__ import annotations

import io
import os
import pickle
import runpy
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from struct import Struct
from types import ModuleType
from typing import Any, BinaryIO

HEADER = Struct("!Q")
"""In front of every frame: how many bytes follow."""
MAIN = "__trioakt_main__"
"""The name of the program's main module in a worker: what it does as ``__main__``, it does not do again."""


class _Errand(pickle.Unpickler):
    """Reads a function with its arguments; what the main module defines has the worker load that module first."""

    def __init__(self, frame: bytes, main: tuple[str, str]) -> None:
        super().__init__(io.BytesIO(frame))
        self._main = main

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__" and MAIN not in sys.modules:
            load_main(*self._main)
        return super().find_class(module, name)


def load_main(name: str, path: str) -> None:
    """Run the program's main module under another name than ``__main__``, and let it stand for that."""
    if name:
        content = runpy.run_module(name, run_name=MAIN, alter_sys=True)
    elif path:
        content = runpy.run_path(path, run_name=MAIN)
    else:
        raise ImportError("a worker process cannot import what is defined at a prompt or in a notebook")
    main = ModuleType(MAIN)
    vars(main).update(content)
    sys.modules["__main__"] = sys.modules[MAIN] = main


def serve() -> None:
    """Run what comes in on the socket that is standard input, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.register_at_fork(after_in_child=partial(os.dup2, nothing, connection.fileno()))  # or the end would go unseen
    frames = SimpleQueue[bytes]()
    stream = connection.makefile("rb")
    threading.Thread(target=_receive, args=(stream, frames), daemon=True).start()
    sys.path[:], main = pickle.loads(frames.get())
    while True:
        answer = _run(frames.get(), main)
        connection.sendall(HEADER.pack(len(answer)) + answer)


def _receive(stream: BinaryIO, frames: SimpleQueue[bytes]) -> None:
    """Read in a thread, to notice in the middle of a function that nobody waits for it any more."""
    with suppress(OSError):
        while header := stream.read(HEADER.size):
            frames.put(stream.read(*HEADER.unpack(header)))
    os.killpg(0, signal.SIGKILL)  # with what the function may have started


def _run(frame: bytes, main: tuple[str, str]) -> bytes:
    """Return the result, or what is known of the exception; anything but an ``Exception`` ends the process."""
    try:
        fn, args = _Errand(frame, main).load()
        return dumps((True, fn(*args)), "its result cannot be pickled")
    except Exception as error:
        return pickle.dumps((False, describe(error)))


def dumps(what: object, complaint: str) -> bytes:
    """Pickle something.

    Raises:
        TypeError: It cannot be pickled; pickle itself has several exceptions for that, some of which say little.
    """
    try:
        return pickle.dumps(what)
    except Exception as error:
        raise TypeError(f"{complaint}: {error}") from error


def describe(error: Exception) -> tuple[bytes | None, str, str]:
    """Return the pickled exception, if it can be, its type with its text, and its traceback."""
    try:
        pickled = pickle.dumps(error)
    except Exception:
        pickled = None
    try:
        text, lines = "".join(traceback.format_exception_only(error)), "".join(traceback.format_exception(error))
    except Exception:  # its notes and causes are the user's
        text, lines = type(error).__qualname__, ""
    return pickled, text.strip(), lines


if __name__ == "__main__":
    serve()
