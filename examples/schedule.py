"""Messages later: an oven that reminds itself, and a minder who asks for the temperature again and again."""

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, message


@message
class Bake:
    what: str
    seconds: float


@message
class Done:
    what: str


@message
class Check:
    pass


def now() -> str:
    return f"{trio.current_time():4.1f} s"


class Oven(Actor):
    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Bake(what, seconds):
                ctx.schedule_once(seconds, Done(what))  # the oven stays free for other messages
            case Done(what):
                print(f"{now()}  {what} is done")
            case Check():
                print(f"{now()}  checking")
                await trio.sleep(2.5)  # longer than the interval
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("kitchen") as system:
        oven = await system.spawn(Oven, name="oven")
        oven.tell(Bake("bread", 6.5))
        oven.tell(Bake("cake", 3.75))
        check = system.scheduler.every(2.0, oven, Check(), name="check")

        await trio.sleep(5.5)
        check.pause()
        await trio.sleep(10)
        check.resume()
        await trio.sleep(1)
        print("still to come:", [schedule.name for schedule in system.scheduler.list()])
        check.cancel()


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
