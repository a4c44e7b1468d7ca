"""Blocking code in threads reaches the actors by the portal, which blocks its own thread and no other."""

import threading
import time

import trio

from trioakt import Actor, ActorFailedError, ActorRef, ActorSystem, Context, ReplyTo, Request, message


@message
class Deposit:
    amount: int


@message
class Withdraw(Request[int]):
    """Answered with what is left."""

    amount: int


@message
class Audit(Request[str]):
    """Answered at the end of the month."""


class Account(Actor):
    def __init__(self) -> None:
        self.balance = 0
        self.audits: list[ReplyTo] = []

    def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Deposit(amount):
                self.balance += amount
            case Withdraw(amount) if amount > self.balance:
                ctx.reply_to.fail(ValueError(f"{amount} wanted, {self.balance} there"))
            case Withdraw(amount):
                self.balance -= amount
                ctx.reply(self.balance)
            case Audit():
                self.audits.append(ctx.reply_to)
            case _:
                ctx.unhandled()


def cash_machine(system: ActorSystem, account: ActorRef) -> None:
    """Serve one customer; it knows nothing of Trio and may block as it likes."""
    assert threading.current_thread() is not threading.main_thread()
    time.sleep(0.01)
    system.portal.tell(account, Deposit(100))
    print("left:", system.portal.ask(account, Withdraw(30)))  # an int, to the type checker too
    try:
        system.portal.ask(account, Withdraw(500))
    except ActorFailedError as error:
        print("refused:", error.__cause__)
    try:
        system.portal.ask(account, Audit(), timeout=0.05)
    except TimeoutError as error:
        print("given up:", error)
    try:
        account.tell(Deposit(1))  # without the portal: found out, and nothing is harmed
    except RuntimeError as error:
        print("refused:", error)


async def main() -> None:
    async with ActorSystem("bank") as system:
        account = await system.spawn(Account, name="account")
        await trio.to_thread.run_sync(cash_machine, system, account)


if __name__ == "__main__":
    trio.run(main)
