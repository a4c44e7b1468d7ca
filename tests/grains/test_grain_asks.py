"""Grains that ask each other, interleave, and are called from elsewhere."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import trio
import trio.to_thread
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.actors import Do, Get, Note
from tests.core.crew import Question, ask_soon
from tests.grains.kinds import Plain, Scribe, open_grains, open_scribe
from trioakt import (
    ActorFailedError,
    ActorRef,
    AskCycleError,
    Bounded,
    Context,
    Grain,
    MailboxFullError,
    Reentrancy,
    RoundRobin,
    UnhandledMessageError,
    message,
)


@message
class Route(Question):
    """Ask the first of these, and let it ask the others in turn."""

    names: tuple[str, ...] = ()


class Asking(Grain):
    """Asks on."""

    async def receive(self, ctx: Context, msg: Route) -> None:
        if not msg.names:
            ctx.reply("the end")
            return
        first, *rest = msg.names
        ctx.reply(await self.ask(ctx, ctx.system.grain(type(self), first), Route(names=tuple(rest))))

    async def ask(self, ctx: Context, ref: ActorRef, msg: Route) -> Any:
        return await ref.ask(msg)


class Interleaving(Asking):
    """Handles other messages while it waits for an answer."""

    options: ClassVar[Any] = {"reentrancy": Reentrancy(max_in_flight=4)}

    async def ask(self, ctx: Context, ref: ActorRef, msg: Route) -> Any:
        return await ctx.ask(ref, msg)


def cause_of(error: BaseException | None) -> BaseException | None:
    """Follow the failures down to the first one."""
    while isinstance(error, ActorFailedError):
        error = error.__cause__
    return error


async def test_grains_ask_each_other() -> None:
    async with open_grains() as (system, _):
        assert await system.grain(Asking, "a").ask(Route(names=("b", "c", "d"))) == "the end"


@pytest.mark.parametrize("names", [("a",), ("b", "a"), ("b", "c", "a"), ("odd/one here", "a")])
async def test_grains_that_would_wait_for_each_other_are_named_by_their_identities(names: tuple[str, ...]) -> None:
    async with open_grains() as (system, _):
        with pytest.raises(ActorFailedError) as caught:
            await system.grain(Asking, "a").ask(Route(names=names))
        error = cause_of(caught.value)
        assert isinstance(error, AskCycleError)
        assert set(error.cycle) == {system.grain(Asking, name).path for name in names}


async def test_a_circle_of_a_grain_and_an_actor_is_refused() -> None:
    async with open_scribe() as (system, _, ref):

        async def ask_back(ctx: Context, msg: object) -> None:
            await ref.ask(Get())

        actor = await system.spawn_func(ask_back)
        with pytest.raises(ActorFailedError) as caught:
            await ref.ask(Do(lambda ctx: actor.ask("to the grain")))
        assert isinstance(cause_of(caught.value), AskCycleError)


async def test_a_grain_that_asks_itself_while_it_starts_is_refused() -> None:
    class Narcissus(Grain):
        async def pre_start(self, ctx: Context) -> None:
            await ctx.self.ask("me")

    async with open_grains() as (system, _):
        with pytest.raises(ActorFailedError) as caught, trio.fail_after(1):
            await system.grain(Narcissus, "a").ask("you")
        assert isinstance(cause_of(caught.value), AskCycleError)


async def test_grains_that_ask_each_other_while_both_start_are_refused(autojump_clock: MockClock) -> None:
    class Entangled(Grain):
        async def pre_start(self, ctx: Context) -> None:
            other = {"a": "b", "b": "a"}[ctx.identity]
            await ctx.system.grain(Entangled, other).ask("ready?")

    async with open_grains() as (system, _):
        with pytest.raises(ActorFailedError) as caught:
            await system.grain(Entangled, "a").ask("you")
        assert isinstance(cause_of(caught.value), AskCycleError)
        assert trio.current_time() < 1


async def test_interleaving_grains_may_ask_in_a_circle(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, _):
        assert await system.grain(Interleaving, "a").ask(Route(names=("b", "a", "b", "a"))) == "the end"


async def test_an_interleaving_grain_is_not_passivated_while_it_waits_for_an_answer(autojump_clock: MockClock) -> None:
    class Patient(Scribe):
        options: ClassVar[Any] = {"reentrancy": Reentrancy()}

    async with open_grains() as (system, diary), trio.open_nursery() as nursery:

        async def slow(ctx: Context, msg: object) -> None:
            await trio.sleep(100)
            ctx.reply("at last")

        actor = await system.spawn_func(slow)
        asking = ask_soon(nursery, system.grain(Patient, "ada"), Do(lambda ctx: ctx.ask(actor, Question("well?"))))
        await trio.sleep(101)
        assert asking.outcome == "at last"
        assert diary == ["ada starts"]


async def test_an_activation_that_ends_leaves_no_trace_of_its_asks(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, _):
        for _ in range(3):
            with pytest.raises(ActorFailedError):
                await system.grain(Asking, "a").ask(Route(names=("b", "a")))
            assert await system.grain(Asking, "b").ask(Route(names=("a",))) == "the end"
            await trio.sleep(200)


class Tight(Scribe):
    """Has room for two messages, and takes its time to end."""

    options: ClassVar[Any] = {"mailbox": Bounded(2)}

    async def post_stop(self, ctx: Context) -> None:
        await trio.sleep(3)


async def test_a_question_that_waited_for_an_activation_with_no_room_left_is_refused(autojump_clock: MockClock) -> None:
    async with open_grains() as (system, _), trio.open_nursery() as nursery:
        ref = system.grain(Tight, "ada")
        await ref.ask(Get())
        ref.stop()
        await trio.sleep(1)
        askings = [ask_soon(nursery, ref, Get()) for _ in range(5)]
        await trio.sleep(10)
        assert sum(asking.outcome == 0 for asking in askings) == 2
        assert sum(isinstance(asking.outcome, MailboxFullError) for asking in askings) == 3
        nursery.cancel_scope.cancel()


async def test_what_a_grain_does_not_handle_is_said_to_the_asker() -> None:
    class Silent(Grain):
        def receive(self, ctx: Context, msg: object) -> None:
            ctx.unhandled()

    async with open_grains() as (system, _):
        with pytest.raises(UnhandledMessageError):
            await system.grain(Silent, "a").ask("?")


async def test_a_request_may_be_forwarded_to_a_grain() -> None:
    async with open_grains() as (system, _):
        ada = system.grain(Plain, "ada")
        door = await system.spawn_func(lambda ctx, msg: ctx.forward(ada))
        assert await door.ask("hi") == ("ada", "hi")


async def test_a_grain_may_be_the_routee_of_nobody_but_spawns_routers_of_its_own() -> None:
    async with open_scribe() as (_, _, ref):
        pool = await ref.ask(Do(lambda ctx: ctx.spawn_router(Scribe.mro()[1], size=3, strategy=RoundRobin())))
        assert await pool.ask(Get()) == 0


async def test_a_grain_is_known_as_the_sender_by_its_ref() -> None:
    senders: list[ActorRef | None] = []
    async with open_scribe() as (system, _, ref):
        other = await system.spawn_func(lambda ctx, msg: senders.append(ctx.sender))
        await ref.ask(Do(lambda ctx: other.tell("hello", sender=ctx.self)))
        await settle()
        assert senders == [ref]


# ------------------------------------------------------------------------------------------------ other threads


@pytest.mark.parametrize("active", [False, True])
async def test_a_call_from_another_thread_is_refused(active: bool) -> None:
    async with open_scribe() as (system, diary, ref):
        if active:
            await ref.ask(Get())
        for call in (lambda: ref.tell(Note()), ref.stop, ref.kill, lambda: system.grain(Plain, "new").tell(1)):
            with pytest.raises(RuntimeError, match="thread"):
                await trio.to_thread.run_sync(call)
        await settle()
        assert diary == ["ada starts"] * active
        assert await ref.ask(Get()) == 0


async def test_a_call_from_another_thread_while_the_grain_ends_is_refused(autojump_clock: MockClock) -> None:
    class Slow(Scribe):
        async def post_stop(self, ctx: Context) -> None:
            with pytest.raises(RuntimeError, match="thread"):
                await trio.to_thread.run_sync(ctx.self.tell, "too")
            await super().post_stop(ctx)

    async with open_grains() as (system, diary):
        ref = system.grain(Slow, "ada")
        await ref.ask(Get())
        ref.stop()
        await ref.wait_stopped()
        assert diary == ["ada starts", "ada ends"]


async def test_threads_reach_grains_through_the_portal() -> None:
    async with open_scribe() as (system, diary, ref):

        def call() -> int:
            system.portal.tell(ref, "from a thread")
            return system.portal.ask(ref, Get(), timeout=5)

        assert await trio.to_thread.run_sync(call) == 0
        assert diary == ["ada starts", "ada from a thread"]
