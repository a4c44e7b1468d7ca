"""A shop in two datacenters: each basket lives in one of them, and is reached from both."""

import trio
import trio.testing

from trioakt import (
    ActorSystem,
    Cluster,
    ConnectionLostError,
    Context,
    Datacenter,
    Grain,
    GrainRef,
    MemoryStore,
    Remote,
    Request,
    message,
)
from trioakt.testing import MemoryNetwork

NETWORK = MemoryNetwork()  # in production: tcp://...
STORES = {"eu": MemoryStore(), "us": MemoryStore()}  # in production: an etcd in each datacenter
DIRECTORY = MemoryStore()  # in production: an etcd with members in three places


@message(name="shop.put")
class Put(Request[list[str]]):
    """Answered by what is in the basket."""

    thing: str


class Basket(Grain):
    """What one visitor wants to buy, for as long as the visitor does something."""

    def __init__(self) -> None:
        self.things: list[str] = []

    def receive(self, ctx: Context, msg: Put) -> None:
        self.things.append(msg.thing)
        print(f"  {ctx.identity} has {self.things} on {ctx.system.address}")
        ctx.reply(self.things)


def node(name: str) -> ActorSystem:
    """Make one process of the shop; the datacenter is in the name of its node."""
    region = name.partition("-")[0]
    remote = Remote(f"mem://{name}:1", node=name, transport=NETWORK.transport(name))
    datacenter = Datacenter(region, directory=DIRECTORY.view(name))
    return ActorSystem(
        "shop", remote=remote, cluster=Cluster(STORES[region].view(name), grains=[Basket], datacenter=datacenter)
    )


async def put(basket: GrainRef, thing: str) -> None:
    """Put something into a basket, if it can be reached."""
    try:
        await basket.ask(Put(thing))
    except ConnectionLostError:
        print(f"  {basket.identity} cannot be reached, the {thing} is not put")


async def main() -> None:
    async with node("eu-1") as eu, node("us-1") as us, node("us-2"):
        for region in ("eu", "us"):
            await eu.cluster.wait_datacenter(region)
        print("eu sees", {each.name: str(each.state) for each in eu.cluster.datacenters()})

        print("ada, who is at home in us, travels")
        ada = eu.grain(Basket, "ada", datacenter="us")
        await put(ada, "hat")
        await put(us.grain(Basket, "ada"), "coat")

        print("the cable is cut")
        NETWORK.partition({"eu-1"}, {"us-1", "us-2"})
        await put(ada, "scarf")
        await put(eu.grain(Basket, "eve"), "boots")

        print("the cable is mended")
        NETWORK.heal()
        await trio.sleep(6)
        await put(ada, "gloves")

        print("us drains")
        await us.cluster.drain_datacenter()
        await trio.sleep(1)
        print("eu sees", {each.name: str(each.state) for each in eu.cluster.datacenters()})
        await put(ada, "umbrella")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # virtual time: seconds cost nothing
