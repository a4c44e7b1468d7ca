"""A strategy answers failures: an actor goes on, is made again after a pause, or is stopped, as the exception says."""

import trio
import trio.testing

from trioakt import (
    Actor,
    ActorFailed,
    ActorRestarted,
    ActorStopped,
    ActorSystem,
    Backoff,
    Context,
    Directive,
    OneForOne,
)


class LinkLostError(Exception):
    pass


class BatteryEmptyError(Exception):
    pass


class Station(Actor):
    """Keeps the temperatures it has read; every life of it begins without any."""

    def __init__(self) -> None:
        self.degrees: list[float] = []

    def receive(self, ctx: Context, msg: str) -> None:
        match msg:
            case "hangup":
                raise LinkLostError("no carrier")
            case "battery":
                raise BatteryEmptyError("0.9 V")
            case _:
                self.degrees.append(float(msg))  # a ValueError where it is not a number
                print("temperatures:", self.degrees)


class Network(Actor):
    supervision = OneForOne(
        {
            ValueError: Directive.RESUME,  # one bad line: the state is fine
            LinkLostError: Directive.RESTART,  # a new instance, and a new connection with it
            BatteryEmptyError: Directive.STOP,
        },
        backoff=Backoff(initial=0.5, factor=2.0, jitter=0.0),
    )

    async def pre_start(self, ctx: Context) -> None:
        await ctx.spawn(Station, name="station")


def tell_about(event: ActorFailed | ActorRestarted | ActorStopped) -> None:
    match event:
        case ActorFailed(failure=failure):
            print(f"{event.ref.name} failed: {failure.text}")
        case ActorRestarted(restarts=restarts):
            print(f"{event.ref.name} restarted ({restarts}), {event.at:.1f} s after the start")
        case ActorStopped(cause=cause):
            print(f"{event.ref.name} ended: {cause.name}")


async def main() -> None:
    async with ActorSystem("weather") as system:
        with system.events.listen(tell_about, ActorFailed, ActorRestarted, ActorStopped):
            await system.spawn(Network, name="network")
            station = system.actor("network/station")
            assert station is not None
            for line in ["21.5", "2l.7", "21.9", "hangup", "22.0", "hangup", "22.2", "battery"]:
                station.tell(line)
            await station.wait_stopped()


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
