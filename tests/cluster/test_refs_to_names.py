"""Refs to names: they mean whoever owns the name, and what is sent meanwhile waits in order."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.cluster.nodes import TTL, Add, Counter, Town, Who, open_town
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    AskCycleError,
    Context,
    DeadLetter,
    MailboxFullError,
    Placement,
    Request,
    message,
)
from trioakt.remote.named import ROOM


@message
class Note:
    """Something to be written down."""

    number: int


@message
class Notes(Request[list[int]]):
    """Answered by what was written down."""


@message
class Ask(Request[int]):
    """Let the actor ask another one to add."""

    ref: ActorRef


@message
class Meet(Request[None]):
    """Remember another actor."""

    ref: ActorRef


@message
class Met(Request[ActorRef]):
    """Answered by the actor that was met."""


class Clerk(Actor):
    """Writes down what it is told, and asks whom it is asked to ask."""

    def __init__(self) -> None:
        self.notes: list[int] = []

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Note(number):
                self.notes.append(number)
            case Notes():
                ctx.reply(self.notes)
            case Meet(ref):
                self.met = ref
                ctx.reply(None)
            case Met():
                ctx.reply(self.met)
            case Ask(ref):
                ctx.reply(await ref.ask(Ask(ref)))
            case _:
                ctx.unhandled()


async def _moving(town: Town) -> tuple[ActorSystem, ActorSystem]:
    """Start two nodes, and let an actor of the first have the name."""
    here, there = await town.start("a", kinds=[Clerk, Counter]), await town.start("b", kinds=[Clerk, Counter])
    await here.spawn(Clerk, name="clerk", cluster=True)
    await there.cluster.wait_members(2)
    return here, there


async def test_what_is_told_while_nobody_owns_the_name_arrives_in_order(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await _moving(town)
        clerk = await there.locate("clerk")
        assert clerk is not None
        await town.crash(here)
        town.store.expire("a")
        await trio.sleep(0.3)
        town.store.freeze()

        for number in range(100):
            clerk.tell(Note(number))
        town.store.thaw()

        assert await clerk.ask(Notes()) == list(range(100))


async def test_a_ref_to_a_name_travels(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        _, there = await _moving(town)
        clerk = await there.locate("clerk")
        assert clerk is not None

        await clerk.ask(Meet(clerk))

        assert clerk.recipient is there.cluster.directory.ref_to("clerk").recipient
        assert await clerk.ask(Met()) == clerk


async def test_who_watches_a_name_hears_of_its_end_and_not_of_a_move(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await _moving(town)
        clerk = await there.locate("clerk")
        assert clerk is not None
        heard = trio.Event()

        async def watch() -> None:
            await clerk.wait_stopped()
            heard.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await town.leave(here)
            await trio.sleep(TTL)
            assert not heard.is_set()
            clerk.stop()
            with trio.fail_after(1):
                await heard.wait()
        assert not clerk.is_alive


async def test_an_ended_name_refuses_and_makes_dead_letters(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        _, there = await _moving(town)
        clerk = await there.locate("clerk")
        assert clerk is not None
        clerk.stop()
        await clerk.wait_stopped()

        async with there.events.subscribe(DeadLetter) as letters:
            clerk.tell(Note(1))
            letter = await anext(letters)
        with pytest.raises(ActorStoppedError, match="clerk"):
            await clerk.ask(Notes())
        with pytest.raises(ActorStoppedError, match="clerk"):
            await clerk.send(Note(2))

        assert isinstance(letter, DeadLetter)
        assert letter.message == Note(1)


async def test_the_name_of_an_ended_actor_can_be_given_again_and_its_refs_are_good_again(
    autojump_clock: MockClock,
) -> None:
    async with open_town() as town:
        here, there = await _moving(town)
        clerk = await there.locate("clerk")
        assert clerk is not None
        clerk.stop()
        await clerk.wait_stopped()
        await trio.sleep(0.1)

        await here.spawn(Clerk, name="clerk", cluster=True)

        assert await clerk.ask(Notes()) == []


async def test_what_waits_for_an_owner_is_bounded(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await _moving(town)
        clerk = await there.locate("clerk")
        assert clerk is not None
        town.store.partition("b")  # it cannot claim
        town.store.expire("a")
        await town.crash(here)
        there.cluster.view.owners.clear()

        for number in range(ROOM):
            clerk.tell(Note(number))
        with pytest.raises(MailboxFullError, match="clerk"):
            clerk.tell(Note(ROOM))


async def test_to_reinstate_a_name_that_nobody_owns_does_not_end_it(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await _moving(town)
        clerk = await there.locate("clerk")
        assert clerk is not None
        await town.crash(here)
        town.store.freeze()
        there.cluster.view.owners.clear()

        clerk.reinstate()
        town.store.thaw()
        await trio.sleep(2 * TTL)

        assert await clerk.ask(Notes()) == []


async def test_actors_that_ask_each_other_by_name_are_told_of_the_circle(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, _ = await _moving(town)
        clerk = await here.locate("clerk")
        assert clerk is not None

        with trio.fail_after(5):
            with pytest.raises(ActorFailedError) as failed:
                await clerk.ask(Ask(clerk))

        assert isinstance(failed.value.__cause__, AskCycleError)


async def test_an_actor_that_is_bound_to_its_node_goes_with_it(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await here.spawn(Counter, 0, name="ada", cluster=True, relocate=False)
        found = await there.locate("ada")
        assert found is not None
        assert await found.ask(Who()) == here.address

        await town.crash(here)
        await trio.sleep(TTL + 2)

        assert await there.locate("ada") is None
        assert there.actor("ada") is None


async def test_an_actor_that_is_bound_to_its_node_is_not_bound_to_who_spawned_it(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a", roles={"x"}), await town.start("b")
        await there.cluster.wait_members(2)
        ref = await there.spawn_on(Placement.random(role="x"), Counter, 5, name="ada", relocate=False)
        assert await ref.ask(Who()) == here.address

        await town.leave(there)
        await trio.sleep(TTL + 2)

        found = await here.locate("ada")
        assert found is not None
        assert await found.ask(Add(1)) == 6


async def test_an_actor_that_is_bound_to_its_node_ends_when_that_leaves(autojump_clock: MockClock) -> None:
    async with open_town() as town:
        here, there = await town.start("a"), await town.start("b")
        await here.spawn(Counter, 0, name="ada", cluster=True, relocate=False)

        await town.leave(here)
        await trio.sleep(1)

        assert await there.locate("ada") is None
