"""A chat: rooms that remember, and people on nodes of their own, each in another process. One of these is killed."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from trioakt import Actor, ActorRef, ActorSystem, Context, LinkLost, Remote, Request, Terminated, message
from trioakt.persistence import EventSourced, open_sqlite_journal


@message(name="chat.find-room")
class FindRoom(Request[ActorRef]):
    topic: str


@message(name="chat.enter")
class Enter(Request[list[str]]):
    """Come in; what has been said so far?"""

    name: str
    guest: ActorRef


@message(name="chat.say")
class Say(Request[None]):
    """Answered when it is kept, and on its way to all."""

    name: str
    text: str


@message(name="chat.heard")
class Heard:
    line: str


@message(name="chat.said")
class Said:
    """What a room remembers."""

    line: str


class Room(EventSourced[list[str]]):
    """Keeps what is said, and tells it to its guests, wherever they are."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"room/{topic}", [])
        self.guests: dict[ActorRef, str] = {}

    def apply(self, state: list[str], event: Said) -> list[str]:
        return [*state, event.line]

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Enter(name, guest):
                self.tell_all(f"* {name} comes in")
                self.guests[guest] = name
                ctx.watch(guest)
                ctx.reply(self.state)
            case Say(name, text):
                line = f"{name}: {text}"
                await self.persist(Said(line))
                self.tell_all(line)
                ctx.reply(None)
            case Terminated(ref, cause):
                self.tell_all(f"* {self.guests.pop(ref)} has gone ({cause.name})")
            case _:
                ctx.unhandled()

    def tell_all(self, line: str) -> None:
        for guest in self.guests:
            guest.tell(Heard(line))


class Lobby(Actor):
    """Knows the rooms, and opens them."""

    async def receive(self, ctx: Context, msg: FindRoom) -> None:
        ctx.reply(await ctx.get_or_spawn(Room, msg.topic, name=msg.topic))


@message(name="chat.visit")
class Visit(Request[None]):
    topic: str


@message(name="chat.talk")
class Talk(Request[None]):
    text: str


@message(name="chat.screen")
class Screen(Request[list[str]]):
    """What have you seen?"""


class Person(Actor):
    """Lives on a node of its own, and knows the lobby of another."""

    def __init__(self, name: str, lobby: ActorRef) -> None:
        self.name = name
        self.lobby = lobby
        self.room: ActorRef | None = None
        self.screen: list[str] = []

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Visit(topic):
                self.room = await ctx.ask(self.lobby, FindRoom(topic))
                self.screen += await ctx.ask(self.room, Enter(self.name, ctx.self))
                ctx.reply(None)
            case Talk(text) if self.room is not None:
                ctx.reply(await ctx.ask(self.room, Say(self.name, text)))
            case Heard(line):
                self.screen.append(line)
            case Screen():
                ctx.reply(self.screen)
            case _:
                ctx.unhandled()


async def first_evening(system: ActorSystem, lobby: ActorRef) -> None:
    async with (
        system.open_process_node("north", kinds=[Person]) as north,
        system.open_process_node("south", kinds=[Person]) as south,
    ):
        ada = await north.spawn(Person, "ada", lobby)
        eve = await south.spawn(Person, "eve", lobby)
        await ada.ask(Visit("tea"))
        await ada.ask(Talk("is anybody there?"))
        await eve.ask(Visit("tea"))
        await eve.ask(Talk("the kettle is on"))

        async with system.events.subscribe(LinkLost) as lost:
            os.kill(south.pid, signal.SIGKILL)
            await anext(lost)
        await ada.ask(Talk("eve?"))

        eve = await south.spawn(Person, "eve", lobby)  # on a new process
        await eve.ask(Visit("tea"))
        await eve.ask(Talk("the kettle was too much for my computer"))
        for name, person in ("ada", ada), ("eve", eve):
            print(f"what {name} has seen:", *await person.ask(Screen()), sep="\n  ")


async def second_evening(system: ActorSystem, lobby: ActorRef) -> None:
    async with system.open_process_node("north", kinds=[Person]) as north:
        joe = await north.spawn(Person, "joe", lobby)
        await joe.ask(Visit("tea"))
        print("what joe has seen:", *await joe.ask(Screen()), sep="\n  ")


async def main() -> None:
    with TemporaryDirectory() as folder:
        for evening in first_evening, second_evening:
            print(f"-- {evening.__name__.replace('_', ' ')} --")
            async with (
                open_sqlite_journal(Path(folder) / "chat.db") as journal,
                ActorSystem("chat", remote=Remote(cookie="tea"), extensions=[journal]) as system,
            ):
                await evening(system, await system.spawn(Lobby, name="lobby"))


if __name__ == "__main__":
    trio.run(main)
