"""What those get who should get nothing: strangers, eavesdroppers, bearers of bad certificates, members run wild."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock

from tests.core.actors import collected
from tests.remote.authority import Authority
from tests.remote.nodes import Net, Ping, Server, Slow, nodes
from tests.remote.strangers import COOKIE, Stranger, stranger
from tests.remote.test_nng import GREETING
from trioakt import (
    ActorSystem,
    NodeUnreachableError,
    Remote,
    Tls,
)
from trioakt.codec import Codec
from trioakt.remote.frames import Alive, Hello, Proof, encode_frame
from trioakt.remote.links import LinkLost, LinkRefused, LinkUp
from trioakt.remote.nng import NngTransport
from trioakt.remote.session import Rules, sealed

ADA = "trioakt://bank@b:1/user/ada"
EVE = "trioakt://bank@eve:1/user/eve"
encode = Codec().encode


# ------------------------------------------------------------------------- certificates


def secure(node: str, tls: Tls) -> ActorSystem:
    return ActorSystem("bank", remote=Remote("tls+tcp://127.0.0.1:0", node=node, tls=tls, cookie=COOKIE))


def of_a_rogue(ours: Authority, rogue: Authority) -> Tls:
    return rogue.tls("eve", "127.0.0.1", trusts=ours.ca)


def expired(ours: Authority, rogue: Authority) -> Tls:
    return ours.tls("eve", "127.0.0.1", valid=False)


def of_another_node(ours: Authority, rogue: Authority) -> Tls:
    return ours.tls("mallory", "127.0.0.1")


@pytest.mark.parametrize("bad", [of_a_rogue, expired, of_another_node])
async def test_a_node_without_a_good_certificate_reaches_nobody_and_is_reached_by_nobody(
    authority: Authority, rogue: Authority, bad: Callable[[Authority, Authority], Tls]
) -> None:
    log: list[Any] = []
    async with (
        secure("b", authority.tls("b", "127.0.0.1")) as honest,
        secure("eve", bad(authority, rogue)) as eve,
        secure("c", authority.tls("c", "127.0.0.1")) as friend,
    ):
        ada = await honest.spawn(Server, log, name="ada")
        await eve.spawn(Server, log, name="ada")
        with collected(honest, LinkUp) as ups, trio.fail_after(30):
            with pytest.raises(NodeUnreachableError):
                await eve.resolve(ada.address)
            with pytest.raises(NodeUnreachableError):
                await honest.resolve(f"{eve.address}/user/ada")
            assert ups == []
            assert await (await friend.resolve(ada.address)).ask(Ping("friend")) == "pong friend"
    assert log == [Ping("friend")]


async def test_a_node_without_any_certificate_is_not_heard(authority: Authority) -> None:
    async with secure("b", authority.tls("b", "127.0.0.1")) as honest:
        port = int(honest.address.rpartition(":")[2])
        with collected(honest, LinkUp, LinkRefused) as seen:
            await trio.to_thread.run_sync(_speak_without_certificate, port)
            await trio.sleep(0.2)
        assert seen == []


def _speak_without_certificate(port: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as plain:
        try:
            with context.wrap_socket(plain) as stream:
                stream.sendall(GREETING + b"\0" * 7 + b"\x05hello")
                while stream.recv(1000):
                    pass
        except OSError:
            return


@pytest.mark.parametrize(
    "address", [f"127.0.0.1:{'9' * 30}", "127.0.0.1:65536", "a..b:1", "\0:1", "é" * 200 + ":1", ""]
)
async def test_an_address_that_cannot_be_is_no_more_than_refused(authority: Authority, address: str) -> None:
    async with (
        secure("b", authority.tls("b", "127.0.0.1")) as honest,
        secure("c", authority.tls("c", "127.0.0.1")) as friend,
    ):
        ada = await honest.spawn(Server, name="ada")
        url = f"tls+tcp://{honest.address.partition('@')[2]}"
        transport = NngTransport(tls=authority.tls("eve", "127.0.0.1"))
        async with stranger(transport, "tls+tcp://127.0.0.1:0", url) as eve:
            with trio.fail_after(20):
                await eve.say(eve.hello(COOKIE, address=address))
                await eve.turned_out.wait()
                assert await (await friend.resolve(ada.address)).ask(Ping("on")) == "pong on"


# ---------------------------------------------------------------------------- strangers


@asynccontextmanager
async def intruded(**settings: Any) -> AsyncGenerator[tuple[Net, ActorSystem, Stranger]]:
    """A node b with an actor, and a stranger who has connected to it."""
    async with nodes("b", cookie=COOKIE, **settings) as net:
        honest = net.systems["b"]
        await honest.spawn(Server, name="ada")
        async with stranger(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve:
            yield net, honest, eve


@pytest.mark.parametrize("cookie", [b"", b"guess"])
async def test_without_the_cookie_a_stranger_is_told_nothing_at_all(autojump_clock: MockClock, cookie: bytes) -> None:
    async with intruded() as (_, honest, eve):
        with collected(honest, LinkRefused, LinkUp) as seen:
            await eve.say(eve.hello(cookie))
            await eve.turned_out.wait()
            await trio.sleep(10)
        assert [event.reason for event in seen] == ["it does not hold the same cookie"]
        assert eve.frames == []


@pytest.mark.parametrize("changes", [{"address": "eve:1"}, {"node": "b"}, {"challenge": b"x"}, {"seal": b""}])
async def test_an_overheard_hello_cannot_be_made_over(autojump_clock: MockClock, changes: dict[str, Any]) -> None:
    async with intruded() as (_, _, eve):
        overheard = eve.hello(COOKIE, address="a:1", node="a")
        await eve.say(msgspec.structs.replace(overheard, **changes))
        await eve.turned_out.wait()
        assert not await eve.hears(Hello)


async def test_who_has_taken_over_an_address_and_an_old_hello_gets_no_further_than_the_proof(
    autojump_clock: MockClock,
) -> None:
    for answer in (None, Proof(b""), Proof(b"\0" * 32)):
        async with intruded() as (_, honest, eve):
            with collected(honest, LinkRefused, LinkUp) as seen:
                await eve.say(eve.hello(COOKIE))
                assert await eve.hears(Proof)
                proof = next(frame for frame in eve.frames if isinstance(frame, Proof))
                await eve.say(answer or proof)
                await eve.turned_out.wait()
            assert [type(event) for event in seen] == [LinkRefused]
            assert "cookie" in seen[0].reason


async def test_who_never_proves_anything_is_turned_out_whatever_signs_of_life_there_are(
    autojump_clock: MockClock,
) -> None:
    async with intruded() as (_, _, eve):
        await eve.say(eve.hello(COOKIE))
        with trio.fail_after(3):
            while not eve.turned_out.is_set():
                await eve.say(Alive(0))
                await trio.sleep(0.1)


async def test_who_says_nothing_hinders_nobody(autojump_clock: MockClock) -> None:
    async with intruded() as (net, _, eve):
        await trio.sleep(60)
        friend = await net.start("a")
        assert await (await friend.resolve(ADA)).ask(Ping("yes")) == "pong yes"
        assert eve.frames == []


@pytest.mark.parametrize("data", [b"", b"x" * 100_000, b"\x91" * 8000, b"\x92\x03\x00", b"\xff"])
async def test_a_first_frame_that_is_no_hello_is_the_last_one(autojump_clock: MockClock, data: bytes) -> None:
    async with intruded() as (_, honest, eve):
        with collected(honest, LinkRefused) as refused:
            await eve.say(data)
            await eve.turned_out.wait()
        assert len(refused) == 1
        assert len(refused[0].reason) < 500
        assert eve.frames == []


async def test_a_hello_in_the_name_of_another_node_disturbs_no_session(autojump_clock: MockClock) -> None:
    async with intruded() as (net, honest, eve):
        friend = await net.start("a")
        ada = await friend.resolve(ADA)
        with collected(honest, LinkLost, LinkUp) as here, collected(friend, LinkLost, LinkUp) as there:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ada.ask, Slow(5))
                for _ in range(20):
                    await eve.say(eve.hello(COOKIE, address="a:1", node="a"))
                    await trio.sleep(0.2)
            assert await ada.ask(Ping("still")) == "pong still"
        assert here == there == []


async def test_hellos_in_the_name_of_another_node_do_not_keep_it_from_being_reached(
    autojump_clock: MockClock,
) -> None:
    async with nodes("a", "b", cookie=COOKIE) as net:
        net.network.delay(0.01, 0.02)
        honest, friend = net.systems["b"], net.systems["a"]
        await friend.spawn(Server, name="ada")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(claim, net, "a:1")
            await trio.sleep(1)
            ada = await honest.resolve("trioakt://bank@a:1/user/ada")
            assert await ada.ask(Ping("yes")) == "pong yes"
            nursery.cancel_scope.cancel()


async def claim(net: Net, address: str) -> None:
    """Say again and again that one is the node at an address."""
    while True:
        async with stranger(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve:
            await eve.say(eve.hello(COOKIE, address=address, node="a"))
            await trio.sleep(0.005)


async def test_a_flood_of_hellos_without_the_cookie_keeps_nobody_out(autojump_clock: MockClock) -> None:
    async with nodes("b", cookie=COOKIE) as net:
        await net.systems["b"].spawn(Server, name="ada")
        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(knock, net, f"eve-{number}", b"")
            friend = await net.start("a")
            assert await (await friend.resolve(ADA)).ask(Ping("yes")) == "pong yes"
            await trio.sleep(0.5)
            assert net.network.statistics().links <= 4
            nursery.cancel_scope.cancel()


async def test_a_flood_of_overheard_hellos_is_bounded_and_passes(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", cookie=COOKIE) as net:
        honest = net.systems["b"]
        await net.systems["a"].spawn(Server, name="ada")
        net.network.delay(100, 100, between=("b", "nowhere"))
        with collected(honest, LinkRefused) as refused:
            async with trio.open_nursery() as nursery:
                for number in range(300):
                    nursery.start_soon(knock, net, f"eve-{number}", COOKIE)
                await trio.sleep(0.5)
                assert sum("too many" in event.reason for event in refused) == 300 - 64
                assert (await honest.resolve("trioakt://bank@a:1/user/ada")).is_alive
                nursery.cancel_scope.cancel()
        await honest.spawn(Server, name="ada")
        await trio.sleep(5)
        friend = await net.start("c")
        assert await (await friend.resolve(ADA)).ask(Ping("later")) == "pong later"


async def knock(net: Net, host: str, cookie: bytes) -> None:
    async with stranger(net.network.transport(host), f"mem://{host}:1", "mem://b:1") as eve:
        await eve.say(eve.hello(cookie, address=f"nowhere:{host.rpartition('-')[2]}1"))
        await trio.sleep_forever()


async def test_a_relay_at_another_address_is_not_taken_for_the_node_behind_it(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", cookie=COOKIE) as net:
        await net.systems["b"].spawn(Server, name="ada")
        transport = net.network.transport("relay")
        async with transport.listen("mem://relay:1") as listener, trio.open_nursery() as nursery:

            async def relay() -> None:
                link = await transport.dial("mem://b:1")
                while True:
                    arrived: Any = await listener.receive()
                    await link.send(arrived.data)

            nursery.start_soon(relay)
            with pytest.raises(NodeUnreachableError, match="calls itself b:1"):
                await net.systems["a"].resolve("trioakt://bank@relay:1/user/ada")
            nursery.cancel_scope.cancel()


async def test_silent_and_half_connections_at_the_socket_keep_nobody_out() -> None:
    async with ActorSystem("bank", remote=Remote(node="b", cookie=COOKIE)) as honest:
        ada = await honest.spawn(Server, name="ada")
        port = int(honest.address.rpartition(":")[2])
        openings = [b"", GREETING[:4], GREETING, GREETING + b"\0" * 7, GREETING + b"\0\0\0\0\0\0\x10\0" + b"x"]
        strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        try:
            for number, each in enumerate(strangers):
                each.sendall(openings[number % len(openings)])
            async with ActorSystem("bank", remote=Remote(node="a", cookie=COOKIE)) as friend:
                with trio.fail_after(20):
                    assert await (await friend.resolve(ada.address)).ask(Ping("yes")) == "pong yes"
        finally:
            for each in strangers:
                each.close()


async def test_a_member_cannot_take_the_place_of_another(autojump_clock: MockClock) -> None:
    async with nodes("a", "b", cookie=COOKIE) as net:
        await net.systems["b"].spawn(Server, name="ada")
        ada = await net.systems["a"].resolve(ADA)
        with collected(net.systems["b"], LinkLost, LinkUp) as seen:
            async with stranger(net.network.transport("eve"), "mem://eve:1", "mem://b:1") as eve:
                await eve.say(eve.hello(COOKIE, address="a:1", node="a"))
                assert not await eve.hears(Hello)
            assert await ada.ask(Ping("mine")) == "pong mine"
        assert seen == []


# ------------------------------------------------------------------------------ secrets


async def test_the_cookie_shows_nowhere(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    secret = "open-sesame"
    remote = Remote(cookie=secret)
    assert secret not in repr(remote)
    assert secret not in str(attrs.evolve(remote, node="x"))
    assert secret not in repr(Rules(secret.encode(), 0.5, 2.0, 2**16))
    async with nodes("a", cookie=secret) as net:
        other = await net.start("b", cookie="another")
        with collected(net.systems["a"], LinkRefused) as refused, pytest.raises(NodeUnreachableError) as caught:
            await other.resolve("trioakt://bank@a:1/user/x")
    told = f"{refused!r} {caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert refused
    assert secret not in told
    assert "another" not in told.replace("another session", "")


@pytest.mark.parametrize("cookie", ["", b""])
def test_an_empty_cookie_is_refused_and_not_taken_for_none(cookie: str | bytes) -> None:
    with pytest.raises(ValueError, match="cookie"):
        Remote(cookie=cookie)


def test_a_proof_and_a_seal_are_never_the_same_for_two_hellos() -> None:
    hello = Hello(1, "bank", "a", "a:1", b"i", b"s", b"c", b"")
    seals = {sealed(msgspec.structs.replace(hello, **{name: value}), COOKIE).seal for name, value in CHANGED.items()}
    assert len(seals) == len(CHANGED)
    assert encode_frame(sealed(hello, COOKIE)) != encode_frame(sealed(hello, b"other"))


CHANGED: dict[str, Any] = {
    "protocol": 2,
    "system": "b",
    "node": "b",
    "address": "b:1",
    "incarnation": b"j",
    "session": b"t",
    "challenge": b"d",
    "answers": b"x",
}
