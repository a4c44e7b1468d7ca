"""A saga: money moves between accounts in steps, each stored before the next; what cannot be finished is undone.

    begun -> withdrawn -> done
                       -> declined (the target takes no more) -> undone
          -> refused (the source has not enough)

The program starts its own service, kills it in the middle, and starts it again: nothing is lost, nothing done twice.
"""

import subprocess
import sys
import tempfile
from collections import Counter

import attrs
import trio

from trioakt import ActorRef, ActorSystem, Context, PipeFailed, ReplyTo, Request, message
from trioakt.persistence import EventSourced, Journal, open_sqlite_journal


@message
class Book(Request[bool]):
    """Put so many cents into an account, or take them out; whoever doubts that it was done, asks again with the key."""

    key: str
    cents: int
    must: bool = False
    """Whether it cannot be refused."""


@message(name="account.booked")
class Booked:
    key: str
    cents: int


@attrs.frozen
class Ledger:
    balance: int = 0
    keys: frozenset[str] = frozenset()


@message
class Balance(Request[int]):
    pass


class Account(EventSourced[Ledger]):
    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"account/{name}", Ledger())
        self.limit = limit

    def apply(self, state: Ledger, event: Booked) -> Ledger:
        return Ledger(state.balance + event.cents, state.keys | {event.key})

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Book(key) if key in self.state.keys:
                ctx.reply(True)
            case Book(key, cents, must) if must or 0 <= self.state.balance + cents <= self.limit:
                await self.persist(Booked(key, cents))
                ctx.reply(True)
            case Book():
                ctx.reply(False)
            case Balance():
                ctx.reply(self.state.balance)
            case _:
                ctx.unhandled()


@message(name="transfer")
class Transfer(Request[str]):
    """Answered with ``done``, ``undone`` or ``refused``; it can be asked again under its number."""

    number: int
    source: str
    target: str
    cents: int


@message(name="transfer.begun")
class Begun:
    transfer: Transfer


@message(name="transfer.reached")
class Reached:
    number: int
    step: str


@message
class Answered:
    """An account has answered to what was asked ``after`` a step."""

    number: int
    after: str
    step: str


ENDS = {"done", "undone", "refused"}


@attrs.frozen
class Saga:
    transfer: Transfer
    step: str = "begun"


class Transfers(EventSourced[dict[int, Saga]]):
    """Sees all transfers through; in a new life it goes on with those that are under way."""

    def __init__(self, accounts: dict[str, ActorRef]) -> None:
        super().__init__("transfers", {})
        self.accounts = accounts
        self.askers: dict[int, list[ReplyTo]] = {}

    def apply(self, state: dict[int, Saga], event: Begun | Reached) -> dict[int, Saga]:
        match event:
            case Begun(transfer):
                return {**state, transfer.number: Saga(transfer)}
            case Reached(number, step):
                return {**state, number: Saga(state[number].transfer, step)}

    async def pre_start(self, ctx: Context) -> None:
        await super().pre_start(ctx)
        for saga in self.state.values():
            self.proceed(ctx, saga)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Transfer(number):
                self.askers.setdefault(number, []).append(ctx.reply_to)
                if number not in self.state:
                    await self.persist(Begun(msg))
                    self.proceed(ctx, self.state[number])
                elif self.state[number].step in ENDS:
                    self.proceed(ctx, self.state[number])
            case Answered(number, after, step):
                if self.state[number].step == after:  # otherwise it is an answer to an earlier life
                    await self.persist(Reached(number, step))
                    self.proceed(ctx, self.state[number])
            case PipeFailed(failure):
                raise RuntimeError(f"an account does not answer: {failure}")
            case _:
                ctx.unhandled()

    def proceed(self, ctx: Context, saga: Saga) -> None:
        """Ask for what comes after the step that was reached; every question can be asked twice."""
        number, cents = saga.transfer.number, saga.transfer.cents
        match saga.step:
            case "begun":
                self.book(ctx, saga, saga.transfer.source, Book(f"{number}/withdraw", -cents), "withdrawn", "refused")
            case "withdrawn":
                self.book(ctx, saga, saga.transfer.target, Book(f"{number}/deposit", cents), "done", "declined")
            case "declined":
                refund = Book(f"{number}/refund", cents, must=True)
                self.book(ctx, saga, saga.transfer.source, refund, "undone", "undone")
            case end:
                for asker in self.askers.pop(number, ()):
                    asker.reply(end)

    def book(self, ctx: Context, saga: Saga, account: str, booking: Book, yes: str, no: str) -> None:
        def answered(booked: bool) -> Answered:
            return Answered(saga.transfer.number, saga.step, yes if booked else no)

        ctx.pipe_to(ctx.self, self.accounts[account].ask, booking, wrap=answered)


ACCOUNTS = {"ada": (500_00, 10_000_00), "bob": (500_00, 10_000_00), "cyd": (0, 0), "dan": (0, 10_000_00)}
"""What is in them at first, and the most they take: nothing at all goes into that of cyd, dan has nothing to give."""

WAYS = [("ada", "bob"), ("ada", "cyd"), ("dan", "ada"), ("bob", "ada")]
TRANSFERS = [Transfer(number, *WAYS[number % len(WAYS)], 5_00 + number) for number in range(40)]


async def serve(journal: Journal, openings: dict[str, tuple[int, int]], transfers: list[Transfer]) -> None:
    """Make the transfers; those that were made before are not made again, for they have the same numbers."""
    async with ActorSystem("bank", extensions=[journal]) as system:
        accounts = {name: await system.spawn(Account, name, limit, name=name) for name, (_, limit) in openings.items()}
        for name, (cents, _) in openings.items():
            await accounts[name].ask(Book("opening", cents, must=True))
        sagas = await system.spawn(Transfers, accounts, name="transfers")
        async with trio.open_nursery() as nursery:
            for transfer in transfers:
                nursery.start_soon(make, sagas, transfer)
        print("balances:", {name: await account.ask(Balance()) for name, account in accounts.items()})


async def make(sagas: ActorRef, transfer: Transfer) -> None:
    print(transfer.number, await sagas.ask(transfer), flush=True)


async def run(file: str) -> None:
    async with open_sqlite_journal(file) as journal:
        await serve(journal, ACCOUNTS, TRANSFERS)


def demonstrate(file: str) -> None:
    service = [sys.executable, __file__, file]
    with subprocess.Popen(service, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        seen = [first.stdout.readline() for _ in range(10)]
        first.kill()
    print(f"killed when {len(seen)} transfers were through")
    *outcomes, balances = subprocess.run(service, capture_output=True, text=True, check=True).stdout.splitlines()
    print("outcomes:", dict(sorted(Counter(line.split()[1] for line in outcomes).items())))
    print("what was answered before the end is still true:", {line.strip() for line in seen} <= set(outcomes))
    print(balances)


if __name__ == "__main__":
    if sys.argv[1:]:
        trio.run(run, sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as directory:
            demonstrate(f"{directory}/bank.db")
