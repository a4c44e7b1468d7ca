"""Actors form a tree: a parent ends after its children, and `system.tree()` draws what is alive."""

import trio

from trioakt import Actor, ActorSystem, Context, Request, message

Plan = dict[str, "Plan"]
"""What is inside a place, by name."""

AIRPORT: Plan = {
    "north": {"check-in": {}, "security": {"scanner": {}}},
    "south": {"arrivals": {}},
}


@message
class Open(Request[None]):
    """Open one more place inside; answered when it is open."""

    name: str


class Place(Actor):
    def __init__(self, inside: Plan) -> None:
        self.inside = inside

    async def pre_start(self, ctx: Context) -> None:
        for name, inside in self.inside.items():
            await ctx.spawn(Place, inside, name=name)

    async def receive(self, ctx: Context, msg: Open) -> None:
        inside: Plan = {}
        await ctx.spawn(Place, inside, name=msg.name)
        ctx.reply(None)


async def show_departures() -> None:
    await trio.sleep_forever()


async def main() -> None:
    async with ActorSystem("airport") as system:
        for name, inside in AIRPORT.items():
            await system.spawn(Place, inside, name=name)
        await system.spawn_task(show_departures, name="board")
        print(system.tree())

        arrivals = system.actor("south/arrivals")
        assert arrivals is not None
        await arrivals.ask(Open("customs"))
        north = system.actor("north")
        assert north is not None
        north.stop()
        await north.wait_stopped()
        print(f"\nCustoms opened, the north closed and all that was in it:\n\n{system.tree()}")

        scanner = system.actor("north/security/scanner")
        print("\nthe scanner:", scanner)
        print("all paths:", *(ref.path for ref in system.actors()))


if __name__ == "__main__":
    trio.run(main)
