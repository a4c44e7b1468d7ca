"""What the type checkers know of a pipe: the arguments fit the function, and the wrapper fits its result."""

from __future__ import annotations

from tests.core.actors import Do, Get, Recorder
from trioakt import Context, PipeFailed, message
from trioakt.testing import Probe, open_test_system


@message
class Got:
    text: str


@message
class Length:
    value: int


async def spell(number: int) -> str:
    return str(number)


async def test_a_pipe_takes_what_its_function_takes() -> None:
    def begin(ctx: Context) -> None:
        ctx.pipe_to(probe.ref, spell, 7, wrap=Got)
        ctx.pipe_to(probe.ref, spell)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        actor = await system.spawn(Recorder)
        await actor.ask(Do(begin))
        assert {type(await probe.expect(object)) for _ in range(2)} == {Got, PipeFailed}


async def test_a_wrapper_takes_what_the_function_returns() -> None:
    def double(number: int) -> int:
        return 2 * number

    def begin(ctx: Context) -> None:
        ctx.pipe_to(probe.ref, counter.ask, Get(), wrap=double)
        ctx.pipe_thread_to(probe.ref, len, "seven", wrap=double)
        ctx.pipe_to(probe.ref, spell, 7, wrap=double)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]

    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        counter = await system.spawn(Recorder)
        await counter.ask(Do(begin))
        assert {await probe.expect(object) for _ in range(3)} == {0, 10, "77"}


async def test_a_process_takes_what_its_function_takes() -> None:
    def begin(ctx: Context) -> None:
        ctx.pipe_process_to(probe.ref, len, "seven", wrap=Length)
        ctx.pipe_process_to(probe.ref, len, 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        actor = await system.spawn(Recorder)
        await actor.ask(Do(begin))
        assert {type(await probe.expect(object, within=30)) for _ in range(2)} == {Length, PipeFailed}
