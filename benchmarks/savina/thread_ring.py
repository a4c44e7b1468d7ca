"""Thread ring: a token goes round a ring of actors, only one of which has anything to do."""

from __future__ import annotations

from benchmarks.savina import check
from trioakt import Actor, ActorRef, ActorSystem, Context, ReplyTo, Request, message


@message
class Join:
    """Close the ring: this one comes after you."""

    after: ActorRef


@message
class Begin(Request[int]):
    """Send the token on its way, of so many steps; the answer says at whose place it ended."""

    steps: int


@message
class Token:
    left: int
    finish: ReplyTo


class Member(Actor):
    """Hands the token on until it has gone all its steps."""

    after: ActorRef

    def __init__(self, place: int) -> None:
        self.place = place

    def receive(self, ctx: Context, msg: Join | Begin | Token) -> None:
        match msg:
            case Join(after):
                self.after = after
            case Begin(steps):
                self.after.tell(Token(steps - 1, ctx.reply_to))
            case Token(0, finish):
                finish.reply(self.place)
            case Token(left, finish):
                self.after.tell(Token(left - 1, finish))


async def thread_ring(system: ActorSystem, members: int, steps: int) -> int:
    """Send a token round."""
    ring = [await system.spawn(Member, place) for place in range(members)]
    for place, member in enumerate(ring):
        member.tell(Join(ring[(place + 1) % members]))
    check("place where the token ended", await ring[0].ask(Begin(steps)), steps % members)
    return steps
