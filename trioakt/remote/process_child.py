"""What a process node runs: a system of its own, as its parent has set it up, until the parent lets go of it.

The other end is in ``process_nodes``. They talk on the socket that is standard input; what is secret goes nowhere else.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trioakt.lowlevel import Failure
from trioakt.patterns.worker import HEADER, MAIN, load_main
from trioakt.remote.settings import Remote, Tls

if TYPE_CHECKING:
    from trioakt.lowlevel import CoreSystem

Place = tuple[str, str]
"""Module and qualified name of a class."""


@attrs.frozen
class Setup:
    """What a child is told.

    Attributes:
        system: The class of its system.
        name: The system's name.
        remote: The arguments of its ``Remote``, but for the kinds.
        kinds: The classes that may be spawned there.
        main: Name and path of the program's main module.
        grace: Seconds that its end may take.
    """

    system: Place
    name: str
    remote: dict[str, Any] = attrs.field(repr=False)
    kinds: list[Place]
    main: Place
    grace: float

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return json.dumps(attrs.asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Setup:
        """Read them."""
        return cls(**json.loads(data))


@attrs.frozen
class Report:
    """What a child answers: where it can be reached, or why it cannot (type name, text and traceback)."""

    node: str
    failure: tuple[str, str, str] | None = None

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return json.dumps(attrs.asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Report:
        """Read them."""
        return cls(**json.loads(data))


class Lifeline:
    """The connection to the parent; when that lets go, or is gone, this process ends, whatever it is doing.

    Attributes:
        system: What is shut down first, once it is there.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.system: CoreSystem | None = None
        self._connection = connection
        self._grace = 0.0

    def read_setup(self) -> Setup:
        """Wait for the setup, and watch the parent from then on."""
        stream = self._connection.makefile("rb")
        setup = Setup.from_bytes(stream.read(*HEADER.unpack(stream.read(HEADER.size))))
        self._grace = setup.grace
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()
        return setup

    def report(self, report: Report) -> None:
        """Tell the parent."""
        data = report.to_bytes()
        self._connection.sendall(HEADER.pack(len(data)) + data)

    def _watch(self) -> None:
        with suppress(OSError):
            self._connection.recv(1)
        if self.system is not None:
            self.system.shutdown()
            time.sleep(self._grace)
        os.killpg(0, signal.SIGKILL)  # with whatever it may have started


def serve() -> None:
    """Be a process node."""
    lifeline = Lifeline(socket.socket(fileno=os.dup(0)))
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        setup = lifeline.read_setup()
        system = _system(setup)
    except Exception as error:
        _report_failure(lifeline, error)
        sys.exit(1)
    trio.run(_live, system, lifeline)


async def _live(system: Any, lifeline: Lifeline) -> None:
    ready = False
    try:
        async with system:
            lifeline.system = system
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                lifeline.report(Report(system.node))
                ready = True
                async for _ in signals:
                    break
    except Exception as error:
        if ready:
            raise
        _report_failure(lifeline, error)
        sys.exit(1)


def _report_failure(lifeline: Lifeline, error: Exception) -> None:
    failure = Failure.of(error)
    with suppress(OSError):  # the parent may be gone
        lifeline.report(Report("", (failure.type_name, failure.text, failure.traceback_text)))


def _system(setup: Setup) -> Any:
    """Make the system, which has not been entered."""
    told = dict(setup.remote)
    cookie, tls = told.pop("cookie"), told.pop("tls")
    remote = Remote(
        kinds=[_load(place, setup.main) for place in setup.kinds],
        cookie=None if cookie is None else bytes.fromhex(cookie),
        tls=None if tls is None else Tls(*tls),
        **told,
    )
    return _load(setup.system, setup.main)(setup.name, remote=remote)


def _load(place: Place, main: Place) -> Any:
    """Import a class; that of the main module has this process load that first, under another name."""
    module, name = place
    if module == "__main__":
        if MAIN not in sys.modules:
            load_main(*main)
        module = MAIN
    return reduce(getattr, name.split("."), import_module(module))
