"""Leader election: the oldest member leads. One leader leaves, the next is cut off; never do two of them lead."""

import trio
import trio.testing

from trioakt import ActorSystem, Cluster, MembershipLost, MemoryStore, Remote
from trioakt.testing import MemoryNetwork

NETWORK, STORE = MemoryNetwork(), MemoryStore()  # in production: tcp://... and, for example, etcd://...


def say(text: str) -> None:
    print(f"{trio.current_time():5.1f} s  {text}")


class Ledger:
    """Something outside of the cluster that leaders write to: it refuses those who have been followed by another."""

    def __init__(self) -> None:
        self.token = 0
        self.writers: list[str] = []

    def write(self, token: int, node: str) -> None:
        if token < self.token:
            raise PermissionError(f"{node} leads no more: its token {token} is less than {self.token}")
        if token > self.token:
            say(f"{node} leads")
        self.token = token
        self.writers.append(node)


async def lead(system: ActorSystem, ledger: Ledger) -> None:
    """Do again and again what one node shall do. A leader's incarnation is larger than those of all before."""
    while True:
        leader = system.cluster.leader()
        if leader is not None and system.cluster.is_leader:
            ledger.write(leader.incarnation, leader.node)
        await trio.sleep(0.4)


async def tell_of_losses(system: ActorSystem, node: str) -> None:
    async with system.events.subscribe(MembershipLost) as losses:
        async for _ in losses:
            say(f"{node} has lost its lease, and leads no more")


async def run_node(node: str, ledger: Ledger, *, task_status: trio.TaskStatus[ActorSystem]) -> None:
    """Be one process of the service."""
    remote = Remote(f"mem://{node}:1", node=node, transport=NETWORK.transport(node))
    async with (
        ActorSystem("service", remote=remote, cluster=Cluster(STORE.view(node))) as system,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lead, system, ledger)
        nursery.start_soon(tell_of_losses, system, node)
        task_status.started(system)


async def main() -> None:
    ledger = Ledger()
    async with trio.open_nursery() as nursery:
        a, _, c = [await nursery.start(run_node, node, ledger) for node in "abc"]
        await trio.sleep(10.5)

        say("a leaves")
        a.shutdown()
        await trio.sleep(10)

        say("b is cut off, from the others and from the store")
        STORE.partition("b")
        NETWORK.partition({"b"}, {"a", "c"})
        token_of_b = ledger.token
        await trio.sleep(10)

        say("b is back")
        STORE.heal()
        NETWORK.heal()
        await trio.sleep(10)
        print("members:", [member.node for member in c.cluster.members()])
        print("who has written:", sorted(set(ledger.writers), key=ledger.writers.index))
        try:
            ledger.write(token_of_b, "b")  # as if it had slept in the middle of a write
        except PermissionError as error:
            print("refused:", error)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
