"""One codec serves many threads, and refs travel by whoever knows the nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from tests.codec.shapes import Anything, Pointing, Untyped, refused, round_trip
from tests.codec.test_round_trips import MESSAGES
from trioakt import Actor, ActorRef, ActorSystem, Context
from trioakt.codec import Codec
from trioakt.codec.packing import pack, unpack
from trioakt.lowlevel import Address


class Idle(Actor):
    async def receive(self, ctx: Context, msg: object) -> None: ...


class Book:
    """Knows refs by their addresses, as remoting does."""

    def __init__(self, *refs: ActorRef[Any]) -> None:
        self.refs = {ref.address: ref for ref in refs}

    def write_ref(self, ref: ActorRef[Any]) -> str:
        return ref.address

    def read_ref(self, text: str) -> ActorRef[Any]:
        if text not in self.refs:
            raise ValueError(f"no actor at {text}")
        return self.refs[text]

    def write_address(self, address: Address) -> str:
        return str(address)

    def read_address(self, text: str) -> Address:
        return Address.parse(text)


def test_many_threads_meet_new_types_at_once() -> None:
    for _ in range(5):
        codec, barrier = Codec(), Barrier(8)

        def work(number: int, codec: Codec = codec, barrier: Barrier = barrier) -> None:
            barrier.wait()
            for message in [*MESSAGES[number:], *MESSAGES[:number]]:
                assert round_trip(message, codec) == message

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))


async def test_refs_and_addresses_travel_in_every_place() -> None:
    async with ActorSystem("bank") as system:
        ref = await system.spawn(Idle, name="ada")
        codec = Codec(refs=Book(ref))
        home = Address("bank", "127.0.0.1:4041", "/user/ada")
        for message in (Pointing(ref, home), Anything([ref, {"home": home}]), Untyped[Any](ref, [home]), Pointing()):
            assert round_trip(message, codec) == message


async def test_a_ref_that_cannot_be_read_is_refused() -> None:
    async with ActorSystem("bank") as system:
        ref = await system.spawn(Idle, name="ada")
        data = Codec(refs=Book(ref)).encode(Pointing(ref))
        error = refused(Codec(refs=Book()).decode, data)
        assert error.field_path == "to"
        assert "no actor at trioakt://bank/user/ada" in str(error.__cause__ or error)
        name, version, _ = unpack(data)
        assert "an address" in str(refused(Codec(refs=Book(ref)).decode, pack([name, version, {"to": 7}])))
        refused(Codec(refs=Book(ref)).decode, data.replace(b"ada", b"\xc3\xa4a"))


async def test_without_the_protocol_refs_are_refused() -> None:
    async with ActorSystem("bank") as system:
        ref = await system.spawn(Idle, name="ada")
        data = Codec(refs=Book(ref)).encode(Pointing(ref))
        for error in (refused(Codec().encode, Pointing(ref)), refused(Codec().decode, data)):
            assert error.field_path == "to"
            assert "no `refs`" in str(error)
