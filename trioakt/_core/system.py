"""The actor system: one flat nursery for every actor, the guardian at the top of the tree, look-up and the end."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import count
from threading import get_ident
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, TypeVar, cast

import trio

from trioakt._core.actor import Actor
from trioakt._core.address import Address, check_name
from trioakt._core.cell import Cell
from trioakt._core.context import CoreContext
from trioakt._core.dead_letters import DeadLetterOffice
from trioakt._core.escapes import members, was_cancelled
from trioakt._core.events import DeadLetter, DeadLetterReason, Event, EventStream
from trioakt._core.instrument import Instrument
from trioakt._core.message import Carrier
from trioakt._core.observed import ObservedCell
from trioakt._core.overview import SystemStatistics, Tally, Tree, TreeNode
from trioakt._core.portal import Portal
from trioakt._core.settings import Settings
from trioakt._core.shutdown import shut_down, wait_for_the_last
from trioakt._core.spawning import Spawner
from trioakt._core.standing import kind_of

if TYPE_CHECKING:
    from trioakt._core.ref import ActorRef
    from trioakt._core.standing import Standing
    from trioakt.supervision import Strategy

T = TypeVar("T")


class Guardian(Actor):
    """The actor of the toolkit at the top of the tree: the parent of all that an application spawns at the top."""

    def __init__(self, supervision: Strategy) -> None:
        self.supervision = supervision


class CoreSystem(Spawner):
    """Owns a tree of actors; an async context manager that can be entered once, and leaves nothing behind."""

    context_class: ClassVar[type[CoreContext]] = CoreContext

    def __init__(self, name: str, settings: Settings) -> None:
        self.settings = settings
        self.instruments = tuple(each for each in settings.extensions if isinstance(each, Instrument))
        self.cell_class = ObservedCell if self.instruments else Cell
        self.name = check_name(name)
        self.node = ""
        self.events = EventStream()
        self.numbers = count(1)
        self.thread = 0
        self.nursery: trio.Nursery
        self.user: Cell
        self._body = trio.CancelScope()
        self._block: AbstractAsyncContextManager[None] | None = None
        self.tally = Tally()
        self._token: trio.lowlevel.TrioToken
        self._office = DeadLetterOffice()
        self._services: dict[object, object] = {}
        self._opened = 0.0
        self._closed: float | None = None

    # ------------------------------------------------------------------ the block

    async def __aenter__(self) -> Self:
        """Start the system."""
        if self._block is not None:
            raise RuntimeError(f"the system {self.name!r} can be entered once; make another one")
        self._block = self._run()
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Shut down in order after a normal end or ``shutdown()``; after an exception, stop everything at once."""
        assert self._block is not None
        return await self._block.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[None]:
        failed: BaseException | None = None
        try:
            async with trio.open_nursery() as self.nursery:
                try:
                    await self._open()
                    with self._body:
                        yield
                    await shut_down(self)
                except BaseException as error:
                    self.nursery.cancel_scope.cancel()
                    if was_cancelled(error):
                        raise
                    failed = error  # it leaves the block as it is, not inside the nursery's group
                finally:
                    await wait_for_the_last(self)
        except BaseException as others:
            if failed is None:
                raise
            together = [failed, *members(others)]
            raise BaseExceptionGroup(f"the body of {self.name} failed, and so did actors", together) from None
        finally:
            self._close()
        if failed is not None:
            raise failed

    async def _open(self) -> None:
        self.thread = get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._opened = trio.current_time()
        self.user = self.cell_class(self, None, "user", Guardian, (self.settings.supervision,), self.settings.actors)
        self.user.make()
        self.nursery.start_soon(self.user.run, name="user")
        for instrument in self.instruments:
            instrument.opened(self)
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        self._closed = trio.current_time()
        self._office.flush()
        self.events.close()
        for instrument in self.instruments:
            instrument.closed(self)

    def shutdown(self) -> None:
        """Ask for the end, from any task or thread: the body of the block is cancelled, then all is shut down."""
        if self.thread in (0, get_ident()):
            self._body.cancel()
        else:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._body.cancel)

    async def run_until_signal(self) -> None:
        """Wait for SIGINT or SIGTERM; only in the main thread, as Python hands signals to no other."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                return

    # -------------------------------------------------------------------- look-up

    @property
    def address(self) -> str:
        """The address of this node, ``trioakt://system[@host:port]``."""
        return str(Address(self.name, self.node))

    @property
    def portal(self) -> Portal:
        """How synchronous code in other threads reaches the actors.

        Raises:
            RuntimeError: The system has not been entered.
        """
        self._check_entered()
        return Portal(self._token)

    def actor(self, path_or_name: str) -> ActorRef | None:
        """Return the actor at a path (``/user/bank/ada``), or at a name or path below ``/user`` (``bank/ada``)."""
        self._check_entered()
        if not path_or_name.startswith("/"):
            path_or_name = f"{self.user.path}/{path_or_name}"
        top, *names = path_or_name.removeprefix("/").split("/")
        cell = self.user if top == self.user.name else None
        for name in names:
            cell = cell and cell.children.get(name)
        return cell.ref if cell else None

    def actors(self) -> tuple[ActorRef, ...]:
        """Return the actors alive now, each parent before its children."""
        return tuple(cell.ref for cell in self.cells() if cell is not self.user)

    def tree(self) -> Tree:
        """Return the live tree; print it for a drawing."""
        nodes: list[TreeNode] = []
        self._check_entered()
        waiting = [(self.user, 0, True)]
        while waiting:
            cell, level, last = waiting.pop()
            figures = cell.statistics()
            name = cell.path if level == 0 else cell.name
            nodes.append(TreeNode(cell.ref, name, kind_of(cell.factory), level, figures.state, figures.depth, last))
            children = list(cell.children.values())
            below = [(child, level + 1, child is children[-1]) for child in children]
            waiting.extend(reversed(below))
        return Tree(tuple(nodes))

    def statistics(self) -> SystemStatistics:
        """Return frozen figures about the system."""
        tally, letters = self.tally, self._office.counts
        alive: list[Cell] = list(self.cells())[1:]
        return SystemStatistics(
            actors=len(alive),
            spawned=tally.spawned,
            handled=tally.handled + sum(cell.handled - cell.stashings for cell in alive),
            failures=tally.failures + sum(cell.failures for cell in alive),
            restarts=tally.restarts,
            dead_letters=letters.total(),
            dead_letters_by_reason=MappingProxyType(dict(letters)),
            late_replies=tally.late_replies,
            uptime=self.now() - self._opened,
        )

    def service(self, kind: Callable[[Self], T]) -> T:
        """Return the one object of this class that this system has, made from the system when it is first asked for.

        This is where a pattern keeps what all actors of a system share.
        """
        service = self._services.get(kind)
        if service is None:
            service = self._services[kind] = kind(self)
        return cast("T", service)

    def extension(self, kind: type[T]) -> T:
        """Return the extension of this type that the system was given.

        Raises:
            ValueError: There is none.
        """
        found = next((each for each in self.settings.extensions if isinstance(each, kind)), None)
        if found is None:
            raise ValueError(f"{self.name} has no extension of type {kind.__qualname__}; give it as extensions=[...]")
        return found

    # -------------------------------------------------- what the kernel reports here

    def cells(self) -> Iterator[Cell]:
        """Go through the cells of the tree, each parent before its children."""
        self._check_entered()
        waiting = [self.user]
        while waiting:
            cell = waiting.pop()
            yield cell
            waiting.extend(reversed(cell.children.values()))

    def now(self) -> float:
        """Return Trio's time in seconds; after the end, that of the end."""
        return trio.current_time() if self._closed is None else self._closed

    def publish(self, kind: type[Event], ref: ActorRef, *details: object) -> None:
        """Publish an event, if anybody wants it."""
        if self.events.wants(kind):
            self.events.publish(kind(ref, self.now(), *details))

    def dead_letter(self, message: Any, sender: ActorRef | None, recipient: ActorRef, reason: DeadLetterReason) -> None:
        """Take a message that nobody handles."""
        while isinstance(message, Carrier):
            message = message.message
        self._office.take(message, sender, recipient, reason, self.now())
        self.publish(DeadLetter, recipient, message, sender, reason)

    def rested(self, cell: Standing) -> None:
        """Hear that an actor waits for messages, and tell those who may passivate it."""
        if cell.options.passivation is not None:
            cell.options.passivation.rested(cell)
        if self.settings.eviction is not None:
            self.settings.eviction.rested(cell)

    def fail(self, error: BaseException, cell: Standing) -> None:
        """End the system with a failure that was escalated past the root: it leaves the block in a group."""
        self.nursery.start_soon(_raise, error, name=f"failure of {cell.path}")

    def wrong_thread(self, path: str) -> RuntimeError:
        """Return the error for a call from outside the system's own thread."""
        return RuntimeError(
            f"{path} was called from another thread than that of its system {self.name!r}; use system.portal there"
        )

    def _check_entered(self) -> None:
        if self._block is None:
            raise RuntimeError(f"the system {self.name!r} has not been entered: use `async with`")

    def _parent(self) -> Cell:
        self._check_entered()
        return self.user


async def _raise(error: BaseException) -> NoReturn:
    raise error
