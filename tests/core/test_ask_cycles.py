"""Strict actors that would wait for each other: the ask that would close the circle is refused at once."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock
from trio.testing import wait_all_tasks_blocked as settle

from tests.core.crew import Question, ask_soon
from trioakt import (
    Actor,
    ActorFailedError,
    ActorRef,
    ActorSystem,
    AskCycleError,
    Context,
    Reentrancy,
    StartError,
    ask_all,
    message,
)


@message
class AskOn(Question):
    """Ask the first of these, and let it ask the others in turn."""

    route: tuple[ActorRef, ...] = ()


async def ask_on(ctx: Context, msg: AskOn | Question) -> None:
    """Answer with what the next one on the route says."""
    match msg:
        case AskOn(route=(following, *rest)):
            ctx.reply(await following.ask(AskOn(msg.text, route=tuple(rest))))
        case _:
            ctx.reply(msg.text)


def cycle_in(error: BaseException | None) -> tuple[str, ...]:
    """Follow the causes down to the cycle: each actor on the way has failed by the next one's failure."""
    while isinstance(error, ActorFailedError):
        error = error.__cause__
    assert isinstance(error, AskCycleError), repr(error)
    return error.cycle


async def crew_of(system: ActorSystem, names: str) -> list[ActorRef]:
    return [await system.spawn_func(ask_on, name=name) for name in names]


@pytest.mark.parametrize("names", ["a", "ab", "abc", "abcdefgh"])
async def test_a_cycle_is_refused_and_named(names: str) -> None:
    async with ActorSystem("test") as system:
        refs = await crew_of(system, names)
        with pytest.raises(ActorFailedError) as caught:
            await refs[0].ask(AskOn(route=(*refs[1:], refs[0])))
        cycle = cycle_in(caught.value)
        assert cycle[0] == cycle[-1]
        assert set(cycle) == {ref.path for ref in refs}
        assert len(cycle) == len(refs) + 1


async def test_the_error_says_the_way_round() -> None:
    async with ActorSystem("test") as system:
        a, b, c = await crew_of(system, "abc")
        with pytest.raises(ActorFailedError) as caught:
            await a.ask(AskOn(route=(b, c, a)))
        cycle = cycle_in(caught.value)
        assert " -> ".join(cycle * 2).count("/user/a -> /user/b -> /user/c") >= 1


async def test_a_cycle_that_begins_further_on_names_only_its_own_actors() -> None:
    async with ActorSystem("test") as system:
        a, b, c = await crew_of(system, "abc")
        with pytest.raises(ActorFailedError) as caught:
            await a.ask(AskOn(route=(b, c, b)))
        assert set(cycle_in(caught.value)) == {b.path, c.path}


async def test_an_actor_that_is_asked_twice_in_a_row_is_no_cycle() -> None:
    async def ask_twice(ctx: Context, msg: Question, of: ActorRef) -> None:
        ctx.reply([await of.ask(msg), await of.ask(msg)])

    async with ActorSystem("test") as system:
        (b,) = await crew_of(system, "b")
        a = await system.spawn_func(ask_twice, b)
        assert await a.ask(Question("x")) == ["x", "x"]


async def test_two_ways_to_the_same_actor_are_no_cycle() -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        a, b, c = await crew_of(system, "abc")
        askings = [ask_soon(nursery, ref, AskOn("x", route=(c,))) for ref in (a, b)]
        await settle()
        assert [asking.outcome for asking in askings] == ["x", "x"]


async def test_the_cycle_is_an_error_in_the_handler_that_can_be_handled_there() -> None:
    async def careful(ctx: Context, msg: Question) -> None:
        try:
            await ctx.self.ask(Question())
        except AskCycleError as error:
            ctx.reply(error.cycle)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(careful, name="me")
        assert await ref.ask(Question()) == ("/user/me", "/user/me")
        assert system.statistics().failures == 0


async def test_a_message_told_in_place_of_an_ask_closes_no_cycle() -> None:
    async def tell_on(ctx: Context, msg: AskOn) -> None:
        following, *rest = msg.route
        following.tell(AskOn(route=tuple(rest)))

    heard: list[object] = []

    async def ask_and_note(ctx: Context, msg: AskOn) -> None:
        heard.append(await msg.route[0].ask(AskOn("fine")))

    async def tell_or_answer(ctx: Context, msg: AskOn) -> None:
        await (tell_on if msg.route else ask_on)(ctx, msg)

    async with ActorSystem("test") as system:
        a = await system.spawn_func(tell_or_answer)
        b = await system.spawn_func(ask_and_note)
        a.tell(AskOn(route=(b, a)))
        await settle()
        assert heard == ["fine"]


async def test_actors_that_ask_each_other_at_the_same_moment_are_a_cycle_too() -> None:
    gate = trio.Event()

    async def ask_after_the_gate(ctx: Context, msg: AskOn) -> None:
        await gate.wait()
        await ask_on(ctx, msg)

    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        a = await system.spawn_func(ask_after_the_gate, name="a")
        b = await system.spawn_func(ask_after_the_gate, name="b")
        askings = [ask_soon(nursery, a, AskOn(route=(b,))), ask_soon(nursery, b, AskOn(route=(a,)))]
        await settle()
        gate.set()
        await settle()
        errors = [asking.outcome for asking in askings if isinstance(asking.outcome, ActorFailedError)]
        assert errors
        assert set(cycle_in(errors[0])) == {a.path, b.path}


async def test_a_request_forwarded_back_to_its_asker_is_a_cycle() -> None:
    async with ActorSystem("test") as system:
        (a,) = await crew_of(system, "a")
        back = await system.spawn_func(lambda ctx, msg, to: ctx.forward(to), a, name="back")
        with pytest.raises(ActorFailedError) as caught:
            await a.ask(AskOn(route=(back,)))
        assert a.path in cycle_in(caught.value)


async def test_a_request_forwarded_to_an_actor_that_asks_its_asker_is_a_cycle() -> None:
    async with ActorSystem("test") as system:
        a, b = await crew_of(system, "ab")
        via = await system.spawn_func(lambda ctx, msg, to: ctx.forward(to), b, name="via")
        with pytest.raises(ActorFailedError) as caught:
            await a.ask(AskOn(route=(via, a)))
        assert set(cycle_in(caught.value)) == {a.path, b.path}


async def test_an_actor_that_forwarded_a_request_is_free_to_be_asked() -> None:
    async def pass_on_or_answer(ctx: Context, msg: Question) -> None:
        match msg:
            case AskOn(route=(following, *_)):
                ctx.forward(following)
            case _:
                ctx.reply(msg.text)

    async def ask_back(ctx: Context, msg: AskOn, of: list[ActorRef]) -> None:
        ctx.reply(await of[0].ask(Question("free")))

    async with ActorSystem("test") as system:
        via = await system.spawn_func(pass_on_or_answer, name="via")
        last = await system.spawn_func(ask_back, [via], name="last")
        assert await via.ask(AskOn(route=(last,))) == "free"


async def ask_in_nursery(ctx: Context, msg: AskOn) -> None:
    """Ask from a task inside the handler: the handler waits for it, so the mailbox is held all the same."""
    async with trio.open_nursery() as nursery:
        asking = ask_soon(nursery, msg.route[0], AskOn(route=msg.route[1:]))
    ctx.reply(asking.outcome)


async def test_a_cycle_through_a_task_inside_a_handler_is_refused() -> None:
    async with ActorSystem("test") as system:
        a = await system.spawn_func(ask_in_nursery, name="a")
        (b,) = await crew_of(system, "b")
        assert set(cycle_in(await a.ask(AskOn(route=(b, a))))) == {a.path, b.path}


async def test_a_cycle_through_ask_all_is_refused() -> None:
    async def ask_everybody(ctx: Context, msg: AskOn) -> None:
        ctx.reply(await ask_all(msg.route, AskOn(route=(ctx.self,))))

    async with ActorSystem("test") as system:
        a = await system.spawn_func(ask_everybody, name="a")
        b, c = await crew_of(system, "bc")
        with pytest.raises(ActorFailedError) as caught:
            await a.ask(AskOn(route=(b, c)))
        assert a.path in cycle_in(caught.value)


async def test_a_cycle_through_actors_that_interleave_to_one_that_does_not_is_refused(
    autojump_clock: MockClock,
) -> None:
    """Reentrancy helps the actor that is asked again; here that is a strict one."""

    async def interleave_on(ctx: Context, msg: AskOn) -> None:
        following, *rest = msg.route
        ctx.reply(await ctx.ask(following, AskOn(route=tuple(rest))))

    async with ActorSystem("test") as system:
        (strict,) = await crew_of(system, "a")
        b, c = [await system.spawn_func(interleave_on, name=name, reentrancy=Reentrancy()) for name in "bc"]
        for route in ((b, strict), (b, c, strict)):
            with pytest.raises(ActorFailedError) as caught, trio.fail_after(1):
                await strict.ask(AskOn(route=route))
            assert set(cycle_in(caught.value)) == {"/user/a", *(ref.path for ref in route)}


async def test_a_task_of_the_actor_may_ask_its_own_actor() -> None:
    replies: list[object] = []

    async def ask_myself(ref: ActorRef) -> None:
        replies.append(await ref.ask(Question("hello, me")))

    class Monologue(Actor):
        def receive(self, ctx: Context, msg: object) -> None:
            match msg:
                case Question(text):
                    ctx.reply(text)
                case _:
                    ctx.nursery.start_soon(ask_myself, ctx.self)

    async with ActorSystem("test") as system:
        ref = await system.spawn(Monologue)
        ref.tell("begin")
        await settle()
        assert replies == ["hello, me"]
        assert system.statistics().failures == 0


async def test_a_cycle_that_was_refused_leaves_both_actors_sound() -> None:
    async with ActorSystem("test") as system:
        a, b = await crew_of(system, "ab")
        with pytest.raises(ActorFailedError):
            await a.ask(AskOn(route=(b, a)))
        assert await a.ask(AskOn("again", route=(b,))) == "again"
        assert await b.ask(AskOn("and back", route=(a,))) == "and back"


async def test_an_asker_that_gave_up_is_part_of_no_cycle(autojump_clock: MockClock) -> None:
    async def ask_for_a_second(ctx: Context, msg: Question) -> None:
        match msg:
            case AskOn(route=(following, *rest)):
                with trio.move_on_after(1):
                    await following.ask(AskOn(route=tuple(rest)))
                ctx.reply("gave up")
            case _:
                ctx.reply(msg.text)

    async def ask_late(ctx: Context, msg: AskOn, heard: list[object]) -> None:
        await trio.sleep(2)
        heard.append(await msg.route[0].ask(Question("free again")))

    async with ActorSystem("test") as system:
        heard: list[object] = []
        late = await system.spawn_func(ask_late, heard)
        ref = await system.spawn_func(ask_for_a_second)
        assert await ref.ask(AskOn(route=(late, ref))) == "gave up"
        await trio.sleep(2)
        assert heard == ["free again"]


async def test_a_child_that_asks_its_waiting_parent_while_it_starts_ends_too(autojump_clock: MockClock) -> None:
    class Child(Actor):
        async def pre_start(self, ctx: Context) -> None:
            assert ctx.parent is not None
            await ctx.parent.ask(Question())

    async def spawn_child(ctx: Context, msg: object) -> None:
        try:
            await ctx.spawn(Child)
        except StartError as error:
            ctx.reply(type(error))

    async with ActorSystem("test") as system:
        parent = await system.spawn_func(spawn_child)
        with trio.fail_after(10):
            assert await parent.ask(Question()) is StartError
