"""What a member gets that has proven itself and then sends whatever it likes: its session ends, and nothing else."""

from __future__ import annotations

import gc
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import Recorder, collected
from tests.core.crew import Trouble
from tests.remote.nodes import Fail, Net, Ping, Server, Slow, SlowCancellable, nodes
from tests.remote.strangers import COOKIE, Member, member
from trioakt import (
    Actor,
    ActorFailedError,
    ActorNotFoundError,
    ActorRef,
    ActorSystem,
    Bounded,
    ConnectionLostError,
    Context,
    DeadLetter,
    DeadLetterReason,
    NodeUnreachableError,
    PoisonPill,
    Priority,
    TrioaktError,
)
from trioakt.codec import Codec
from trioakt.lowlevel import Envelope, UnboundedQueue
from trioakt.remote import records
from trioakt.remote.house import Value
from trioakt.remote.links import LinkLost, LinkRefused, LinkUp
from trioakt.remote.peer import Peer

ADA = "trioakt://bank@b:1/user/ada"
EVE = "trioakt://bank@eve:1/user/eve"
ZEROS = "0" * 32
encode = Codec().encode


@attrs.define
class Wild:
    """A node b with an actor, and a member that speaks to it as it likes; ``number`` is that of the actor."""

    net: Net
    honest: ActorSystem
    eve: Member
    ada: ActorRef
    number: int
    seen: list[Any]

    async def is_turned_out(self) -> None:
        """Check that the session is over because the protocol was broken, and that the node goes on."""
        with trio.fail_after(5):
            await self.eve.over.wait()
        assert [type(event) for event in self.seen if isinstance(event, LinkLost | LinkRefused)] != []
        assert any("broke the protocol" in event.reason for event in self.seen if isinstance(event, LinkLost))
        await self.goes_on()

    async def goes_on(self) -> None:
        """Check that the node serves another one."""
        friend = self.net.systems.get("a") or await self.net.start("a")
        assert await (await friend.resolve(ADA)).ask(Ping("on")) == "pong on"

    async def resolved(self) -> ActorRef:
        """Let the honest node have a ref to an actor of the member."""
        async with trio.open_nursery() as nursery:
            found: list[ActorRef] = []

            async def resolve() -> None:
                found.append(await self.honest.resolve(EVE))

            nursery.start_soon(resolve)
            asked = await self.eve.hears(records.Find)
            await self.eve.say(records.Done(asked.id, f"{EVE}#{b'eve'.ljust(16, b'!').hex()}.1"))
        return found[0]


@asynccontextmanager
async def wild(**settings: Any) -> AsyncGenerator[Wild]:
    async with nodes("b", cookie=COOKIE, **settings) as net:
        honest = net.systems["b"]
        ada = await honest.spawn(Server, name="ada", mailbox=Bounded(4))
        with collected(honest, LinkUp, LinkRefused, LinkLost, DeadLetter) as seen:
            async with member(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve:
                await eve.say(records.Find(10**6, "/user/ada"))
                found = await eve.hears(records.Done)
                number = int(found.ref.rpartition(".")[2])
                yield Wild(net, honest, eve, ada, number, seen)


Say = Callable[[int], list[Any]]

BREACHES: dict[str, Say] = {
    "no record": lambda to: [b"\x01"],
    "no known record": lambda to: [b"\x92\x63\x01"],
    "half a record": lambda to: [b"\x93\x01\x01\xa1x"],
    "deep": lambda to: [b"\x91" * 100_000 + b"\x90"],
    "text for a number": lambda to: [b"\x92\x04\xa1x"],
    "a huge number": lambda to: [b"\x92\x04\xd4\x01\x05"],
    "a number for text": lambda to: [msgspec.msgpack.encode([12, 1, 1])],
    "a number twice": lambda to: [
        records.Tell(to, "", encode(Slow(1)), {}),
        *[records.Send(1, to, "", encode(Ping()), {})] * 2,
    ],
    "a request twice": lambda to: [records.Question(1, to, "", math.inf, encode(Slow(9)), {}, [])] * 2,
    "a request and a wish": lambda to: [
        records.Question(1, to, "", math.inf, encode(Slow(9)), {}, []),
        records.Spawn(1, "x", "", b""),
    ],
    "no time at all": lambda to: [records.Question(1, to, "", math.nan, encode(SlowCancellable(1)), {}, [])],
    "an endless chain": lambda to: [records.Question(1, to, "", 1.0, encode(Ping()), {}, ["x"] * 65)],
}


@pytest.mark.parametrize("breach", BREACHES)
async def test_what_breaks_the_protocol_ends_the_session_and_nothing_else(
    autojump_clock: MockClock, breach: str
) -> None:
    async with wild() as scene:
        await scene.eve.say(*BREACHES[breach](scene.number))
        await scene.is_turned_out()


STRAY: dict[str, Say] = {
    "answers nobody waits for": lambda to: [
        records.Done(7, "nonsense"),
        records.Reply(7, b"nonsense"),
        records.Failed(7, "AskCycleError", "", ""),
        records.Failed(8, "CodecError", "", ""),
        records.Failed(9, "SystemExit", "", "", ("a", "b", "c")),
        records.Reply(-1, encode(Value(1))),
    ],
    "cancels of what is not there": lambda to: [records.Cancel(number) for number in (0, -1, 2**63, -(2**63))],
    "numbers of nobody": lambda to: [
        record
        for number in (0, -1, to + 1, 2**64 - 1, -(2**63))
        for record in (
            records.Order(number, "kill"),
            records.Watch(number),
            records.Unwatch(number),
            records.Tell(number, "", encode(Ping()), {}),
            records.Ended(number, "node lost"),
        )
    ],
    "unknown orders": lambda to: [records.Order(to, what) for what in ("", "explode", "STOP", "restart")],
    "watching again and again": lambda to: [records.Watch(to)] * 1000 + [records.Unwatch(to)] * 1000,
    "false ends": lambda to: [records.Ended(to, "STOPPED"), records.Ended(to, "x" * 10_000, ("", "", ""))],
    "messages that are none": lambda to: [
        records.Tell(to, "", body, {})
        for body in (b"", b"\xc1", b"\x90" * 100, b"\x91" * 100_000, encode(Ping())[:-1], b"\x93\xa1x\x01\x80")
    ],
    "senders that are none": lambda to: [
        records.Tell(to, sender, encode(Ping()), {})
        for sender in (
            "x",
            f"{ADA}#",
            f"{ADA}#{'0' * 32}.{'9' * 19}",
            f"trioakt://shop@b:1/user/x#{'0' * 32}.1",
            "#" * 9999,
        )
    ],
    "chains that are none": lambda to: [records.Question(1, to, "", 1.0, encode(Ping()), {}, ["x", f"{ADA}#"])],
    "requests that are late": lambda to: [
        records.Question(1, to, "", -math.inf, encode(Ping()), {}, []),
        records.Question(2, to, "", -1.0, encode(SlowCancellable(1)), {}, []),
    ],
    "odd paths": lambda to: [
        records.Find(1, path)
        for path in ("", "/", "/user", "/user/", "/user//ada", "/user/../user", "/user/" + "a/" * 9999)
    ],
    "odd kinds": lambda to: [
        records.Spawn(1, "os.system", "", encode(Value(["true"]))),
        records.Spawn(2, "", "", b""),
        records.Spawn(3, "builtins.exec", "x" * 10_000, b"\xc1"),
    ],
}


@pytest.mark.parametrize("what", STRAY)
async def test_what_means_nothing_does_nothing(autojump_clock: MockClock, what: str) -> None:
    async with wild() as scene:
        await scene.eve.say(*STRAY[what](scene.number))
        await trio.sleep(3)
        assert not scene.eve.over.is_set()
        assert scene.ada.is_alive
        assert [record for record in scene.eve.records if isinstance(record, records.Done) and record.ref] == []
        await scene.eve.say(records.Question(99, scene.number, "", math.inf, encode(Ping("x")), {}, []))
        await scene.eve.hears(records.Reply)
        await scene.goes_on()


ANSWERS: dict[str, Callable[[int], list[Any]]] = {
    "done": lambda number: [records.Done(number, EVE)],
    "done with nothing": lambda number: [records.Done(number, "")],
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_request_is_answered_by_a_reply_and_by_nothing_else(autojump_clock: MockClock, answer: str) -> None:
    async with wild() as scene:
        ref = await scene.resolved()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lost, ref)
            question = await scene.eve.hears(records.Question)
            await scene.eve.say(*ANSWERS[answer](question.id))
        await scene.is_turned_out()


async def lost(ref: ActorRef) -> None:
    with pytest.raises(ConnectionLostError):
        await ref.ask(Ping())


async def test_a_search_is_not_answered_by_a_reply(autojump_clock: MockClock) -> None:
    async with wild() as scene, trio.open_nursery() as nursery:

        async def look() -> None:
            with pytest.raises(NodeUnreachableError):
                await scene.honest.resolve(EVE)

        nursery.start_soon(look)
        asked = await scene.eve.hears(records.Find)
        await scene.eve.say(records.Reply(asked.id, encode(Value({"a": 1}))))
        await scene.is_turned_out()


HOSTILE_ERRORS = [
    records.Failed(0, "AskCycleError", "only one", ""),
    records.Failed(0, "CodecError", "x", "no bar"),
    records.Failed(0, "KeyboardInterrupt", "x", "", ("os", "system", "rm")),
    records.Failed(0, "", "", "", None),
]


@pytest.mark.parametrize("failed", HOSTILE_ERRORS, ids=lambda failed: failed.kind or "none")
async def test_an_error_that_another_node_makes_up_is_an_error_of_ours(
    autojump_clock: MockClock, failed: records.Failed
) -> None:
    async with wild() as scene:
        ref = await scene.resolved()
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(TrioaktError):
                    await ref.ask(Ping())

            nursery.start_soon(ask)
            question = await scene.eve.hears(records.Question)
            answer = msgspec.structs.replace(failed, id=question.id)
            await scene.eve.say(answer, answer, records.Reply(question.id, encode(Value("late"))))
        await scene.goes_on()


async def test_only_registered_messages_and_plain_data_are_let_in(autojump_clock: MockClock) -> None:
    async with wild() as scene:
        for name in ("os.system", "builtins.object", "trioakt.remote.records.Tell", "x" * 10_000):
            body = msgspec.msgpack.encode([name, 1, {"command": "true"}])
            await scene.eve.say(records.Question(1, scene.number, "", math.inf, body, {}, []))
            failed = await scene.eve.hears(records.Failed)
            assert failed.kind == "CodecError"
            assert len(failed.text) < 500
        reasons = {event.reason for event in scene.seen if isinstance(event, DeadLetter)}
        assert reasons == {DeadLetterReason.DECODE_FAILED}
        await scene.goes_on()


async def test_only_registered_kinds_are_spawned(autojump_clock: MockClock) -> None:
    async with wild(kinds=[Server]) as scene:
        for kind in ("tests.core.actors.Recorder", "subprocess.Popen", "tests.remote.nodes.Server.receive"):
            await scene.eve.say(records.Spawn(1, kind, "x", encode(Value([]))))
            assert "registered no kind" in (await scene.eve.hears(records.Failed)).text
        for name, body in (("$x", encode(Value([]))), ("a/b", encode(Value([]))), ("x", b"?"), ("x", encode(Value(1)))):
            await scene.eve.say(records.Spawn(1, "tests.remote.nodes.Server", name, body))
            await scene.eve.hears(records.Failed)
        assert [each.name for each in scene.honest.actors()] == ["ada"]
        assert scene.honest.actor(Recorder.__name__) is None


class Teller(Actor):
    """Tells who its parent is."""

    def receive(self, ctx: Context, msg: Any) -> None:
        ctx.reply(ctx.parent)


async def test_the_guardian_is_out_of_reach_even_for_who_was_given_its_ref(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", cookie=COOKIE) as (one, other):
        await other.spawn(Teller, name="teller")
        teller = await one.resolve("trioakt://bank@b:1/user/teller")
        guardian: Any = await teller.ask(Ping())
        guardian.kill()
        guardian.stop()
        await trio.sleep(1)
        assert await one.resolve("trioakt://bank@b:1/user/teller") == teller
        for path in ("/user", "/user/", "/", "/system"):
            with pytest.raises((ActorNotFoundError, ValueError)):
                await one.resolve(f"trioakt://bank@b:1{path}")


async def test_who_asks_and_does_not_read_the_answers_is_turned_out(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioakt.remote.session._UNREAD", 2**16)
    async with wild() as scene:
        scene.eve.reads = False
        for number in range(10_000):
            await scene.eve.say(records.Find(number, "/user/ada"))
            if scene.eve.over.is_set():
                break
        await scene.is_turned_out()


async def test_an_error_that_is_too_large_to_travel_ends_no_node(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", cookie=COOKIE) as (one, other):
        await other.spawn(Server, name="ada")
        ada = await one.resolve(ADA)
        with pytest.raises((ActorFailedError, ConnectionLostError)):
            await ada.ask(Fail("x" * (12 * 2**20)))
        await trio.sleep(10)
        assert await (await one.resolve(ADA)).ask(Ping("on")) == "pong on"


async def test_refs_to_ever_new_nodes_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with wild() as scene:
        for number in range(2000):
            sender = f"trioakt://bank@host{number}:1/user/x#{ZEROS}.1"
            await scene.eve.say(records.Tell(scene.number, sender, encode(Value(number)), {}))
        await trio.sleep(1)
        gc.collect()
        assert sum(isinstance(each, Peer) for each in gc.get_objects()) < 100


async def test_who_asks_too_much_at_once_is_turned_out(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioakt.remote.serving._MOST", 100)
    async with wild() as scene:
        await scene.eve.say(records.Tell(scene.number, "", encode(Slow(1)), {}))
        await scene.eve.say(*(records.Send(n, scene.number, "", encode(Ping()), {}) for n in range(101)))
        await scene.is_turned_out()


def no_order(msg: object) -> NoReturn:
    raise Trouble


async def test_a_mailbox_that_raises_harms_whoever_sends_to_it_and_not_its_node(autojump_clock: MockClock) -> None:
    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada", mailbox=Priority(no_order))
        ada = await one.resolve("trioakt://bank@b:1/user/ada")
        with collected(other, DeadLetter) as letters:
            ada.tell(Ping("told"))
            with pytest.raises(ActorFailedError):
                await ada.ask(Ping("asked"))
            with pytest.raises(ActorFailedError):
                await ada.send(Ping("sent"))
        assert [(letter.message, letter.reason) for letter in letters] == [(Ping("told"), DeadLetterReason.UNHANDLED)]
        await other.spawn(Server, name="eve")
        assert await (await one.resolve("trioakt://bank@b:1/user/eve")).ask(Ping("on")) == "pong on"


async def test_an_order_that_a_broken_mailbox_does_not_take_harms_no_node(autojump_clock: MockClock) -> None:
    class Broken(UnboundedQueue):
        def put_notice(self, envelope: Envelope) -> None:
            raise Trouble

    async with nodes("a", "b") as (one, other):
        await other.spawn(Server, name="ada", mailbox=Broken)
        ada = await one.resolve("trioakt://bank@b:1/user/ada")
        ada.tell(PoisonPill())
        assert await ada.ask(Ping("on")) == "pong on"
