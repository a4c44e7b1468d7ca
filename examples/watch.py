"""Who watches an actor hears of its end: why it ended, and after everything it had said."""

import trio

from trioakt import Actor, ActorRef, ActorSystem, Context, Directive, OneForOne, Request, Terminated, message


@message
class Say:
    text: str


@message
class Join(Request[ActorRef[Say]]):
    player: str


@message
class Players(Request[int]):
    """How many are there?"""


class Player(Actor):
    def receive(self, ctx: Context, msg: Say) -> None:
        if msg.text == "crash":
            raise RuntimeError("out of memory")
        assert ctx.parent is not None
        ctx.parent.tell(msg, sender=ctx.self)
        if msg.text == "bye":
            ctx.stop()


class Lobby(Actor):
    supervision = OneForOne(default=Directive.STOP)  # a player that crashes is out

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Join(name):
                player = await ctx.spawn(Player, name=name)
                ctx.watch(player)
                ctx.reply(player)
            case Say(text):
                assert ctx.sender is not None
                print(f"{ctx.sender.name}: {text}")
            case Players():
                ctx.reply(len(ctx.children))
            case Terminated(player, cause):
                why = f" ({cause.failure.text})" if cause.failure else ""
                print(f"{player.name} is gone: {cause.name}{why}")
            case _:
                ctx.unhandled()


async def main() -> None:
    async with ActorSystem("game") as system:
        lobby = await system.spawn(Lobby, name="lobby")
        ann = await lobby.ask(Join("ann"))
        bob = await lobby.ask(Join("bob"))
        cy = await lobby.ask(Join("cy"))

        ann.tell(Say("good game"))
        ann.tell(Say("bye"))
        await ann.wait_stopped()
        bob.tell(Say("crash"))
        await bob.wait_stopped()
        cy.kill()
        await cy.wait_stopped()
        cy.tell(Say("wait!"))  # nobody is there to handle it
        print("players:", await lobby.ask(Players()))
        print("dead letters:", system.statistics().dead_letters)


if __name__ == "__main__":
    trio.run(main)
