"""Device twins: each of some thousand thermometers has a grain, which is there only while the device talks to it.

A twin keeps what its device has reported, and what an operator wishes of the device until that reports again.
"""

import math

import trio
import trio.testing

from trioakt import ActorPassivated, ActorStarted, ActorSystem, Context, GrainRef, Idle, Request, message
from trioakt.grains.persistent import SnapshottedGrain
from trioakt.persistence import MemoryJournal

DEVICES = 2_000
HOUR = 3600.0


@message
class Report(Request[float]):
    """A reading; after how many seconds shall the device report again?"""

    celsius: float


@message
class Wish:
    """Let the device report every so many seconds from now on."""

    interval: float


@message
class Show(Request["Twin"]):
    """What is known of the device?"""


@message(name="device.twin")
class Twin:
    readings: int = 0
    hottest: float = -math.inf
    interval: float = HOUR


@message
class Hot:
    device: str
    celsius: float


class Device(SnapshottedGrain[Twin]):
    passivation = Idle(60.0)

    def __init__(self) -> None:
        super().__init__(Twin(), kind="device")

    async def receive(self, ctx: Context, msg: object) -> None:
        twin = self.state
        match msg:
            case Report(celsius):
                await self.save(Twin(twin.readings + 1, max(twin.hottest, celsius), twin.interval))
                if celsius > max(twin.hottest, 90.0):
                    ctx.system.topics.publish("hot", Hot(ctx.identity, celsius))
                ctx.reply(twin.interval)
            case Wish(interval):
                await self.save(Twin(twin.readings, twin.hottest, interval))
            case Show():
                ctx.reply(twin)
            case _:
                ctx.unhandled()


async def thermometer(system: ActorSystem, number: int, until: float) -> None:
    """The device itself, somewhere outside: it knows its number and how to report."""
    twin = system.grain(Device, f"thermometer-{number}")
    await trio.sleep(number * HOUR / DEVICES)
    while trio.current_time() < until:
        celsius = 20.0 + number % 50 + (50.0 if number == 1234 else 0.0)
        await trio.sleep(await twin.ask(Report(celsius)))


async def alert(system: ActorSystem, *, task_status: trio.TaskStatus[None]) -> None:
    async with system.topics.subscribe("hot") as hot:
        task_status.started()
        async for event in hot:
            if isinstance(event, Hot):
                print("hot:", event.device, event.celsius)


class Census:
    """Counts the twins that are there, by the events."""

    def __init__(self) -> None:
        self.active = self.most = self.activations = 0

    def __call__(self, event: ActorStarted | ActorPassivated) -> None:
        if not isinstance(event.ref, GrainRef):  # the toolkit has actors of its own
            return
        self.active += 1 if isinstance(event, ActorStarted) else -1
        self.activations += isinstance(event, ActorStarted)
        self.most = max(self.most, self.active)


async def main() -> None:
    async with ActorSystem("weather", extensions=[MemoryJournal()]) as system, trio.open_nursery() as alerts:
        await alerts.start(alert, system)
        keen = system.grain(Device, "thermometer-7")
        keen.tell(Wish(600.0))  # long before the device says its first word

        census = Census()
        with system.events.listen(census, ActorStarted, ActorPassivated):
            async with trio.open_nursery() as nursery:
                for number in range(DEVICES):
                    nursery.start_soon(thermometer, system, number, trio.current_time() + 3 * HOUR)
            await trio.sleep(61)
        print(DEVICES, "devices, at most", census.most, "twins at a time, now", census.active)
        print(await system.grain(Device, "thermometer-1234").ask(Show()))
        print("thermometer-7 has reported", (await keen.ask(Show())).readings, "times")
        alerts.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: three hours in seconds
