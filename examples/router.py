"""A pool of workers behind one ref: round robin, a broadcast, more of them, one that dies, and a pool with keys."""

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Broadcast, ConsistentHash, Context, Request, RoundRobin, message


@message
class Shrink(Request[str]):
    picture: str


@message
class UseQuality:
    percent: int


class Worker(Actor):
    def __init__(self) -> None:
        self.quality = 80

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Shrink(picture):
                await trio.sleep(1.0)
                ctx.reply(f"{picture} at {self.quality} % by {ctx.self.name}")
            case UseQuality(percent):
                self.quality = percent
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("studio") as system:
        workers = await system.spawn_router(Worker, size=2, strategy=RoundRobin(), name="workers")
        for picture in ("cat", "dog", "cow"):
            print(await workers.ask(Shrink(picture)))

        workers.tell(Broadcast(UseQuality(40)))
        print(await workers.ask(Broadcast(Shrink("owl"))))

        await workers.resize(3)
        victim = system.actor("workers/routee-1")
        assert victim is not None
        victim.kill()
        await victim.wait_stopped()
        await trio.testing.wait_all_tasks_blocked()
        print(system.tree())

        keyed = await system.spawn_router(
            Worker, size=4, strategy=ConsistentHash(lambda msg: msg.picture), name="keyed"
        )
        first, again = await keyed.ask(Shrink("fox")), await keyed.ask(Shrink("fox"))
        print("the same worker for the same picture:", first == again)


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
