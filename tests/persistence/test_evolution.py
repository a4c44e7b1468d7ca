"""Events and states of an earlier release, read by a later one."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from trioakt import ActorSystem, CodecError, Context, RecoveryError, Request, StartError, message, upcast
from trioakt.codec import Codec
from trioakt.persistence import EventSourced, MemoryJournal


@message(name="test.paid")
class PaidCents:
    """As it was: in one currency."""

    cents: int


@message(name="test.paid", version=2)
class Paid:
    """As it is."""

    amount: int
    currency: str


@upcast("test.paid", 1)
def add_currency(old: dict[str, Any]) -> dict[str, Any]:
    return {"amount": old["cents"], "currency": "EUR"}


@message(name="test.purse")
class PurseOfCents:
    """As it was."""

    cents: int = 0


@message(name="test.purse", version=2)
class Purse:
    """As it is."""

    amounts: dict[str, int]


@upcast("test.purse", 1)
def sort_by_currency(old: dict[str, Any]) -> dict[str, Any]:
    return {"amounts": {"EUR": old["cents"]}}


@message
class Show(Request[Purse]):
    pass


class PurseKeeper(EventSourced[Purse]):
    def __init__(self) -> None:
        super().__init__("purse", Purse({}))

    def apply(self, state: Purse, event: Paid) -> Purse:
        before = state.amounts.get(event.currency, 0)
        return Purse({**state.amounts, event.currency: before + event.amount})

    async def receive(self, ctx: Context, msg: Any) -> None:
        await self.persist(Paid(5, "USD"))
        ctx.reply(self.state)


async def journal_of_an_earlier_release() -> MemoryJournal:
    journal, encode = MemoryJournal(), Codec().encode
    await journal.append("purse", 0, [encode(PaidCents(1)), encode(PaidCents(2))])
    await journal.save_snapshot("purse", 2, 2, encode(PurseOfCents(3)))
    await journal.append("purse", 2, [encode(PaidCents(4))])
    return journal


async def test_old_events_and_an_old_state_are_upcast_when_they_are_read(autojump_clock: MockClock) -> None:
    journal = await journal_of_an_earlier_release()
    for life in range(3):
        async with ActorSystem("test", extensions=[journal]) as system:
            keeper = await system.spawn(PurseKeeper)
            assert await keeper.ask(Show()) == Purse({"EUR": 7, "USD": 5 * (life + 1)})


async def test_an_event_of_a_later_release_stops_the_recovery(autojump_clock: MockClock) -> None:
    journal = await journal_of_an_earlier_release()
    present = Codec().encode(Paid(1, "EUR"))
    await journal.append("purse", 3, [present.replace(b"test.paid\x02", b"test.paid\x03")])
    async with ActorSystem("test", extensions=[journal]) as system:
        with pytest.raises(StartError) as failed:
            await system.spawn(PurseKeeper)
    error = failed.value.__cause__
    assert isinstance(error, RecoveryError)
    assert (error.sequence, type(error.__cause__)) == (4, CodecError)
