"""The probe: it keeps what comes, and says what did not."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trioakt import ActorSystem, Context, Request, message
from trioakt.testing import Probe, open_test_system


@message
class Done:
    number: int


@message
class Question(Request[str]):
    pass


async def test_a_message_that_equals_what_is_expected_is_returned() -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        probe.ref.tell(Done(7))
        assert await probe.expect(Done(7)) == Done(7)


async def test_a_message_of_the_expected_class_is_returned() -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        probe.ref.tell(Done(7))
        assert (await probe.expect(Done)).number == 7


async def test_another_message_than_the_expected_one_is_named() -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        probe.ref.tell(Done(7))
        with pytest.raises(AssertionError, match=r"expected Done\(number=8\), it got Done\(number=7\)"):
            await probe.expect(Done(8))


async def test_messages_are_expected_in_the_order_they_come() -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        probe.ref.tell(Done(1))
        probe.ref.tell(Done(2))
        with pytest.raises(AssertionError):
            await probe.expect(Done(2))
        await probe.expect(Done(2))


@pytest.mark.parametrize(("within", "seconds"), [({}, 3.0), ({"within": 60.0}, 60.0)])
async def test_what_does_not_come_in_time_fails(
    within: dict[str, float], seconds: float, autojump_clock: MockClock
) -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        began = trio.current_time()
        with pytest.raises(AssertionError, match="nothing came"):
            await probe.expect(Done, **within)
        assert trio.current_time() - began == pytest.approx(seconds)


async def test_a_message_that_comes_later_but_in_time_is_waited_for(autojump_clock: MockClock) -> None:
    async def answer_late(ctx: Context, msg: Probe) -> None:
        await trio.sleep(2)
        msg.ref.tell(Done(1), sender=ctx.self)

    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        late = await system.spawn_func(answer_late)
        late.tell(probe)
        await probe.expect(Done(1))
        assert probe.last_sender == late


async def test_silence_is_expected_for_as_long_as_it_is_said(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        began = trio.current_time()
        await probe.expect_none(within=5.0)
        assert trio.current_time() - began == pytest.approx(5.0)


@pytest.mark.parametrize("already", [True, False])
async def test_a_message_breaks_the_silence(already: bool, autojump_clock: MockClock) -> None:
    async with open_test_system() as system, trio.open_nursery() as nursery:
        probe = await Probe.spawn(system)

        async def tell() -> None:
            await trio.sleep(0.0 if already else 0.5)
            probe.ref.tell(Done(1))

        nursery.start_soon(tell)
        with pytest.raises(AssertionError, match="expected nothing"):
            await probe.expect_none()


async def test_the_end_of_a_watched_actor_is_expected() -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        other = await Probe.spawn(system, "other")
        probe.watch(other.ref)
        other.ref.stop()
        assert (await probe.expect_terminated(other.ref)).ref == other.ref


async def test_an_actor_that_lives_on_has_not_ended(autojump_clock: MockClock) -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        other = await Probe.spawn(system)
        probe.watch(other.ref)
        probe.unwatch(other.ref)
        other.ref.stop()
        with pytest.raises(AssertionError, match="expected the end of"):
            await probe.expect_terminated(other.ref)


async def test_the_probe_answers_what_it_was_asked() -> None:
    replies: list[str] = []
    async with ActorSystem("test") as system:
        probe = await Probe.spawn(system)

        async def ask() -> None:
            replies.append(await probe.ref.ask(Question()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await probe.expect(Question)
            probe.reply("yes")
    assert replies == ["yes"]


async def test_the_probe_cannot_answer_what_it_was_told() -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        probe.ref.tell(Done(1))
        await probe.expect(Done)
        with pytest.raises(RuntimeError, match="not asked"):
            probe.reply("no")


async def test_all_that_came_is_kept() -> None:
    async with open_test_system() as system:
        probe = await Probe.spawn(system)
        probe.ref.tell(Done(1))
        probe.ref.tell(Done(2))
        await probe.expect(Done(1))
        await probe.expect(Done(2))
        assert probe.messages == (Done(1), Done(2))
