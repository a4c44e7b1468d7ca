"""An account made of events: whatever ends the actor or the program, the next life goes on where the last one was."""

import tempfile
from pathlib import Path

import trio

from trioakt import ActorFailedError, ActorSystem, Context, Request, message
from trioakt.persistence import EventSourced, open_sqlite_journal


@message
class Deposit(Request[int]):  # what somebody wants: a command, answered with the balance
    amount: int


@message
class Withdraw(Request[int]):
    amount: int


@message(name="bank.deposited")  # what has happened: an event, stored for good under this name
class Deposited:
    amount: int


@message(name="bank.withdrawn")
class Withdrawn:
    amount: int


@message(name="bank.account")
class AccountState:
    balance: int = 0
    bookings: int = 0


class Account(EventSourced[AccountState]):
    snapshot_every = 100

    def __init__(self, owner: str) -> None:
        super().__init__(f"account-{owner}", AccountState())

    def apply(self, state: AccountState, event: Deposited | Withdrawn) -> AccountState:
        match event:
            case Deposited(amount):
                return AccountState(state.balance + amount, state.bookings + 1)
            case Withdrawn(amount):
                return AccountState(state.balance - amount, state.bookings + 1)

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Deposit(amount):
                await self.persist(Deposited(amount))
                ctx.reply(self.state.balance)  # it is on the disk by now
            case Withdraw(amount) if amount > self.state.balance:
                ctx.reply_to.fail(ValueError(f"there are only {self.state.balance}"))
            case Withdraw(amount):
                await self.persist(Withdrawn(amount))
                ctx.reply(self.state.balance)
            case _:
                ctx.unhandled()


async def run_the_bank(path: Path) -> None:
    async with (
        open_sqlite_journal(path) as journal,
        ActorSystem("bank", extensions=[journal]) as system,
    ):
        ada = await system.spawn(Account, "ada", name="ada")
        print("deposit 100:", await ada.ask(Deposit(100)))
        print("withdraw 30:", await ada.ask(Withdraw(30)))
        try:
            await ada.ask(Withdraw(500))
        except ActorFailedError as error:
            print("withdraw 500:", error.__cause__)

        ada.kill()
        await ada.wait_stopped()
        ada = await system.spawn(Account, "ada", name="ada")
        print("killed and spawned again, deposit 1:", await ada.ask(Deposit(1)))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for day in "Monday", "Tuesday":
            print(f"-- {day}")
            await run_the_bank(Path(folder, "bank.db"))


if __name__ == "__main__":
    trio.run(main)
