"""What goes on beside the stream: the view is kept up to date, what happens is told, and one node is killed."""

from __future__ import annotations

from contextlib import suppress

import trio

from trioakt import ActorRef, ActorSystem, NodeLeft, TrioaktError
from trioakt.demo.cluster.actors import ALARMS, Alarm, TakeStock
from trioakt.demo.cluster.display import Board, Screen, devices_of, standing
from trioakt.demo.cluster.feed import PAUSE
from trioakt.demo.cluster.node import LEASE
from trioakt.demo.cluster.processes import NodeProcess


class Watch:
    """Watches a cluster and shows it.

    Args:
        system: A node of it.
        board: What is known, which is kept up to date here.
        screen: Where it is shown.
        aggregator: The singleton.
    """

    def __init__(self, system: ActorSystem, board: Board, screen: Screen, aggregator: ActorRef) -> None:
        self._system = system
        self._board = board
        self._screen = screen
        self._aggregator = aggregator
        self._begin = trio.current_time()

    async def run(self) -> None:
        """Watch until cancelled."""
        with self._system.events.listen(self._left, NodeLeft):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._draw)
                nursery.start_soon(self._follow_aggregator)
                nursery.start_soon(self._cause_accident)
                nursery.start_soon(self._follow_alarms)
                for node in self._board.nodes:
                    nursery.start_soon(self._watch, node)

    async def _draw(self) -> None:
        while True:
            self._screen.draw(standing(self._board))
            await trio.sleep(self._screen.interval)

    async def _follow_aggregator(self) -> None:
        while True:
            with suppress(TrioaktError):  # it is moving
                before = self._board.overview
                overview = self._board.overview = await self._aggregator.ask(TakeStock())
                if before is None or before.node != overview.node:
                    self._tell(f"the aggregator is on {overview.node}")
            await trio.sleep(PAUSE)

    async def _follow_alarms(self) -> None:
        """Hear the alarms of all nodes; those that come while nobody hears them are no promise."""
        async with self._system.topics.subscribe(ALARMS) as alarms:
            async for alarm in alarms:
                if isinstance(alarm, Alarm):
                    self._board.alarms += 1
                    self._board.alarm = alarm

    async def _watch(self, node: NodeProcess) -> None:
        await node.wait_ended()
        self._tell(f"{node.name} (pid {node.pid}) is dead")

    async def _cause_accident(self) -> None:
        """Kill the node of the aggregator, with its devices and parsers, in the middle of the stream."""
        feed = self._board.feed
        await feed.middle.wait()
        unlucky = (await feed.insist(self._aggregator, TakeStock())).node
        victim = next(node for node in self._board.nodes if node.name == unlucky)
        devices = devices_of(self._board)[victim.name]
        self._tell(f"killing {victim.name} (pid {victim.pid}), which has {devices} devices and the aggregator")
        self._tell(f"what it has is protected by its lease for {LEASE:.0f} s at most")
        victim.kill()

    def _left(self, event: NodeLeft) -> None:
        self._tell(f"the lease of {event.member.node} has ended, and the others take over")

    def _tell(self, text: str) -> None:
        self._screen.note(f"{trio.current_time() - self._begin:5.1f} s  {text}")
