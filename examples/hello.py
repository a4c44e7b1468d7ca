"""An actor that greets, told once and asked once."""

import trio

from trioakt import Actor, ActorSystem, Context, Request, message


@message
class Greet:
    name: str


@message
class Greeted(Request[int]):
    """How many have been greeted so far?"""


class Greeter(Actor):
    def __init__(self) -> None:
        self.greeted = 0

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Greet(name):
                self.greeted += 1
                print(f"Hello, {name}!")
            case Greeted():
                ctx.reply(self.greeted)
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("hello") as system:
        greeter = await system.spawn(Greeter, name="greeter")
        greeter.tell(Greet("world"))
        print(await greeter.ask(Greeted()), "greeted")


if __name__ == "__main__":
    trio.run(main)
