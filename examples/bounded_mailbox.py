"""A bounded mailbox: what becomes of a message that finds it full, and how `send` waits for room instead."""

import trio
import trio.testing

from trioakt import ActorSystem, Bounded, Context, DeadLetterReason, MailboxFullError, Overflow, PoisonPill, message


@message
class Order:
    number: int


async def cook(ctx: Context, order: Order, cooked: list[int]) -> None:
    await trio.sleep(1.0)
    cooked.append(order.number)


async def shout(system: ActorSystem, overflow: Overflow) -> None:
    """Tell six orders at once to a kitchen that has room for three."""
    cooked: list[int] = []
    refused: list[int] = []
    kitchen = await system.spawn_func(cook, cooked, mailbox=Bounded(3, overflow=overflow))
    for number in range(1, 7):
        try:
            kitchen.tell(Order(number))  # `tell` never waits
        except MailboxFullError:
            refused.append(number)
    kitchen.tell(PoisonPill())
    await kitchen.wait_stopped()
    print(f"{overflow.name}: cooked {cooked}, refused {refused}")


async def hand_over(system: ActorSystem) -> None:
    """Send six orders, each when there is room for it."""
    cooked: list[int] = []
    waiting: list[int] = []
    kitchen = await system.spawn_func(cook, cooked, mailbox=Bounded(3))
    for number in range(1, 7):
        await kitchen.send(Order(number))  # backpressure: the waiter is slowed down to the pace of the kitchen
        waiting.append(kitchen.statistics().depth)
    kitchen.tell(PoisonPill())
    await kitchen.wait_stopped()
    print(f"send: cooked {cooked}, never more than {max(waiting)} waiting")


async def main() -> None:
    async with ActorSystem("restaurant") as system:
        for overflow in Overflow:
            await shout(system, overflow)
        await hand_over(system)
        dropped = system.statistics().dead_letters_by_reason[DeadLetterReason.MAILBOX_FULL]
        print(f"dropped orders that became dead letters: {dropped}")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
