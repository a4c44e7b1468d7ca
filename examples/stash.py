"""A client that lays statements aside while it has no connection, and sends them in their order once it has one."""

import trio
import trio.testing

from trioakt import Actor, ActorSystem, Context, message


@message
class Statement:
    text: str


@message
class Connected:
    server: str


@message
class ConnectionLost:
    pass


class Client(Actor):
    def __init__(self) -> None:
        self.server = ""

    def pre_start(self, ctx: Context) -> None:
        ctx.nursery.start_soon(self.connect, ctx, "db-1")

    async def connect(self, ctx: Context, server: str) -> None:
        """Run as a task beside the handlers, and come back with a message."""
        await trio.sleep(0.5)
        ctx.self.tell(Connected(server))

    def receive(self, ctx: Context, msg: object) -> None:
        """Wait for a connection."""
        match msg:
            case Statement(text):
                print(f"no connection: {text!r} is stashed")
                ctx.stash()
            case Connected(server):
                print(f"connected to {server}")
                self.server = server
                ctx.become(self.connected)
                ctx.unstash_all()  # to the front of the mailbox: nothing that came later overtakes them
            case _:
                ctx.unhandled()

    def connected(self, ctx: Context, msg: object) -> None:
        match msg:
            case Statement(text):
                print(f"{self.server} <- {text!r}")
            case ConnectionLost():
                print("connection lost")
                ctx.become(self.receive)
                ctx.nursery.start_soon(self.connect, ctx, "db-2")
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("shop") as system:
        client = await system.spawn(Client, name="client")
        client.tell(Statement("insert 1"))
        client.tell(Statement("insert 2"))
        await trio.sleep(1.0)
        client.tell(Statement("insert 3"))
        client.tell(ConnectionLost())
        client.tell(Statement("insert 4"))
        client.tell(Statement("insert 5"))
        await trio.sleep(1.0)


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
