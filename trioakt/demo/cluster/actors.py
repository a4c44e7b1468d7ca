"""What lives on the nodes: parsers, a grain for each device, and the one that adds everything up.

A device stores each reading before it acknowledges it, and knows by its number one that it has stored already. So
who has no answer asks again, and still each reading counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from trioakt import Actor, ActorNotFoundError, Context, Request, message
from trioakt.demo.cluster.telemetry import parse
from trioakt.grains.persistent import EventSourcedGrain
from trioakt.lowlevel import SpawnOptions

AGGREGATOR = "aggregator"
"""The name of the singleton."""
ALARMS = "alarms"
"""The topic."""
JUMP = 1024
"""Kilobytes: a change of more than this, and of more than a tenth, is an alarm."""


@message
class Parse(Request[dict[str, int]]):
    """Which readings are in these lines? Answered with kilobytes by device."""

    lines: list[str]


@message
class Reading(Request["Acknowledged"]):
    """Count this; the first reading of a device has the number 1."""

    number: int
    kilobytes: int


@message
class Acknowledged:
    """All readings up to this number are stored."""

    number: int
    node: str


@message
class Recorded:
    """What a device stores of a reading."""

    kilobytes: int


@message
class Account:
    """What a device, or all together, has counted."""

    readings: int = 0
    kilobytes: int = 0


@message
class Audit(Request[Account]):
    """What have you counted?"""


@message
class Counted:
    """A device tells what it has counted so far."""

    device: str
    account: Account


@message
class Overview:
    """What the aggregator has heard, and where it is."""

    node: str
    devices: int
    account: Account


@message
class TakeStock(Request[Overview]):
    """What have you heard?"""


@message
class Alarm:
    """A device has jumped."""

    device: str
    before: int
    now: int


class Parser(Actor):
    """Turns lines into readings, and leaves out what is none."""

    def receive(self, ctx: Context, msg: Parse) -> None:
        ctx.reply(parse(msg.lines))


@message
class Record:
    """The state of a device."""

    account: Account = Account()
    latest: int = 0


class Device(EventSourcedGrain[Record]):
    """Counts the readings of one device, each once."""

    snapshot_every = 20
    options: ClassVar[SpawnOptions] = {"init_timeout": 30.0}

    def __init__(self) -> None:
        super().__init__(Record())

    async def pre_start(self, ctx: Context) -> None:
        await super().pre_start(ctx)
        aggregator = await ctx.system.locate(AGGREGATOR)
        if aggregator is None:
            raise ActorNotFoundError(f"the cluster has no {AGGREGATOR}")
        self.aggregator = aggregator

    def apply(self, state: Record, event: Recorded) -> Record:
        account = Account(state.account.readings + 1, state.account.kilobytes + event.kilobytes)
        return Record(account, event.kilobytes)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Reading(number, kilobytes):
                if number > self.state.account.readings:  # or it was stored, and the answer was lost
                    await self.record(ctx, kilobytes)
                ctx.reply(Acknowledged(self.state.account.readings, node_of(ctx)))
            case Audit():
                ctx.reply(self.state.account)
            case _:
                ctx.unhandled()
        self.aggregator.tell(Counted(ctx.identity, self.state.account))

    async def record(self, ctx: Context, kilobytes: int) -> None:
        before = self.state.latest
        await self.persist(Recorded(kilobytes))
        if before and abs(kilobytes - before) > max(JUMP, before // 10):
            ctx.system.topics.publish(ALARMS, Alarm(ctx.identity, before, kilobytes))


class Aggregator(Actor):
    """Adds up what the devices tell; wherever it starts anew, they tell it again."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Counted(device, account):
                self.accounts[device] = account
            case TakeStock():
                ctx.reply(Overview(node_of(ctx), len(self.accounts), total(self.accounts.values())))
            case _:
                ctx.unhandled()


def total(accounts: Iterable[Account]) -> Account:
    """Add accounts up."""
    each = list(accounts)
    return Account(sum(one.readings for one in each), sum(one.kilobytes for one in each))


def node_of(ctx: Context) -> str:
    """Return the name of the node."""
    return ctx.system.endpoint.remote.node or ctx.system.name
