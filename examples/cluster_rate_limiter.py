"""A limit for a whole cluster: however many nodes call, together they keep to the rate. One of them is cut off."""

import trio
import trio.testing

from trioakt import (
    Actor,
    ActorRef,
    ActorStoppedError,
    ActorSystem,
    Cluster,
    ConnectionLostError,
    Context,
    MemoryStore,
    Remote,
    Request,
    message,
)
from trioakt.testing import MemoryNetwork

NETWORK, STORE = MemoryNetwork(), MemoryStore()  # in production: tcp://... and, for example, etcd://...
RATE, BURST = 2.0, 3.0


@message(name="limiter.take")
class Take(Request[None]):
    """Answered when one call may be made."""


class TokenBucket(Actor):
    """Hands out so many tokens a second; so many may lie in the bucket.

    It begins empty, so that no more are handed out when it moves to another node. Who must wait waits in the mailbox,
    in order; a request whose asker has given up costs no token.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self.tokens = 0.0
        self.counted_at = trio.current_time()

    async def receive(self, ctx: Context, msg: Take) -> None:
        self.count()
        if self.tokens < 1:
            await trio.sleep((1 - self.tokens) / self.rate)
            self.count()
        self.tokens -= 1
        ctx.reply(None)

    def count(self) -> None:
        now = trio.current_time()
        self.tokens = min(self.burst, self.tokens + (now - self.counted_at) * self.rate)
        self.counted_at = now


async def take(limiter: ActorRef) -> None:
    """Wait for a token. One that got lost on the way is no harm, so ask again, until there is a new owner."""
    while True:
        try:
            return await limiter.ask(Take())
        except (ConnectionLostError, ActorStoppedError):
            await trio.sleep(0.3)


async def run_node(node: str, roles: set[str], calls: list[tuple[float, str]]) -> None:
    """Be one process of the service, and call what must not be called too often, as often as the limiter allows."""
    remote = Remote(f"mem://{node}:1", node=node, transport=NETWORK.transport(node))
    cluster = Cluster(STORE.view(node), roles=roles, kinds=[TokenBucket])
    async with ActorSystem("service", remote=remote, cluster=cluster) as system:
        await system.cluster.wait_members(3)
        limiter = await system.spawn_singleton(TokenBucket, RATE, BURST, name="limiter", role="limits")
        while True:
            await take(limiter)
            calls.append((trio.current_time(), node))


def report(calls: list[tuple[float, str]], since: float, until: float) -> None:
    some = [node for at, node in calls if since < at <= until]
    rate = len(some) / (until - since)
    print(f"{since:2.0f} s to {until:2.0f} s: {rate:.0f}/s, by {', '.join(sorted(set(some)))}")


def most_in_a_second(calls: list[tuple[float, str]]) -> int:
    return max(sum(start <= at < start + 0.999 for at, _ in calls) for start, _ in calls)


async def main() -> None:
    calls: list[tuple[float, str]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_node, "a", {"limits"}, calls)
        nursery.start_soon(run_node, "b", {"limits"}, calls)
        nursery.start_soon(run_node, "c", set[str](), calls)
        await trio.sleep(20.2)
        STORE.partition("b")  # b has the limiter, and can reach neither the store nor the others any more
        NETWORK.partition({"b"}, {"a", "c"})
        await trio.sleep(40)
        nursery.cancel_scope.cancel()

    report(calls, 0, 20)
    report(calls, 20.2, 23.8)  # b goes on, for as long as its lease lets it; tokens on their way to others are lost
    report(calls, 27, 60)  # the lease has lapsed: a has the limiter now
    print(f"most calls in any second: {most_in_a_second(calls)}; {RATE + BURST:.0f} are allowed")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
