"""What an ask returns to the type checkers, without any plugin: they judge this file in `nox -s typing`."""

from __future__ import annotations

from typing import assert_type

import attrs
import pytest

from trioakt import Actor, ActorSystem, Context, Request, message


@message
class Deposit:
    amount: int


@message
class Balance(Request[int]):
    pass


@message
class Owners(Request[list[str]]):
    pass


class Account(Actor):
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.balance = 0

    async def receive(self, ctx: Context, msg: object) -> None:
        match msg:
            case Deposit(amount):
                assert_type(amount, int)
                self.balance += amount
            case Balance():
                ctx.reply(self.balance)
            case Owners():
                ctx.reply([self.owner])
            case _:
                ctx.unhandled()


async def test_the_reply_has_the_type_that_the_request_names() -> None:
    async with ActorSystem("bank") as system:
        account = await system.spawn(Account, "ada", name="ada")
        account.tell(Deposit(10))
        assert assert_type(await account.ask(Balance()), int) == 10
        assert assert_type(await account.ask(Owners()), list[str]) == ["ada"]


async def test_a_reply_has_nothing_that_its_type_has_not() -> None:
    async with ActorSystem("bank") as system:
        account = await system.spawn(Account, "ada")
        reply = await account.ask(Balance())
        with pytest.raises(AttributeError):
            reply.upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def test_a_message_is_built_from_its_fields_and_frozen() -> None:
    deposit = Deposit(amount=3)
    assert assert_type(deposit.amount, int) == 3
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        deposit.amount = 4  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
