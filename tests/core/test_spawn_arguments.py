"""What can be given to spawn: names, options, factories and functions; and what is refused before anything happens."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.core.actors import Do, Get, Note, Recorder, collected, sleeping
from trioakt import (
    Actor,
    ActorRef,
    ActorStarted,
    ActorStopped,
    ActorStoppedError,
    ActorSystem,
    Context,
    NameTakenError,
    Reentrancy,
    StartError,
)

GOOD_NAMES = ["a", "Z", "0", "A-1_b.c", "-", ".a", "_", "x" * 255]
BAD_NAMES = ["", "a/b", "/", "$a", "a$", "a b", "a\n", "\n", "a:b", "a@b", "a\x00", "x" * 256]
WRONG_OPTIONS = [
    ("mailbox", 3, TypeError),
    ("supervision", "restart", TypeError),
    ("reentrancy", True, TypeError),
    ("init_timeout", "5", TypeError),
    ("init_timeout", -1.0, ValueError),
    ("init_timeout", math.nan, ValueError),
    ("stop_grace", None, TypeError),
    ("stop_grace", -0.5, ValueError),
    ("stop_grace", math.nan, ValueError),
    ("stash_capacity", 1.5, TypeError),
    ("stash_capacity", -1, ValueError),
    ("patience", 1, TypeError),
]


# Names


@pytest.mark.parametrize("name", GOOD_NAMES)
async def test_a_good_name_is_taken(name: str) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(Recorder, name=name)
        assert ref.name == name
        assert system.actor(name) == ref


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_bad_name_is_a_value_error_before_anything_happens(name: str) -> None:
    made: list[Actor] = []

    def factory() -> Actor:
        made.append(Recorder())
        return made[-1]

    async with ActorSystem("test") as system:
        with pytest.raises(ValueError, match="name"):
            await system.spawn(factory, name=name)
        with pytest.raises(ValueError, match="name"):
            await system.get_or_spawn(factory, name=name)
        assert not made
        assert not system.actors()


@pytest.mark.parametrize("name", [3, b"ada", ["a"]])
async def test_a_name_that_is_no_text_is_a_type_error(name: Any) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError):
            await system.spawn(Recorder, name=name)
        assert not system.actors()


async def test_an_actor_without_a_name_gets_one_of_its_own() -> None:
    async with ActorSystem("test") as system:
        refs = [await system.spawn(Recorder) for _ in range(3)]
        assert len({ref.name for ref in refs}) == 3
        for ref in refs:
            assert system.actor(ref.path) == ref
            with pytest.raises(ValueError, match="name"):  # what we make, nobody can take
                await system.spawn(Recorder, name=ref.name)


async def test_a_name_that_a_sibling_has_is_refused() -> None:
    async with ActorSystem("test") as system:
        first = await system.spawn(Recorder, name="ada")
        with pytest.raises(NameTakenError) as caught:
            await system.spawn(Recorder, name="ada")
        assert caught.value.path == "/user/ada"
        assert system.actor("ada") == first
        assert await first.ask(Get()) == 0


async def test_a_name_is_taken_while_its_actor_still_starts(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:
        nursery.start_soon(partial(system.spawn, name="ada"), partial(Recorder, pre_start=sleeping(2)))
        await wait_all_tasks_blocked()
        with pytest.raises(NameTakenError):
            await system.spawn(Recorder, name="ada")


async def test_a_name_is_taken_until_its_actor_has_gone(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn(partial(Recorder, post_stop=sleeping(1)), name="ada")
        ref.stop()
        await wait_all_tasks_blocked()
        with pytest.raises(NameTakenError):
            await system.spawn(Recorder, name="ada")
        await ref.wait_stopped()
        assert (await system.spawn(Recorder, name="ada")) != ref


async def test_cousins_may_share_a_name() -> None:
    async with ActorSystem("test") as system:
        paths: list[str] = []
        for parent_name in ("a", "b"):
            parent = await system.spawn(Recorder, name=parent_name)
            child: ActorRef = await parent.ask(Do(lambda ctx: ctx.spawn(Recorder, name="same")))
            paths.append(child.path)
        assert paths == ["/user/a/same", "/user/b/same"]


# get_or_spawn


async def test_get_or_spawn_returns_the_actor_that_is_there() -> None:
    async with ActorSystem("test") as system:
        ref = await system.get_or_spawn(Recorder, name="ada")
        ref.tell(Note())
        again = await system.get_or_spawn(Recorder, name="ada")
        assert again == ref
        assert await again.ask(Get()) == 1


async def test_two_that_get_or_spawn_at_once_share_one_actor(autojump_clock: MockClock) -> None:
    made: list[Actor] = []
    refs: list[ActorRef] = []

    def factory() -> Actor:
        made.append(Recorder(pre_start=sleeping(2)))
        return made[-1]

    async with ActorSystem("test") as system:

        async def get() -> None:
            refs.append(await system.get_or_spawn(factory, name="ada"))
            assert trio.current_time() == began + 2

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(get)
        assert len(made) == 1
        assert len(set(refs)) == 1


async def test_everybody_who_waits_in_get_or_spawn_hears_that_the_start_failed(autojump_clock: MockClock) -> None:
    async def pre_start(ctx: Context) -> None:
        await trio.sleep(1)
        raise OSError

    async with ActorSystem("test") as system:

        async def get() -> None:
            with pytest.raises(StartError) as caught:
                await system.get_or_spawn(partial(Recorder, pre_start=pre_start), name="ada")
            assert isinstance(caught.value.__cause__, OSError)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(get)
            nursery.start_soon(get)
        assert not system.actors()


async def test_get_or_spawn_goes_on_when_the_one_that_began_the_start_is_cancelled(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system, trio.open_nursery() as nursery:

        async def impatient() -> None:
            with trio.move_on_after(1):
                await system.get_or_spawn(partial(Recorder, pre_start=sleeping(2)), name="ada")

        nursery.start_soon(impatient)
        await wait_all_tasks_blocked()
        with trio.fail_after(10):
            ref = await system.get_or_spawn(partial(Recorder, pre_start=sleeping(2)), name="ada")
        assert ref.is_alive
        assert system.actor("ada") == ref


async def test_get_or_spawn_waits_for_one_that_is_stopping_and_starts_a_new_one(autojump_clock: MockClock) -> None:
    async with ActorSystem("test") as system:
        old = await system.spawn(partial(Recorder, post_stop=sleeping(1)), name="ada")
        old.stop()
        began = trio.current_time()
        new = await system.get_or_spawn(Recorder, name="ada")
        assert trio.current_time() == began + 1
        assert new != old
        assert new.is_alive


# Actors out of functions


async def test_spawn_func_makes_an_actor_of_an_async_function() -> None:
    async def receive(ctx: Context, msg: object, factor: int, offset: int) -> None:
        await trio.lowlevel.checkpoint()
        assert isinstance(msg, Note)
        ctx.reply(msg.number * factor + offset)

    async with ActorSystem("test") as system:
        ref = await system.spawn_func(receive, 3, 4, name="calc")
        assert ref.path == "/user/calc"
        assert await ref.ask(Note(2)) == 10


async def test_spawn_func_makes_an_actor_of_a_plain_function() -> None:
    async with ActorSystem("test") as system:
        ref = await system.spawn_func(lambda ctx, msg: ctx.reply(msg.number))
        assert await ref.ask(Note(2)) == 2


async def test_spawn_func_takes_the_options_of_spawn() -> None:
    async with ActorSystem("test") as system:
        function: Any = print
        with pytest.raises(ValueError, match="stop_grace"):
            await system.spawn_func(function, stop_grace=-1)
        with pytest.raises(ValueError, match="name"):
            await system.spawn_func(function, name="a/b")
        assert not system.actors()


# What is refused


@pytest.mark.parametrize(("option", "value", "error"), WRONG_OPTIONS, ids=str)
async def test_a_wrong_option_is_refused_before_anything_changes(
    option: str, value: Any, error: type[Exception]
) -> None:
    made: list[Actor] = []

    def factory() -> Actor:
        made.append(Recorder())
        return made[-1]

    options: dict[str, Any] = {option: value}
    async with ActorSystem("test") as system:
        with collected(system, ActorStarted, ActorStopped) as events:
            for spawn in (system.spawn, system.get_or_spawn):
                with pytest.raises(error, match=option):
                    await spawn(factory, name="ada", **options)
        assert not made
        assert not events
        assert system.actor("ada") is None


@pytest.mark.parametrize("value", [0, -1])
def test_reentrancy_of_less_than_one_message_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="max_in_flight"):
        Reentrancy(max_in_flight=value)


@pytest.mark.parametrize("factory", [None, 3, "Recorder", Recorder()])
async def test_a_factory_that_cannot_be_called_is_a_type_error(factory: Any) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError):
            await system.spawn(factory)
        assert not system.actors()


@pytest.mark.parametrize("function", [None, 3, "receive"])
async def test_spawn_func_of_what_cannot_be_called_is_a_type_error(function: Any) -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(TypeError):
            await system.spawn_func(function)
        assert not system.actors()


async def test_spawn_from_another_event_loop_is_refused() -> None:
    async with ActorSystem("test") as system:

        async def spawn() -> None:
            await system.spawn(Recorder)

        with pytest.raises(RuntimeError, match="portal"):
            await trio.to_thread.run_sync(trio.run, spawn)
        assert not system.actors()


async def test_spawn_outside_of_the_block_is_refused() -> None:
    system = ActorSystem("test")
    with pytest.raises(RuntimeError):
        await system.spawn(Recorder)
    async with system:
        pass
    with pytest.raises(ActorStoppedError):
        await system.spawn(Recorder)
