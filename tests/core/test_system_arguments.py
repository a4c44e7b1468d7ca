"""What a system is given: names, options, extensions; and that it is entered once."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from tests.core.actors import Do, Recorder
from trioakt import ActorSystem, ShutdownHook

WRONG_OPTIONS = [
    ("supervision", "restart", TypeError),
    ("init_timeout", "5", TypeError),
    ("init_timeout", -1.0, ValueError),
    ("init_timeout", math.nan, ValueError),
    ("stop_grace", -1.0, ValueError),
    ("stop_grace", None, TypeError),
    ("shutdown_timeout", -1.0, ValueError),
    ("shutdown_timeout", math.nan, ValueError),
    ("shutdown_timeout", "60", TypeError),
    ("turn", 0, ValueError),
    ("turn", -1, ValueError),
    ("turn", 1.5, TypeError),
    ("shutdown_hooks", [print], TypeError),
    ("rng", 42, TypeError),
    ("patience", 1, TypeError),
]


class Clock:
    """An extension."""


class WallClock(Clock):
    """A more specific one."""


@pytest.mark.parametrize("name", ["a", "bank-1_x.y", "x" * 255])
async def test_a_good_name_is_taken(name: str) -> None:
    async with ActorSystem(name) as system:
        assert str(system.address) == f"trioakt://{name}"


@pytest.mark.parametrize("name", ["", "$bank", "a/b", "a b", "a\n", "a:1", "a@b", "x" * 256])
def test_a_bad_name_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        ActorSystem(name)


@pytest.mark.parametrize("name", [None, 3, b"bank"])
def test_a_name_that_is_no_text_is_a_type_error(name: Any) -> None:
    with pytest.raises(TypeError):
        ActorSystem(name)


@pytest.mark.parametrize(("option", "value", "error"), WRONG_OPTIONS, ids=str)
def test_a_wrong_option_is_refused(option: str, value: Any, error: type[Exception]) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(error, match=option):
        ActorSystem("test", **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"timeout": -1.0}, ValueError), ({"timeout": math.nan}, ValueError), ({"retries": -1}, ValueError)],
    ids=str,
)
def test_a_wrong_shutdown_hook_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    async def hook(system: ActorSystem) -> None:
        """Do nothing."""

    with pytest.raises(error):
        ShutdownHook(hook, **options)


def test_a_shutdown_hook_that_cannot_be_called_is_refused() -> None:
    hook: Any = 3
    with pytest.raises(TypeError):
        ShutdownHook(hook)


async def test_a_system_is_entered_once() -> None:
    async with ActorSystem("test") as system:
        with pytest.raises(RuntimeError, match="once"):
            await system.__aenter__()
        assert (await system.spawn(Recorder)).is_alive
    with pytest.raises(RuntimeError, match="once"):
        await system.__aenter__()


@pytest.mark.parametrize("question", ["portal", "actors", "tree", "statistics"])
def test_a_system_that_was_never_entered_says_so(question: str) -> None:
    system = ActorSystem("test")
    with pytest.raises(RuntimeError, match="entered"):
        _ask_about(system, question)


def _ask_about(system: ActorSystem, question: str) -> Any:
    answer: Any = getattr(system, question)
    return answer() if callable(answer) else answer


def test_a_system_cannot_be_made_to_run_outside_of_trio() -> None:
    system = ActorSystem("test")
    entering = system.__aenter__()
    with pytest.raises(RuntimeError):
        entering.send(None)


async def test_an_extension_is_found_by_its_type() -> None:
    clock = WallClock()
    async with ActorSystem("test", extensions=[clock, {"a": 1}]) as system:
        assert system.extension(WallClock) is clock
        assert system.extension(dict) == {"a": 1}
        ref = await system.spawn(Recorder)
        assert await ref.ask(Do(lambda ctx: ctx.extension(WallClock))) is clock


async def test_an_extension_is_found_by_a_base_class() -> None:
    clock = WallClock()
    async with ActorSystem("test", extensions=[clock]) as system:
        assert system.extension(Clock) is clock


def test_two_extensions_of_one_type_are_refused() -> None:
    with pytest.raises(ValueError, match="Clock"):
        ActorSystem("test", extensions=[Clock(), Clock()])


async def test_an_extension_that_is_not_there_is_named_in_the_error() -> None:
    async with ActorSystem("test", extensions=[Clock()]) as system:
        with pytest.raises(ValueError, match="WallClock"):
            system.extension(WallClock)


async def test_a_system_may_be_opened_by_each_of_several_tasks() -> None:
    async def run(name: str) -> None:
        async with ActorSystem(name) as system:
            await system.spawn(Recorder, name="same")
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(run, f"system-{number}")
