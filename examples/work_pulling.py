"""Work pulling: houses to paint, and painters who take the next one when they are done. One leaves in the middle."""

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, message
from trioakt.delivery import spawn_work_producer, spawn_worker


@message(name="paint.house")
class House:
    number: int


class Painter(Actor):
    def __init__(self, name: str, hours: float) -> None:
        self.name = name
        self.hours = hours

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case House(number):
                print(f"{trio.current_time():4.1f} h  {self.name} begins house {number}")
                await trio.sleep(self.hours)
                print(f"{trio.current_time():4.1f} h  {self.name} has painted house {number}")
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("street") as system:
        foreman = await spawn_work_producer(system, "foreman")
        quick = await system.spawn(Painter, "Quick", 1.5)
        await spawn_worker(system, to=quick, source=foreman)
        await foreman.send(House(1))  # waits until a painter wants one

        await trio.sleep(0.5)
        slow = await system.spawn(Painter, "Slow", 4.0)
        await spawn_worker(system, to=slow, source=foreman)
        for number in range(2, 5):
            await foreman.send(House(number))

        slow.kill()  # in the middle of a house, which another one has to paint now
        print(f"{trio.current_time():4.1f} h  Slow leaves")
        await foreman.wait_confirmed()


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: hours cost nothing
