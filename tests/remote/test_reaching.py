"""One program on two nodes: its actors are told, asked, watched and stopped as if they were local."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Recorder, collected
from tests.remote.nodes import Fail, Meet, Ping, Server, Slow, SlowCancellable, Unknown, Via, nodes
from trioakt import (
    Actor,
    ActorFailedError,
    ActorNotFoundError,
    ActorStoppedError,
    ActorSystem,
    Bounded,
    CodecError,
    Context,
    DeadLetter,
    DeadLetterReason,
    MailboxFullError,
    NameTakenError,
    NodeUnreachableError,
    NoReplyError,
    PoisonPill,
    Reentrancy,
    RemoteActorError,
    StartError,
    TerminationCause,
    UnhandledMessageError,
)
from trioakt.testing import Probe

ADA = "trioakt://bank@b:1/user/ada"


async def test_an_actor_of_another_node_is_asked(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", cookie="secret") as (one, other):
        local = await other.spawn(Server, name="ada")
        ref = await one.resolve(ADA)
        assert await ref.ask(Ping("yes")) == "pong yes"
        assert ref.address == local.address == ADA
        assert ref.path == "/user/ada"
        assert ref == await one.resolve(ADA)
        assert ref.is_alive


async def test_messages_arrive_in_order_and_once(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, log, name="ada")
        ref = await one.resolve(ADA)
        for number in range(1000):
            ref.tell(number)
        await ref.ask(Ping())
    assert log[:-1] == list(range(1000))


async def test_the_first_messages_wait_for_the_session(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with nodes("a", "b", "c") as (one, other, third):
        ada = await other.spawn(Server, log, name="ada")
        first = await one.resolve(ADA)
        middle = await third.spawn(Recorder)
        third_ref = await one.resolve(middle.address)
        third_ref.tell(Meet(first))  # c has never heard of b
        await trio.sleep(0.1)
        assert ada.is_alive


@pytest.mark.parametrize(
    ("request_", "error"),
    [(Fail("bad"), ActorFailedError), ("nothing", NoReplyError), (Unknown(), UnhandledMessageError)],
)
async def test_an_ask_ends_with_the_error_that_it_would_end_with_locally(
    autojump_clock: MockClock, request_: Any, error: type[Exception]
) -> None:
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada")
        ref = await one.resolve(ADA)
        with pytest.raises(error):
            await ref.ask(request_)
        assert await ref.ask(Ping()) == "pong "


async def test_the_cause_of_a_remote_failure_comes_as_text(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada")
        with pytest.raises(ActorFailedError) as caught:
            await (await one.resolve(ADA)).ask(Fail("out of ink"))
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteActorError)
    assert cause.type_name == "ValueError"
    assert cause.text == "out of ink"
    assert "in receive" in cause.traceback_text


async def test_senders_and_refs_in_messages_reach_back(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        probe = await Probe.spawn(one)
        await other.spawn(Server, name="ada")
        ref = await one.resolve(ADA)
        ref.tell("sender", sender=probe.ref)
        await probe.expect("heard")
        assert probe.last_sender == ref
        near = await one.spawn(Server)
        assert await ref.ask(Meet(near)) == "pong met"


async def test_a_ref_of_a_third_node_can_be_passed_on(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", "c") as (one, other, third):
        await other.spawn(Server, name="ada")
        await third.spawn(Server, name="eve")
        ada = await one.resolve(ADA)
        eve = await one.resolve("trioakt://bank@c:1/user/eve")
        assert await ada.ask(Meet(eve)) == "pong met"


async def test_a_ref_that_comes_home_is_the_local_one(autojump_clock: MockClock) -> None:
    class Keeper(Actor):
        def receive(self, ctx: Context, msg: Any) -> None:
            ctx.reply(msg)

    async with nodes("a", "b") as (one, other):
        await other.spawn(Keeper, name="ada")
        near = await one.spawn(Server)
        ada = await one.resolve(ADA)
        back = await ada.ask(Meet(near))
        assert back.ref == near
        assert back.ref.recipient is near.recipient


async def test_a_request_whose_asker_gives_up_is_cancelled_there_if_it_says_that_this_is_safe(
    autojump_clock: MockClock,
) -> None:
    log: list[Any] = []
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, log, name="ada")
        ref = await one.resolve(ADA)
        with trio.move_on_after(1):
            await ref.ask(SlowCancellable(60))
        await trio.sleep(0.1)
        assert log == [SlowCancellable(60), "cancelled"]
        with trio.move_on_after(1):
            await ref.ask(Slow(5))
        await trio.sleep(10)
        assert log[-1] == "awake"


async def test_a_request_given_up_before_it_is_begun_is_not_handled(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, log, name="ada")
        ref = await one.resolve(ADA)
        ref.tell(Slow(10))
        with collected(other, DeadLetter) as letters, trio.move_on_after(1):
            await ref.ask(Ping("too late"))
        await trio.sleep(20)
    assert Ping("too late") not in log
    assert [letter.reason for letter in letters] == []


async def test_an_actor_of_another_node_is_watched_and_stopped(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        probe = await Probe.spawn(one)
        local = await other.spawn(Server, name="ada")
        ref = await one.resolve(ADA)
        probe.watch(ref)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ref.wait_stopped)
            await trio.sleep(0.1)
            ref.stop()
        assert (await probe.expect_terminated(ref)).cause == TerminationCause.STOPPED
        assert not local.is_alive
        assert not ref.is_alive
        await ref.wait_stopped()


async def test_a_poison_pill_comes_after_the_messages_before_it(autojump_clock: MockClock) -> None:
    log: list[Any] = []
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, log, name="ada")
        ref = await one.resolve(ADA)
        for number in range(100):
            ref.tell(number)
        ref.tell(PoisonPill())
        await ref.wait_stopped()
    assert log == list(range(100))


async def test_a_kill_reaches_a_handler_that_hangs(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada")
        ref = await one.resolve(ADA)
        ref.tell(Slow(1e6))
        ref.kill()
        await ref.wait_stopped()


async def test_the_failure_that_ended_an_actor_comes_to_its_watchers(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        probe = await Probe.spawn(one)
        await other.spawn_task(fail, restart="temporary", name="ada")
        ref = await one.resolve(ADA)
        probe.watch(ref)
        ended = await probe.expect_terminated(ref)
        assert ended.failure is not None
        assert ended.failure.text == "broken"


async def fail() -> None:
    await trio.sleep(1)
    raise ValueError("broken")


async def test_after_its_end_what_is_sent_is_a_dead_letter_here_or_there(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        local = await other.spawn(Server, name="ada")
        ref = await one.resolve(ADA)
        local.stop()
        await local.wait_stopped()
        with collected(other, DeadLetter) as there, collected(one, DeadLetter) as here:
            ref.tell(Ping("first"))
            with pytest.raises(ActorStoppedError):
                await ref.ask(Ping("second"))
            ref.tell(Ping("third"))
            with pytest.raises(ActorStoppedError):
                await ref.send(Ping("fourth"))
        assert [letter.message.text for letter in there] == ["first", "second"]
        assert [(letter.message.text, letter.reason) for letter in here] == [("third", DeadLetterReason.STOPPED)]
        assert ref != await one.resolve((await other.spawn(Server, name="ada")).address)


async def test_send_waits_for_room_in_the_mailbox_there(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada", mailbox=Bounded(1))
        ref = await one.resolve(ADA)
        ref.tell(Slow(10))
        begun = trio.current_time()
        await ref.send(1)
        assert trio.current_time() - begun < 1
        with trio.move_on_after(1) as scope:
            await ref.send(2)
        assert scope.cancelled_caught
        await ref.send(3)
        assert trio.current_time() - begun > 9


async def test_a_full_mailbox_there_tells_the_asker_and_makes_what_is_told_a_dead_letter(
    autojump_clock: MockClock,
) -> None:
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada", mailbox=Bounded(1))
        ref = await one.resolve(ADA)
        ref.tell(Slow(10))
        await trio.sleep(0.1)
        with collected(other, DeadLetter) as letters:
            ref.tell(1)
            ref.tell(2)
            with pytest.raises(MailboxFullError):
                await ref.ask(Ping())
        assert [(letter.message, letter.reason) for letter in letters] == [(2, DeadLetterReason.MAILBOX_FULL)]


async def test_what_cannot_travel_is_refused_where_it_is_sent(autojump_clock: MockClock) -> None:
    class Local:
        pass

    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada")
        ref = await one.resolve(ADA)
        with pytest.raises(CodecError):
            ref.tell(Local())
        with pytest.raises(CodecError):
            await ref.ask(Local())
        assert await ref.ask(Ping()) == "pong "


async def test_a_reply_that_cannot_travel_is_an_error_for_both(autojump_clock: MockClock) -> None:
    class Odd(Actor):
        def receive(self, ctx: Context, msg: Any) -> None:
            ctx.reply(object())

    async with nodes("a", "b") as (one, other):
        await other.spawn(Odd, name="ada")
        with pytest.raises(CodecError):
            await (await one.resolve(ADA)).ask(Ping())
        assert other.statistics().failures == 1


async def test_a_ref_to_nobody_and_to_nowhere_is_said_to_be_one(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, _):
        with pytest.raises(ActorNotFoundError):
            await one.resolve("trioakt://bank@b:1/user/nobody")
        with pytest.raises(NodeUnreachableError):
            await one.resolve("trioakt://bank@nowhere:1/user/ada")
        with pytest.raises(ValueError, match="no address"):
            await one.resolve("trioakt://shop@b:1/user/ada")
        with pytest.raises(ValueError, match="not an address"):
            await one.resolve("b:1/user/ada")


async def test_a_system_without_remote_says_so() -> None:
    async with ActorSystem("bank") as system:
        with pytest.raises(RuntimeError, match=r"remote=Remote\(\.\.\.\)"):
            await system.resolve(ADA)


async def test_a_registered_kind_is_spawned_on_another_node(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", kinds=[Server]) as (one, other):
        ref = await one.spawn_on(other.address, Server, ["given"], name="ada")
        assert await ref.ask(Ping("yes")) == "pong yes"
        assert other.actor("ada") is not None
        with pytest.raises(NameTakenError):
            await one.spawn_on(other.address, Server, name="ada")
        with pytest.raises(StartError, match="registered no kind"):
            await one.spawn_on(other.address, Recorder)
        other.register(Recorder)
        assert (await one.spawn_on(other.address, Recorder)).is_alive
        with pytest.raises(StartError, match="did not start: TypeError"):
            await one.spawn_on(other.address, Server, 1, 2, 3)


async def test_a_cycle_over_two_nodes_is_refused_and_named(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        near = await one.spawn(Relay, name="near")
        far = await other.spawn(Relay, name="far")
        one_far, other_near = await one.resolve(far.address), await other.resolve(near.address)
        with pytest.raises(ActorFailedError) as caught:
            await near.ask(Via([one_far, near]))
        assert "AskCycleError" in root_text(caught.value)
        with pytest.raises(ActorFailedError):
            await far.ask(Via([other_near, far]))
        helper = await one.spawn(Relay, name="helper")
        with pytest.raises(ActorFailedError) as caught:
            await near.ask(Via([helper, one_far, near]))
        assert "/user/near -> /user/helper -> /user/far -> /user/near" in root_text(caught.value)
        assert await near.ask(Via([one_far, helper])) == "here"


async def test_an_interleaving_actor_may_be_asked_back_over_the_wire(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        near = await one.spawn(Relay, name="near", reentrancy=Reentrancy())
        far = await other.spawn(Relay, name="far")
        assert await near.ask(Via([await one.resolve(far.address), near])) == "here"


class Relay(Actor):
    """Asks the next one on the way."""

    async def receive(self, ctx: Context, msg: Via) -> None:
        if msg.way:
            ctx.reply(await ctx.ask(msg.way[0], Via(msg.way[1:])))
        else:
            ctx.reply("here")


def root_text(error: BaseException | None) -> str:
    """Return all texts in a chain of causes."""
    return "" if error is None else f"{error} {root_text(error.__cause__)}"


async def test_nobody_reaches_what_is_above_the_users_actors(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, _):
        with pytest.raises(ActorNotFoundError):
            await one.resolve("trioakt://bank@b:1/user")


async def test_a_kind_is_spawned_on_the_own_node_too(autojump_clock: MockClock) -> None:
    async with nodes("a", kinds=[Server]) as (one,):
        ref = await one.spawn_on(one.address, Server, name="ada")
        assert ref == one.actor("ada")


async def test_a_message_that_cannot_travel_harms_its_sender_and_no_router(autojump_clock: MockClock) -> None:
    class Local:
        pass

    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada")
        router = await one.spawn_group_router([await one.resolve(ADA)])
        with collected(one, DeadLetter) as letters:
            router.tell(local := Local())
            with pytest.raises(CodecError):
                await router.ask(Local())
        assert [(letter.message, letter.reason) for letter in letters] == [(local, DeadLetterReason.NOT_ENCODED)]
        assert await router.ask(Ping()) == "pong "
        assert one.statistics().failures == 0
