"""A turnstile: each state is a method, and `become` goes from one to the other."""

import enum

import trio

from trioakt import Actor, ActorSystem, Context, PoisonPill


class Visitor(enum.Enum):
    COIN = "coins"
    PUSH = "visitors"


class Technician(enum.Enum):
    OPENS = "opens the lid"
    CLOSES = "closes the lid"


class Turnstile(Actor):
    def receive(self, ctx: Context, msg: object) -> None:
        """Be locked: every actor begins with `receive`."""
        match msg:
            case Visitor.COIN:
                print("locked: thank you, please go through")
                ctx.become(self.unlocked)
            case Visitor.PUSH:
                print("locked: please pay first")
            case _:
                self.in_any_state(ctx, msg)

    def unlocked(self, ctx: Context, msg: object) -> None:
        match msg:
            case Visitor.COIN:
                print("unlocked: here is your coin back")
            case Visitor.PUSH:
                print("unlocked: welcome")
                ctx.become(self.receive)
            case _:
                self.in_any_state(ctx, msg)

    def in_service(self, ctx: Context, msg: object) -> None:
        match msg:
            case Visitor():
                print(f"in service: no {msg.value} now")
            case Technician.CLOSES:
                ctx.unbecome()  # back to the state that was there before, whichever it was
            case _:
                ctx.unhandled()

    def in_any_state(self, ctx: Context, msg: object) -> None:
        if msg is Technician.OPENS:
            ctx.become(self.in_service, discard_old=False)
        else:
            ctx.unhandled()


DAY = [
    Visitor.PUSH,
    Visitor.COIN,
    Visitor.COIN,
    Technician.OPENS,
    Visitor.PUSH,
    Technician.CLOSES,
    Visitor.PUSH,
    Visitor.PUSH,
]


async def main() -> None:
    async with ActorSystem("museum") as system:
        turnstile = await system.spawn(Turnstile, name="turnstile")
        for event in [*DAY, PoisonPill()]:
            turnstile.tell(event)
        await turnstile.wait_stopped()


if __name__ == "__main__":
    trio.run(main)
